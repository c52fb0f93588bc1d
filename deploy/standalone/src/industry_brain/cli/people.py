"""`brain org` and `brain key`: organisations and their keys."""

from __future__ import annotations

import click

from industry_brain.cli.output import connect, connection, show

KINDS = ["provider", "department", "enterprise", "operator"]
ORG_COLUMNS = ("uscc", "name", "kind", "region", "state")
KEY_COLUMNS = ("id", "org", "name", "state", "expires_at")


@click.group()
def org() -> None:
    """机构 organisations that push and read data."""


@org.command("add")
@click.option("--uscc", required=True, help="统一社会信用代码 unified social credit code, 18 characters")
@click.option("--name", required=True, help="名称")
@click.option("--kind", required=True, type=click.Choice(KINDS))
@click.option("--region", required=True, help="GB/T 2260 code of 6 digits, such as 370300")
@connection
def add_organisation(uscc: str, name: str, kind: str, region: str, url: str, key: str | None, as_json: bool) -> None:
    """Registers an organisation."""
    with connect(url, key) as api:
        body = {"uscc": uscc, "name": name, "kind": kind, "region": region}
        show(api.post("/api/identity/v1/organisations", body), as_json, ORG_COLUMNS)


@org.command("list")
@connection
def list_organisations(url: str, key: str | None, as_json: bool) -> None:
    """Lists the organisations that you may see."""
    with connect(url, key) as api:
        show(api.get("/api/identity/v1/organisations")["items"], as_json, ORG_COLUMNS)


@click.group("key")
def key() -> None:
    """接口密钥 API keys."""


@key.command("add")
@click.option("--org", "organisation", required=True, help="统一社会信用代码 of the organisation")
@click.option("--name", required=True, help="what the key is for, such as ERP")
@click.option("--expires-at", help="RFC 3339 time after which the key is refused")
@connection
def add_key(organisation: str, name: str, expires_at: str | None, url: str, key: str | None, as_json: bool) -> None:
    """Makes a key and shows it once."""
    with connect(url, key) as api:
        body = {"org": organisation, "name": name} | ({"expires_at": expires_at} if expires_at else {})
        made = api.post("/api/identity/v1/keys", body)
        show(made, as_json, ("id", "org", "name", "key", "expires_at"))
        if not as_json:
            click.echo("密钥只显示这一次，请保存。The key is shown only now; keep it.", err=True)


@key.command("list")
@connection
def list_keys(url: str, key: str | None, as_json: bool) -> None:
    """Lists keys without their secrets."""
    with connect(url, key) as api:
        show(api.get("/api/identity/v1/keys")["items"], as_json, KEY_COLUMNS)


@key.command("revoke")
@click.argument("key_id")
@connection
def revoke_key(key_id: str, url: str, key: str | None, as_json: bool) -> None:
    """Ends a key at once."""
    with connect(url, key) as api:
        api.delete(f"/api/identity/v1/keys/{key_id}")
        show({"id": key_id, "state": "revoked"}, as_json)
