"""`brain settlement`: prices, the ledger, statements, closing a month."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from industry_brain.cli.output import connect, connection, save_table, show

API = "/api/compute-scheduler/v1"
PERIOD_COLUMNS = ("period", "state", "entries", "amount", "currency", "closed_at")
STATEMENT_COLUMNS = (
    "tenant", "owner", "ownership", "entries", "not_charged", "energy_kwh", "carbon_g", "amount", "payable",
)  # fmt: skip
LINE_COLUMNS = ("centre", "resource", "charge", "entries", "quantity", "unit", "price", "amount")
ENTRY_COLUMNS = (
    "id", "period", "kind", "attempt", "org", "owner", "centre", "charge", "wall_s", "energy_kwh",
    "electricity", "carbon_g", "amount",
)  # fmt: skip
PRICE_COLUMNS = ("id", "centre", "valid_from", "core_hour", "gib_hour", "gb_moved", "accelerators", "note")
TRIAL_COLUMNS = ("centre", "amount", "would_be", "change", "change_pct")
TARIFF_COLUMNS = ("id", "centre", "region", "valid_from", "periods", "source", "as_of")
ENERGY_COLUMNS = ("id", "valid_from", "core_w", "accelerators", "pue", "carbon_g_kwh", "source", "as_of")


@click.group()
def settlement() -> None:
    """结算 prices, ledger, statements and months of compute."""


@settlement.command()
@connection
def periods(url: str, key: str | None, as_json: bool) -> None:
    """账期 lists the months with usage and whether they are closed."""
    with connect(url, key) as api:
        show(api.get(f"{API}/settlement/periods")["items"], as_json, PERIOD_COLUMNS)


@settlement.command("show")
@click.argument("period")
@click.option("--tenant", help="租户 USCC of the tenant")
@click.option("--owner", help="中心所有者 USCC of the centres' owner; with --tenant: line by line")
@connection
def show_statements(
    period: str, tenant: str | None, owner: str | None, url: str, key: str | None, as_json: bool
) -> None:
    """结算单 shows who owes whom what in PERIOD (YYYY-MM)."""
    with connect(url, key) as api:
        if tenant and owner:
            found = api.get(f"{API}/settlement/statements/{period}/{tenant}/{owner}")
            show(found if as_json else found["lines"], as_json, LINE_COLUMNS)
        else:
            found = api.get(f"{API}/settlement/statements", period=period, org=tenant, owner=owner)
            show(found if as_json else found["items"], as_json, STATEMENT_COLUMNS)
    if not as_json:
        state = "已关账 closed" if found["state"] == "closed" else "草稿 draft"
        click.echo(f"{period} {state} · {found['amount']} {found['currency']}")


@settlement.command()
@click.argument("period")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="FILE.csv or .xlsx"
)
@click.option("--tenant", help="租户 USCC of the tenant")
@click.option("--owner", help="中心所有者 USCC of the centres' owner")
@connection
def export(
    period: str, output: Path, tenant: str | None, owner: str | None, url: str, key: str | None, as_json: bool
) -> None:
    """导出 writes the lines of PERIOD's statements."""
    given = {name: value for name, value in (("org", tenant), ("owner", owner)) if value}
    show(save_table(url, key, f"{API}/settlement/export", {"period": period} | given, output), as_json)


@settlement.command()
@click.argument("period")
@click.confirmation_option(prompt="关账后该月不再变动，其后的更正计入下月 Close the month for good?")
@connection
def close(period: str, url: str, key: str | None, as_json: bool) -> None:
    """关账 closes PERIOD; corrections then go to the next month."""
    with connect(url, key) as api:
        show(api.post(f"{API}/settlement/periods/{period}/close"), as_json)


@settlement.command()
@click.option("--period", help="YYYY-MM")
@click.option("--tenant", "org")
@click.option("--owner")
@click.option("--centre")
@click.option("--job")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--after", help="上一页的 next `next` of the page before")
@connection
def ledger(url: str, key: str | None, as_json: bool, **filters: Any) -> None:
    """账本 lists entries: what each attempt used, cost and emitted."""
    with connect(url, key) as api:
        page = api.get(f"{API}/ledger", **filters)
        show(page if as_json else page["items"], as_json, ENTRY_COLUMNS)


@settlement.command()
@click.argument("entry", type=int)
@click.option("--reason", required=True, help="原因")
@click.option("--reprice", "price_list", metavar="PRICE_LIST", help="按此价目重新入账 post it anew at these prices")
@connection
def correct(entry: int, reason: str, price_list: str | None, url: str, key: str | None, as_json: bool) -> None:
    """更正 takes ENTRY back by one with the opposite sign, and with --reprice posts it anew."""
    body = {"kind": "reprice" if price_list else "cancel", "price_list": price_list, "reason": reason}
    with connect(url, key) as api:
        added = api.post(f"{API}/ledger/{entry}/corrections", body)["items"]
        show(added, as_json, ENTRY_COLUMNS)


@settlement.command()
@click.option("--centre", help="只看该中心适用的 those that hold for one centre")
@connection
def prices(centre: str | None, url: str, key: str | None, as_json: bool) -> None:
    """价目 lists the versions of prices, the newest first."""
    with connect(url, key) as api:
        items = api.get(f"{API}/price-lists", centre=centre)["items"]
        show(items if as_json else [_by_kind(item, "accelerator_hour") for item in items], as_json, PRICE_COLUMNS)


def _price_options(command: Any) -> Any:
    """The options of a price list."""
    for option in reversed((
        click.option("--centre", default="", help="空缺为通用 default: for all centres"),
        click.option("--core-hour", default="0", help="元每核小时 yuan a core hour"),
        click.option("--gib-hour", default="0", help="元每 GiB 小时 yuan a GiB hour of memory"),
        click.option("--gb-moved", default="0", help="元每 GB 传输 yuan a GB moved"),
        click.option(
            "--accelerator-hour", "kinds", multiple=True, metavar="KIND=YUAN", help="元每卡小时；* 为其他型号"
        ),
    )):  # fmt: skip
        command = option(command)
    return command


@settlement.command("try-prices")
@_price_options
@click.option("--days", type=click.IntRange(1, 366), default=30, show_default=True, help="最近多少天 last days")
@connection
def try_prices(kinds: tuple[str, ...], url: str, key: str | None, as_json: bool, **given: Any) -> None:
    """试算价目 shows what the last days' usage would have cost under other prices; publishes nothing."""
    body = given | {"accelerator_hour": _pairs(kinds, "--accelerator-hour")}
    with connect(url, key) as api:
        found = api.post(f"{API}/price-list-trials", body)
        total = {name: found[name] for name in TRIAL_COLUMNS[1:]} | {"centre": "合计 total"}
        show(found if as_json else [*found["centres"], total], as_json, TRIAL_COLUMNS)


@settlement.command()
@click.option("--centre", help="只看该中心适用的 those that may hold for one centre")
@connection
def tariffs(centre: str | None, url: str, key: str | None, as_json: bool) -> None:
    """分时电价 lists the versions of electricity tariffs, the newest first."""
    with connect(url, key) as api:
        items = api.get(f"{API}/tariffs", centre=centre)["items"]
        show(items if as_json else [_by_period(item) for item in items], as_json, TARIFF_COLUMNS)


@settlement.command("set-tariff")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--centre", help="一个中心 of one centre")
@click.option("--region", help="或行政区划代码 or of the centres of a region, GB/T 2260")
@click.option("--source", required=True, help="出处 where the figures come from")
@click.option("--as-of", required=True, help="出处的日期 date of the source, YYYY-MM-DD")
@click.option("--valid-from", help="RFC 3339; 空缺为现在 default: now")
@click.option("--note", default="", help="说明")
@connection
def set_tariff(file: Path, url: str, key: str | None, as_json: bool, **given: Any) -> None:
    """发布分时电价 adds a version from FILE (CSV: months,from,until,kind,yuan_kwh; China's time)."""
    with connect(url, key) as api:
        made = api.post(f"{API}/tariffs", given | {"csv": file.read_text(encoding="utf-8-sig")})
        show(made if as_json else [_by_period(made)], as_json, TARIFF_COLUMNS)


@settlement.command("set-prices")
@_price_options
@click.option("--valid-from", help="RFC 3339; 空缺为现在 default: now")
@click.option("--note", default="", help="说明")
@connection
def set_prices(kinds: tuple[str, ...], url: str, key: str | None, as_json: bool, **given: Any) -> None:
    """发布价目 adds a version of prices, as exact decimals."""
    body = given | {"accelerator_hour": _pairs(kinds, "--accelerator-hour")}
    with connect(url, key) as api:
        made = api.post(f"{API}/price-lists", body)
        show(made if as_json else _by_kind(made, "accelerator_hour"), as_json, PRICE_COLUMNS)


@settlement.command("set-energy")
@click.argument("centre")
@click.option("--core-w", type=float, required=True, help="每核瓦数 watts of a core")
@click.option("--accelerator-w", "kinds", multiple=True, metavar="KIND=WATTS", help="每卡瓦数；* 为其他型号")
@click.option("--pue", type=float, required=True, help="电能使用效率 power usage effectiveness")
@click.option("--carbon-g-kwh", type=float, help="碳强度 grams of CO2 a kWh")
@click.option("--source", required=True, help="出处 where the figures come from")
@click.option("--as-of", required=True, help="出处的日期 date of the source, YYYY-MM-DD")
@click.option("--valid-from", help="RFC 3339; 空缺为现在 default: now")
@connection
def set_energy(centre: str, kinds: tuple[str, ...], url: str, key: str | None, as_json: bool, **given: Any) -> None:
    """能耗系数 says what CENTRE's work needs of power, and what that emits."""
    body = given | {"accelerator_w": _pairs(kinds, "--accelerator-w")}
    with connect(url, key) as api:
        made = api.post(f"{API}/centres/{centre}/energy", body)
        show(made if as_json else _by_kind(made, "accelerator_w"), as_json, ENERGY_COLUMNS)


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    found = {}
    for text in texts:
        kind, sign, amount = text.partition("=")
        if not sign:
            raise click.UsageError(f"{option} 应写成 KIND=数值, not {text!r}")
        found[kind] = amount
    return found


def _by_period(item: dict[str, Any]) -> dict[str, Any]:
    told = [f"{one['from']}-{one['until']} {one['kind']} {one['yuan_kwh']}" for one in item["periods"]]
    return item | {"periods": ", ".join(told)}


def _by_kind(item: dict[str, Any], name: str) -> dict[str, Any]:
    return item | {"accelerators": ", ".join(f"{kind}={value}" for kind, value in item[name].items())}
