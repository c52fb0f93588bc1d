"""API keys: two may live under one name, so that an enterprise changes its key without a pause."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from brain_contracts.events import KeyChanged
from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.events import emit
from sqlalchemy.orm import Session

from identity.domain.credentials import (
    DEFAULT_ROLES,
    GIVEN_BY_OPERATORS,
    LIVE_KEYS,
    ROLES_BY_KIND,
    key_state,
    new_api_key,
    parse_api_key,
    secret_matches,
)
from identity.service.errors import (
    ApiKeyExpired,
    ApiKeyRevoked,
    ApiKeyUnknown,
    KeyNotActive,
    KeyUnknown,
    OrganisationSuspended,
    OrganisationUnknown,
    RolesInvalid,
    TooManyKeys,
)
from identity.store import people

USED_EVERY = timedelta(minutes=1)
ROTATION_OVERLAP = timedelta(days=7)


def add_key(
    database: Database,
    principal: Principal,
    *,
    org: str,
    name: str,
    roles: list[str] | None = None,
    expires_at: datetime | None = None,
) -> dict[str, Any]:
    """Makes a key; the answer carries it once. Raises OrganisationUnknown, RolesInvalid, TooManyKeys."""
    with database.transaction() as session:
        # Locked: of two requests at the same moment the second must see the first one's key.
        owner = people.organisation(session, org, lock=True) if _may_act_for(principal, org) else None
        if owner is None:
            raise OrganisationUnknown(f"没有机构 {org}，请先登记")
        given = checked_roles(owner.kind, roles)
        check_may_give(principal, given)
        if len(people.live_keys(session, org, name, utc_now())) >= LIVE_KEYS:
            raise TooManyKeys(f"{name} 已有 {LIVE_KEYS} 个有效密钥，请先停用一个", org=org, name=name)
        made = insert(session, org=org, name=name, roles=given, expires_at=expires_at)
        audit.record(session, principal, action="key.add", object=made["id"], detail={"org": org, "name": name})
    return made


def insert(
    session: Session, *, org: str, name: str, roles: list[str], expires_at: datetime | None = None
) -> dict[str, Any]:
    """Stores a new key and returns it with its text."""
    made = new_api_key()
    now = utc_now()
    values = {"org": org, "name": name, "roles": roles, "created_at": now, "expires_at": expires_at}
    people.insert_key(session, id=made.id, secret_hash=made.secret_hash, **values)
    emit(session, KeyChanged(key_id=made.id, org=org, state="active"))
    return {
        "id": made.id,
        "key": made.text,
        "org": org,
        "name": name,
        "roles": roles,
        "created_at": rfc3339(now),
        "expires_at": rfc3339(expires_at) if expires_at else None,
        "state": "active",
    }


def rotate_key(database: Database, principal: Principal, key_id: str) -> dict[str, Any]:
    """Makes the successor of a key; the old one works seven days. Raises KeyUnknown, KeyNotActive, TooManyKeys."""
    now = utc_now()
    with database.transaction() as session:
        row = _own_key(session, principal, key_id)
        if key_state(now, row.expires_at, row.revoked_at) != "active":
            raise KeyNotActive(f"密钥 {key_id} 已停用或过期，请创建新的密钥")
        people.organisation(session, row.org, lock=True)
        if len(people.live_keys(session, row.org, row.name, now)) >= LIVE_KEYS:
            raise TooManyKeys(
                f"{row.name} 正在轮换：已有 {LIVE_KEYS} 个有效密钥，请先停用旧的", org=row.org, name=row.name
            )
        made = insert(session, org=row.org, name=row.name, roles=list(row.roles), expires_at=None)
        ends = min(row.expires_at or now + ROTATION_OVERLAP, now + ROTATION_OVERLAP)
        people.update_key(session, key_id, expires_at=ends)
        audit.record(session, principal, action="key.rotate", object=key_id, detail={"successor": made["id"]})
    return made | {"previous": key_id, "previous_expires_at": rfc3339(ends)}


def revoke_key(database: Database, principal: Principal, key_id: str) -> None:
    """Ends a key at once; a repeat changes nothing. Raises KeyUnknown."""
    with database.transaction() as session:
        row = _own_key(session, principal, key_id)
        if row.revoked_at is None:
            people.update_key(session, key_id, revoked_at=utc_now())
            emit(session, KeyChanged(key_id=key_id, org=row.org, state="revoked"))
            audit.record(
                session, principal, action="key.revoke", object=key_id, detail={"org": row.org, "name": row.name}
            )


def list_keys(database: Database, principal: Principal, *, org: str | None, after: str, limit: int) -> dict[str, Any]:
    """A page of keys without secrets; others than operators see those of their own organisation."""
    wanted = org if principal.is_operator else principal.org
    if org is not None and not _may_act_for(principal, org):
        return {"items": [], "next": None}
    with database.reading() as session:
        rows = people.list_keys(session, org=wanted, after=after, limit=limit + 1)
    now = utc_now()
    return {
        "items": [_shown(row, now) for row in rows[:limit]],
        "next": rows[limit - 1].id if len(rows) > limit else None,
    }


def principal_of_key(database: Database, text: str) -> Principal:
    """Who holds an API key. Raises ApiKeyUnknown, ApiKeyRevoked, ApiKeyExpired, OrganisationSuspended."""
    parsed = parse_api_key(text)
    now = utc_now()
    with database.reading() as session:
        row = people.key(session, parsed[0]) if parsed else None
        if row is None or parsed is None or not secret_matches(parsed[1], row.secret_hash):
            raise ApiKeyUnknown("密钥不存在或不正确，请检查是否复制完整")
        owner = people.organisation(session, row.org)
    state = key_state(now, row.expires_at, row.revoked_at)
    if state == "revoked":
        raise ApiKeyRevoked("密钥已停用，请向本单位管理员索取新的密钥")
    if state == "expired":
        raise ApiKeyExpired("密钥已过期，请创建新的密钥")
    assert owner is not None
    if owner.state != "active":
        raise OrganisationSuspended("机构已停用，请联系平台运营方")
    if row.last_used_at is None or now - row.last_used_at > USED_EVERY:
        with database.transaction() as session:
            people.update_key(session, row.id, last_used_at=now)
    return principal(owner, subject=row.id, kind="key", roles=row.roles, name=row.name)


def principal(owner: Any, *, subject: str, kind: Any, roles: list[str], name: str) -> Principal:
    """The principal of somebody who belongs to an organisation."""
    return Principal(
        subject=subject,
        kind=kind,
        org=owner.uscc,
        org_kind=owner.kind,
        org_name=owner.name,
        roles=frozenset(roles),
        name=name,
        region=owner.region,
        plan=owner.plan,
    )


def checked_roles(kind: str, roles: list[str] | None) -> list[str]:
    """The roles asked for, or the kind's default. Raises RolesInvalid."""
    given = roles or [DEFAULT_ROLES[kind]]
    wrong = sorted(set(given) - ROLES_BY_KIND[kind])
    if wrong:
        allowed = "、".join(sorted(ROLES_BY_KIND[kind]))
        raise RolesInvalid(f"角色 {'、'.join(wrong)} 不能用于 {kind}，可用：{allowed}", roles=wrong)
    return sorted(set(given))


def check_may_give(principal: Principal, roles: list[str]) -> None:
    """Raises RolesInvalid when somebody would give, or renew, more than operators entrusted to it."""
    wrong = sorted(GIVEN_BY_OPERATORS & set(roles))
    if wrong and not principal.is_operator:
        raise RolesInvalid(f"角色 {'、'.join(wrong)} 只能由平台运营方授予", roles=wrong)


def _may_act_for(principal: Principal, org: str) -> bool:
    return principal.is_operator or (principal.org == org and principal.has("manager", "provider", "analyst"))


def _own_key(session: Session, principal: Principal, key_id: str) -> Any:
    row = people.key(session, key_id, lock=True)
    if row is None or not _may_act_for(principal, row.org):
        raise KeyUnknown(f"没有密钥 {key_id}")
    check_may_give(principal, row.roles)
    return row


def _shown(row: Any, now: datetime) -> dict[str, Any]:
    def text(moment: datetime | None) -> str | None:
        return rfc3339(moment) if moment else None

    return {
        "id": row.id,
        "org": row.org,
        "name": row.name,
        "roles": row.roles,
        "state": key_state(now, row.expires_at, row.revoked_at),
        "created_at": text(row.created_at),
        "expires_at": text(row.expires_at),
        "revoked_at": text(row.revoked_at),
        "last_used_at": text(row.last_used_at),
    }
