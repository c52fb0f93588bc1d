"""API keys: two may live under one name, so that an enterprise changes its key without a pause."""

from __future__ import annotations

from dataclasses import dataclass
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
    LIVE_KEYS,
    key_state,
    new_api_key,
    parse_api_key,
    secret_matches,
    successor_expiry,
)
from identity.service.errors import (
    ApiKeyExpired,
    ApiKeyRevoked,
    ApiKeyUnknown,
    ExpiryInvalid,
    KeyNotActive,
    KeyUnknown,
    OrganisationSuspended,
    OrganisationUnknown,
    TooManyKeys,
)
from identity.service.key_uses import KeyUses
from identity.service.principals import check_may_give, may_manage, principal_of_key, roles_for
from identity.store import people

USED_EVERY = timedelta(minutes=1)
ROTATION_OVERLAP = timedelta(days=7)
EXPIRED_AT_ONCE = 200


@dataclass(frozen=True)
class VerifiedKey:
    """Who holds a key, and until when it works; None is for ever."""

    principal: Principal
    expires_at: datetime | None


def add_key(
    database: Database,
    principal: Principal,
    *,
    org: str,
    name: str,
    roles: list[str] | None = None,
    expires_at: datetime | None = None,
) -> dict[str, Any]:
    """Makes a key; the answer carries it once.

    Raises OrganisationUnknown, RolesInvalid, ExpiryInvalid, TooManyKeys.
    """
    now = utc_now()
    if expires_at is not None and expires_at <= now:
        error = {"field": "expires_at", "value": rfc3339(expires_at), "reason": "应晚于现在"}
        raise ExpiryInvalid("密钥的失效时间应晚于现在", errors=[error])
    with database.transaction() as session:
        owner = people.organisation(session, org, lock=True) if may_manage(principal, org) else None
        if owner is None:
            raise OrganisationUnknown(f"没有机构 {org}，请先登记")
        given = roles_for(owner, roles)
        check_may_give(principal, given)
        _check_room(session, org, name, now)
        made = insert(session, org=org, name=name, roles=given, expires_at=expires_at)
        detail = {"org": org, "name": name, "roles": given}
        audit.record(session, principal, action="key.add", object=made["id"], detail=detail)
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
    """Makes the successor of a key, with the same roles and life; the old one works for seven more days.

    Raises KeyUnknown, KeyNotActive, TooManyKeys.
    """
    now = utc_now()
    with database.transaction() as session:
        row = _own_key(session, principal, key_id)
        people.organisation(session, row.org, lock=True)
        state = key_state(now, row.expires_at, row.revoked_at)
        if state != "active":
            raise KeyNotActive(f"密钥 {key_id} 已不可用（{state}），不能轮换；请新建密钥", key=key_id, state=state)
        check_may_give(principal, row.roles)
        _check_room(session, row.org, row.name, now)
        expires = successor_expiry(now, row.created_at, row.expires_at)
        made = insert(session, org=row.org, name=row.name, roles=list(row.roles), expires_at=expires)
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


def get_key(database: Database, principal: Principal, key_id: str) -> dict[str, Any]:
    """A key without its secret. Raises KeyUnknown."""
    with database.reading() as session:
        return _shown(_own_key(session, principal, key_id, lock=False), utc_now())


def list_keys(database: Database, principal: Principal, *, org: str | None, after: str, limit: int) -> dict[str, Any]:
    """A page of keys without secrets; others than operators see those of their own organisation."""
    wanted = org if principal.is_operator else principal.org
    if org is not None and not may_manage(principal, org):
        return {"items": [], "next": None}
    with database.reading() as session:
        rows = people.list_keys(session, org=wanted, after=after, limit=limit + 1)
    now = utc_now()
    return {
        "items": [_shown(row, now) for row in rows[:limit]],
        "next": rows[limit - 1].id if len(rows) > limit else None,
    }


def verify_key(database: Database, uses: KeyUses, text: str) -> VerifiedKey:
    """Who holds an API key; notes its use.

    Raises ApiKeyUnknown, ApiKeyRevoked, ApiKeyExpired, OrganisationSuspended.
    """
    parsed = parse_api_key(text)
    now = utc_now()
    with database.reading() as session:
        row = people.key(session, parsed[0]) if parsed else None
        # A wrong secret and a key that does not exist are told alike.
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
        uses.note(row.id, now)
    return VerifiedKey(principal_of_key(owner, row), row.expires_at)


def tell_expired(database: Database) -> int:
    """Tells the platform of keys that have expired since the last time; how many."""
    with database.transaction() as session:
        rows = people.expired_keys(session, utc_now(), EXPIRED_AT_ONCE)
        for row in rows:
            emit(session, KeyChanged(key_id=row.id, org=row.org, state="expired"))
            people.update_key(session, row.id, expiry_told=True)
    return len(rows)


def _check_room(session: Session, org: str, name: str, now: datetime) -> None:
    live = people.live_keys(session, org, name, now)
    if len(live) >= LIVE_KEYS:
        ids = [row.id for row in live]
        raise TooManyKeys(
            f"{name} 已有 {LIVE_KEYS} 个有效密钥（{'、'.join(ids)}），请先停用一个", org=org, name=name, keys=ids
        )


def _own_key(session: Session, principal: Principal, key_id: str, *, lock: bool = True) -> Any:
    row = people.key(session, key_id, lock=lock)
    if row is None or not may_manage(principal, row.org):
        raise KeyUnknown(f"没有密钥 {key_id}")
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
