"""The synthetic cluster: the same every time, valid under every contract, and shaped like an industry."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from brain_contracts.codes import SQL_CHECKS, check_region, check_uscc
from brain_contracts.contract import DatasetContract
from brain_contracts.odcs import canonical_contracts
from brain_testing.realdata import realdata_dir
from government_services.domain.definition import ChainDefinition
from industry_brain.generator import SYNTHETIC_LABEL, Cluster, generate

MISSING = {
    "稀土原料", "稀土永磁材料", "硬质合金", "光栅尺与编码器", "工业控制芯片", "激光器", "半导体装备",
    "航空航天", "船舶海工",
}  # fmt: skip
NAMING = {
    "id",
    "name",
    "stage",
    "stage_order",
    "from",
    "to",
    "weight",
    "region",
    "enterprise",
    "node",
    "value",
    "month",
}
WEAK = {"工业硅", "碳纤维复合材料", "滚珠丝杠与导轨", "伺服驱动器", "数控系统", "数控磨床", "激光加工设备", "轨道交通"}


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    """The default cluster."""
    return generate()


@pytest.fixture(scope="module")
def warehouse(cluster: Cluster) -> Iterator[duckdb.DuckDBPyConnection]:
    """The default cluster in DuckDB, tables named as data sets are, with the organisation that pushes as `_owner`."""
    with duckdb.connect() as connection:
        for schema in ("public", "industry", "enterprise"):
            connection.execute(f"CREATE SCHEMA {schema}")
        for name, owner, table in cluster.datasets():
            rows = table.append_column("_owner", pa.array([owner] * table.num_rows, pa.string()))
            connection.register("given", rows)
            connection.execute(f"CREATE TABLE IF NOT EXISTS {name} AS SELECT * FROM given LIMIT 0")
            connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM given")
            connection.unregister("given")
        yield connection


def value(connection: duckdb.DuckDBPyConnection, sql: str) -> float:
    """The one figure that a query gives."""
    ((found,),) = connection.execute(sql).fetchall()
    return float(found)


def violations(connection: duckdb.DuckDBPyConnection, contract: DatasetContract, table: str) -> list[str]:
    """Every rule of the contract that rows of a table break."""
    known = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {table}").fetchall()}
    found = []
    for column in contract.columns:
        if column.name not in known:
            found += [f"{column.name} missing"] if column.required else []
            continue
        name = f'"{column.name}"'
        rules = {"required": f"{name} IS NULL"} if column.required else {}
        if column.code_type:
            rules["code"] = f"{name} IS NOT NULL AND {SQL_CHECKS[column.code_type](name)} IS NOT TRUE"
        if column.enum:
            rules["enum"] = f"{name} NOT IN ({', '.join(map(repr, column.enum))})"
        rules |= {"minimum": f"{name} < {column.minimum}"} if column.minimum is not None else {}
        rules |= {"maximum": f"{name} > {column.maximum}"} if column.maximum is not None else {}
        rules |= {"length": f"length({name}) > {column.max_length}"} if column.max_length is not None else {}
        if column.logical_type == "number":
            rules["finite"] = f"NOT isfinite({name})"
        if known[column.name] != column.duckdb_type:
            found.append(f"{column.name} is {known[column.name]}")
        for rule, broken in rules.items():
            if value(connection, f"SELECT count(*) FROM {table} WHERE {broken}"):
                found.append(f"{column.name}: {rule}")
    return found


@pytest.mark.parametrize("dataset", sorted(canonical_contracts()))
def test_every_row_is_valid_and_every_key_unique(warehouse: duckdb.DuckDBPyConnection, dataset: str) -> None:
    """All canonical data sets are filled, and a push of them is rejected nowhere."""
    contract = canonical_contracts()[dataset]
    key = ", ".join(contract.key)

    assert value(warehouse, f"SELECT count(*) FROM {dataset}") > 0
    assert violations(warehouse, contract, dataset) == []
    assert value(warehouse, f"SELECT count(*) - count(DISTINCT ({key})) FROM {dataset}") == 0


@pytest.mark.parametrize(
    "arguments",
    [
        {"seed": 7, "enterprises": 20, "months": 1},
        {"seed": 8, "enterprises": 37, "months": 3, "end": "2024-02"},
        {"seed": 9, "enterprises": 300, "months": 14, "end": "2025-12"},
        {"seed": 10, "enterprises": 15_000, "months": 1},
    ],
)
def test_clusters_of_other_sizes_are_valid_too(arguments: dict[str, int]) -> None:
    """A handful of enterprises or fifteen thousand, a month or years."""
    with duckdb.connect() as connection:
        for name, owner, table in generate(**arguments).datasets():  # type: ignore[arg-type]
            connection.register("given", table)
            contract = canonical_contracts()[name]
            key = ", ".join(contract.key)
            assert violations(connection, contract, "given") == [], (name, owner)
            assert value(connection, f"SELECT count(*) - count(DISTINCT ({key})) FROM given") == 0
            connection.unregister("given")


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(cluster: Cluster) -> None:
    """Byte for byte, so that a second demonstration pushes nothing new."""
    again, other = generate(), generate(seed=2)

    for (name, owner, table), (_, same_owner, same), (_, _, different) in zip(
        cluster.datasets(), again.datasets(), other.datasets(), strict=True
    ):
        assert (owner, table.equals(same)) == (same_owner, True), name
        if not name.startswith("industry.chain_"):
            assert not table.equals(different), name
    assert cluster.organisations() == again.organisations()
    assert cluster.chain_definition() == again.chain_definition()


def test_asking_for_one_data_set_does_not_change_another(cluster: Cluster) -> None:
    """Each part draws from a stream of its own, so the order of asking does not matter."""
    first = {name: table for name, _, table in cluster.datasets()}
    second = dict(reversed([(name, table) for name, _, table in cluster.datasets()]))

    assert first["public.patent"].equals(second["public.patent"])


@pytest.mark.parametrize(
    "arguments",
    [{"enterprises": 19}, {"enterprises": 200_001}, {"months": 0}, {"months": 241}, {"end": "2026-13"}, {"seed": -1}],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, int]) -> None:
    """With a message, before anything is made."""
    with pytest.raises(ValueError, match=r"must|YYYY-MM"):
        generate(**arguments)  # type: ignore[arg-type]


def test_organisations_are_valid_marked_and_push_what_is_theirs(cluster: Cluster) -> None:
    """Departments, a third-party provider, three enterprises; all push something, enterprises only their own rows."""
    organisations = {organisation.uscc: organisation for organisation in cluster.organisations()}
    pushed: dict[str, set[str]] = defaultdict(set)
    for name, owner, table in cluster.datasets():
        pushed[owner].add(name)
        contract = canonical_contracts()[name]
        if organisations[owner].kind == "enterprise":
            assert contract.owner_column is not None
            assert set(table[contract.owner_column].to_pylist()) == {owner}

    assert Counter(organisation.kind for organisation in organisations.values()) == {
        "department": 5,
        "provider": 1,
        "enterprise": 3,
    }
    assert set(pushed) == set(organisations)
    for organisation in organisations.values():
        assert check_uscc(organisation.uscc)
        assert check_region(organisation.region)
        assert organisation.synthetic
        assert organisation.name.startswith("示例")
        if organisation.kind == "enterprise":
            assert pushed[organisation.uscc] == {"enterprise.enterprise_monthly", "enterprise.meter_15min"}


def test_no_row_is_pushed_by_two_organisations(warehouse: duckdb.DuckDBPyConnection) -> None:
    """The statistics department leaves out what the three enterprises push themselves."""
    owners = "SELECT count(DISTINCT _owner) FROM enterprise.enterprise_monthly"
    twice = """SELECT count(*) FROM
        (SELECT uscc FROM enterprise.enterprise_monthly GROUP BY uscc HAVING count(DISTINCT _owner) > 1)"""

    assert value(warehouse, owners) == 4
    assert value(warehouse, twice) == 0


def test_everything_is_recognisably_made_up(warehouse: duckdb.DuckDBPyConnection, cluster: Cluster) -> None:
    """Names begin with 示例, record numbers with SYN, codes have a part that no real code has, and names differ."""
    assert SYNTHETIC_LABEL == "合成数据"
    assert cluster.chain_definition()["synthetic"] is True
    assert value(warehouse, "SELECT count(*) FROM public.enterprise WHERE NOT starts_with(name, '示例')") == 0
    assert value(warehouse, "SELECT count(*) FROM public.enterprise WHERE uscc[9:10] <> 'YX'") == 0
    assert value(warehouse, "SELECT count(*) - count(DISTINCT name) FROM public.enterprise") == 0
    for dataset, column in (
        ("public.park", "park_id"), ("public.project", "project_id"), ("public.patent", "publication_no"),
        ("public.listed_firm", "stock_code"), ("public.standard_participation", "standard_no"),
    ):  # fmt: skip
        assert value(warehouse, f"SELECT count(*) FROM {dataset} WHERE NOT starts_with({column}, 'SYN')") == 0


def test_the_chain_runs_from_raw_material_to_application(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Forty nodes and more in five stages, sixty links and more, all between known nodes and none to itself."""
    rows = warehouse.execute("SELECT node_id, stage, stage_order FROM industry.chain_node").fetchall()
    links = warehouse.execute("SELECT from_node_id, to_node_id FROM industry.chain_edge").fetchall()
    nodes = {row[0] for row in rows}

    assert len(nodes) >= 40
    assert {row[2]: row[1] for row in sorted(rows, key=lambda row: row[2])} == dict(
        enumerate(["原料", "材料", "零部件", "整机", "应用"], 1)
    )
    assert len(links) > 60
    assert {end for link in links for end in link} == nodes
    assert all(source != target for source, target in links)


def test_nodes_are_missing_and_weak_at_home_by_design(warehouse: duckdb.DuckDBPyConnection) -> None:
    """No enterprise of the home city works at a missing node, two at a weak one, five and more at the others."""
    rows = warehouse.execute(
        """SELECT n.name, count(DISTINCT e.uscc) FROM industry.chain_node n
        LEFT JOIN industry.product p USING (chain_id, node_id)
        LEFT JOIN public.enterprise e ON e.uscc = p.uscc AND e.region LIKE '3703%' GROUP BY n.name"""
    ).fetchall()
    counts = dict(rows)

    assert {name for name, count in counts.items() if count == 0} == MISSING
    assert {name for name, count in counts.items() if count == 2} == WEAK
    assert min(count for name, count in counts.items() if name not in MISSING | WEAK) >= 5


def test_enterprises_spread_like_an_industry(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Sizes lognormal (straight in logarithms), most enterprises at home, few leaders and those are large."""
    sizes = warehouse.execute(
        "SELECT ln(median(revenue_10k_cny)) FROM enterprise.enterprise_monthly GROUP BY uscc HAVING count(*) = 36"
    ).fetchnumpy()
    logs = np.array(next(iter(sizes.values())))
    skew = float(((logs - logs.mean()) ** 3).mean() / logs.std() ** 3)

    assert 1.0 < logs.std() < 1.5
    assert abs(skew) < 0.3
    assert value(warehouse, "SELECT count(*) FROM public.enterprise") == 2000
    assert value(warehouse, "SELECT count(*) FROM public.enterprise WHERE region LIKE '3703%'") == 1200
    assert value(warehouse, "SELECT count(DISTINCT region[1:4]) FROM public.enterprise") == 16
    assert value(warehouse, "SELECT count(*) FROM public.enterprise WHERE is_chain_leader") == 8
    assert value(warehouse, "SELECT count(*) FROM public.enterprise WHERE is_chain_leader AND scale = '规下'") == 0


def test_months_show_season_growth_and_a_shock(warehouse: duckdb.DuckDBPyConnection) -> None:
    """February is the lowest month of each year, the last year is larger than the first, foundries dip by a fifth."""
    rows = warehouse.execute(
        "SELECT month, sum(revenue_10k_cny) FROM enterprise.enterprise_monthly GROUP BY month ORDER BY month"
    ).fetchall()
    total = {month: float(revenue) for month, revenue in rows}
    foundry = dict(
        warehouse.execute(
            """SELECT month, sum(revenue_10k_cny) FROM enterprise.enterprise_monthly WHERE uscc IN
            (SELECT uscc FROM public.enterprise WHERE industry_class = 'C3391') GROUP BY month"""
        ).fetchall()
    )
    share = {month: foundry[month] / total[month] for month in total}

    assert list(total) == [f"{2023 + n // 12}-{n % 12 + 1:02}" for n in range(10, 46)]
    for year in ("2024", "2025", "2026"):
        months = {month: revenue for month, revenue in total.items() if month.startswith(year)}
        assert min(months, key=lambda month: months[month]) == f"{year}-02"
    assert 1.08 < sum(list(total.values())[24:]) / sum(list(total.values())[:12]) < 1.4
    assert min(share, key=lambda month: share[month]) in {"2025-10", "2025-11", "2025-12"}
    assert min(share.values()) < 0.9 * np.median(list(share.values()))


def test_figures_of_an_enterprise_agree_with_each_other(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Output near revenue, export within it, electricity per output steady, nothing before the enterprise began."""
    monthly = "enterprise.enterprise_monthly"

    assert (
        value(warehouse, f"SELECT quantile_cont(abs(output_10k_cny / revenue_10k_cny - 1), 0.99) FROM {monthly}") < 0.1
    )
    assert value(warehouse, f"SELECT count(*) FROM {monthly} WHERE export_10k_cny > revenue_10k_cny") == 0
    steady = f"""SELECT quantile_cont(spread, 0.95) FROM (SELECT stddev(electricity_kwh / output_10k_cny) /
        avg(electricity_kwh / output_10k_cny) AS spread FROM {monthly} GROUP BY uscc HAVING count(*) > 12)"""
    assert value(warehouse, steady) < 0.05
    early = f"""SELECT count(*) FROM {monthly} m JOIN public.enterprise e USING (uscc)
        WHERE m.month < strftime(e.established_on, '%Y-%m')"""
    assert value(warehouse, early) == 0
    assert value(warehouse, f"SELECT count(DISTINCT uscc) FROM {monthly} WHERE profit_10k_cny < 0") > 50


def test_energy_agrees_with_the_enterprises_and_with_the_national_coefficients(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    """Electricity is what enterprises report; the total follows GB/T 2589-2020."""
    path = realdata_dir() / "emission/coal_equivalent_gbt2589.csv"
    with path.open(encoding="utf-8-sig") as file:
        factor = {row["energy"]: float(row["kgce_per_unit"]) for row in csv.DictReader(file)}
    total = f"""SELECT max(abs(coal_equivalent_tce - (electricity_kwh * {factor["电力(当量)"]} / 1000
        + gas_m3 * {factor["天然气(油田)"]} / 1000 + coal_t * {factor["原煤"]} + steam_gj * {factor["热力(当量)"]})))
        FROM public.energy_monthly"""
    apart = """SELECT count(*) FROM public.energy_monthly e JOIN enterprise.enterprise_monthly m USING (uscc, month)
        WHERE e.electricity_kwh <> m.electricity_kwh"""

    assert value(warehouse, total) < 0.001
    assert value(warehouse, apart) == 0
    assert value(warehouse, "SELECT count(*) FROM public.energy_monthly") == value(
        warehouse, "SELECT count(*) FROM enterprise.enterprise_monthly"
    )


def test_meters_add_up_to_the_months_electricity(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Fourteen of October's 31 days; every quarter hour once; nights below days; local days, UTC times."""
    sums = """SELECT max(abs(x.kwh / (m.electricity_kwh * 14 / 31) - 1)) FROM
        (SELECT uscc, sum(energy_kwh) AS kwh FROM enterprise.meter_15min GROUP BY uscc) x
        JOIN enterprise.enterprise_monthly m ON m.uscc = x.uscc AND m.month = '2026-10'"""
    local = "(ts AT TIME ZONE 'Asia/Shanghai')"
    night = f"""SELECT avg(energy_kwh) FILTER (hour({local}) BETWEEN 1 AND 5) / avg(energy_kwh) FILTER
        (hour({local}) BETWEEN 14 AND 20) FROM enterprise.meter_15min WHERE dayofweek({local}) BETWEEN 1 AND 6"""
    bounds = warehouse.execute(
        f"SELECT min({local})::VARCHAR, max({local})::VARCHAR FROM enterprise.meter_15min"
    ).fetchone()
    each = "SELECT uscc, meter_id FROM enterprise.meter_15min GROUP BY ALL HAVING count(DISTINCT ts) = 14 * 96"

    assert value(warehouse, sums) < 1e-5
    assert bounds == ("2026-10-18 00:15:00", "2026-11-01 00:00:00")
    assert len(warehouse.execute(each).fetchall()) == 6
    assert value(warehouse, night) < 0.6


def test_references_between_data_sets_hold(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Every code of an enterprise is registered, every node known, nobody holds itself or more than all of another."""
    for dataset, contract in canonical_contracts().items():
        for column in (column.name for column in contract.columns if column.code_type == "uscc"):
            lost = f"SELECT count(*) FROM {dataset} WHERE {column} NOT IN (SELECT uscc FROM public.enterprise)"
            assert value(warehouse, lost) == 0, (dataset, column)
    for dataset in ("industry.product", "public.project"):
        lost = f"SELECT count(*) FROM {dataset} ANTI JOIN industry.chain_node USING (chain_id, node_id)"
        assert value(warehouse, lost) == 0
    assert value(warehouse, "SELECT count(*) FROM public.holding WHERE holder = held") == 0
    over = "SELECT count(*) FROM (SELECT held FROM public.holding GROUP BY held HAVING sum(share_percent) > 100)"
    assert value(warehouse, over) == 0


def test_the_registers_of_an_enterprise_tell_one_story(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Ended enterprises have their 注销 or 迁出, listed ones their line in the register of listings."""
    for state in ("注销", "迁出"):
        without = f"""SELECT count(*) FROM public.enterprise e WHERE state = '{state}' AND NOT EXISTS
            (SELECT 1 FROM public.registration_change c WHERE c.uscc = e.uscc AND c.kind = '{state}')"""
        assert value(warehouse, without) == 0
    differing = """SELECT count(*) FROM (SELECT uscc, listing FROM public.enterprise WHERE listing IS NOT NULL) e
        FULL JOIN public.listed_firm f ON f.uscc = e.uscc AND f.board = e.listing
        WHERE e.uscc IS NULL OR f.uscc IS NULL"""
    assert value(warehouse, differing) == 0
    moved = """SELECT count(*) FROM public.registration_change
        WHERE kind IN ('迁入', '迁出') AND (from_region IS NULL OR to_region IS NULL)"""
    assert value(warehouse, moved) == 0


def test_the_definition_of_the_chain_is_accepted_and_names_what_exists(cluster: Cluster) -> None:
    """The government side's own model reads it; every data set and column is in the contracts."""
    body = cluster.chain_definition()
    definition = ChainDefinition.model_validate(body)

    assert re.fullmatch(r"[a-z0-9-]+", definition.id)
    assert (definition.region, definition.compare_region) == ("3703", "37")
    for part in [body["nodes"], body["links"], body["enterprises"], body["members"], *body["measures"].values()]:
        known = set(canonical_contracts()[part["dataset"]].column_names)
        columns = {text for name, text in part.items() if name in NAMING}
        assert columns | set(part.get("attributes", {}).values()) <= known
        if "where" in part:
            assert "chain_id" in known
