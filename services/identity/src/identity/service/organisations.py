"""Registering and changing organisations."""

from __future__ import annotations

from typing import Any

from brain_contracts.codes import CodeInvalid, check_region, check_uscc
from brain_contracts.events import OrganisationChanged
from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.events import emit
from sqlalchemy.orm import Session

from identity.domain.roles import DEFAULT_ROLES
from identity.service.errors import OrganisationExists, OrganisationInvalid, OrganisationUnknown
from identity.service.principals import checked_roles
from identity.store import people

FIELDS = ("uscc", "name", "kind", "region", "plan", "state", "synthetic")


def add_organisation(database: Database, principal: Principal, fields: dict[str, Any]) -> dict[str, Any]:
    """Registers an organisation from uscc, name, kind, region, roles and synthetic.

    Raises OrganisationInvalid naming the fields, RolesInvalid, OrganisationExists.
    """
    _check(fields["uscc"], fields["region"])
    with database.transaction() as session:
        insert(session, **fields)
        detail = {"kind": fields["kind"], "region": fields["region"]}
        audit.record(session, principal, action="organisation.add", object=fields["uscc"], detail=detail)
        return shown(people.organisation(session, fields["uscc"]))


def insert(
    session: Session,
    *,
    uscc: str,
    name: str,
    kind: str,
    region: str,
    roles: list[str] | None = None,
    synthetic: bool = False,
) -> None:
    """Stores an organisation and tells about it. Raises OrganisationExists, RolesInvalid.

    roles: what its keys and people get when none are named; None is the default of its kind.
    """
    given = checked_roles(kind, roles) if roles else None
    values = {"uscc": uscc, "name": name, "kind": kind, "region": region, "roles": given, "synthetic": synthetic}
    if not people.insert_organisation(session, **values, plan="", state="active", created_at=utc_now()):
        raise OrganisationExists(f"机构 {uscc} 已登记，可直接为它创建密钥", uscc=uscc)
    emit(session, OrganisationChanged(uscc=uscc, name=name, kind=kind, region=region, state="active"))


def change_organisation(database: Database, principal: Principal, uscc: str, **changes: Any) -> dict[str, Any]:
    """Changes name, region or state (active, suspended). Raises OrganisationUnknown, OrganisationInvalid."""
    if not changes:
        error = {"field": "body", "reason": "name、region、state 至少一项"}
        raise OrganisationInvalid("没有要修改的字段，请给出 name、region 或 state", errors=[error])
    if "region" in changes:
        _check(uscc, changes["region"])
    if changes.get("state") == "suspended" and uscc == principal.org:
        error = {"field": "state", "value": "suspended", "reason": "不能停用自己所在的机构"}
        raise OrganisationInvalid("不能停用自己所在的机构", errors=[error])
    with database.transaction() as session:
        if people.organisation(session, uscc, lock=True) is None:
            raise OrganisationUnknown(f"没有机构 {uscc}")
        people.update_organisation(session, uscc, **changes)
        row = people.organisation(session, uscc)
        assert row is not None
        event = OrganisationChanged(uscc=uscc, name=row.name, kind=row.kind, region=row.region, state=row.state)
        emit(session, event)
        audit.record(session, principal, action="organisation.change", object=uscc, detail=dict(changes))
        return shown(row)


def get_organisation(database: Database, principal: Principal, uscc: str) -> dict[str, Any]:
    """An organisation; others than government see only their own. Raises OrganisationUnknown."""
    with database.reading() as session:
        row = people.organisation(session, uscc) if principal.is_government or principal.org == uscc else None
    if row is None:
        raise OrganisationUnknown(f"没有机构 {uscc}")
    return shown(row)


def list_organisations(
    database: Database, principal: Principal, *, after: str, limit: int, kind: str | None
) -> dict[str, Any]:
    """A page of organisations; others than government see only their own."""
    only = None if principal.is_government else principal.org
    with database.reading() as session:
        rows = people.list_organisations(session, only=only, after=after, limit=limit + 1, kind=kind)
    return {"items": [shown(row) for row in rows[:limit]], "next": rows[limit - 1].uscc if len(rows) > limit else None}


def shown(row: Any) -> dict[str, Any]:
    """An organisation as the API shows it."""
    body = {name: getattr(row, name) for name in FIELDS}
    return body | {"roles": row.roles or [DEFAULT_ROLES[row.kind]], "created_at": rfc3339(row.created_at)}


def _check(uscc: str, region: str) -> None:
    errors = []
    for field, check, value in (("uscc", check_uscc, uscc), ("region", check_region, region)):
        try:
            check(value)
        except CodeInvalid as error:
            errors.append({"field": field, "value": value, "reason": str(error)})
    if errors:
        raise OrganisationInvalid("；".join(item["reason"] for item in errors), errors=errors)
