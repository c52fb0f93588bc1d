"""People who sign in."""

from __future__ import annotations

from typing import Any

from brain_contracts.events import UserChanged
from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.events import emit
from brain_kit.ids import new_id
from brain_kit.problems import NotFound

from identity.domain.credentials import password_faults
from identity.service.errors import OrganisationUnknown, PasswordWeak, SignInRefused, UserExists
from identity.service.keys import checked_roles
from identity.service.sessions import HASHER, password_matches
from identity.store import people
from identity.store import tokens as store


def add_user(
    database: Database,
    principal: Principal,
    *,
    org: str,
    login: str,
    name: str,
    password: str,
    roles: list[str] | None = None,
) -> dict[str, Any]:
    """Makes a user. Raises PasswordWeak, UserExists, RolesInvalid, OrganisationUnknown."""
    hashed = hashed_password(password, login)
    with database.transaction() as session:
        may = principal.is_operator or (principal.org == org and principal.has("manager"))
        owner = people.organisation(session, org) if may else None
        if owner is None:
            raise OrganisationUnknown(f"没有机构 {org}")
        given = checked_roles(owner.kind, roles)
        user_id = new_id("usr")
        values = {"org": org, "login": login, "name": name, "password_hash": hashed, "roles": given, "state": "active"}
        if not people.insert_user(session, id=user_id, failures=0, created_at=utc_now(), **values):
            raise UserExists(f"登录名 {login} 已被使用，请换一个", login=login)
        emit(session, UserChanged(user_id=user_id, org=org, roles=tuple(given), state="active"))
        audit.record(session, principal, action="user.add", object=user_id, detail={"org": org, "roles": given})
        return _shown(people.user(session, user_id))


def change_user(
    database: Database, principal: Principal, user_id: str, *, state: str | None, password: str | None
) -> dict[str, Any]:
    """Disables or enables a user, or sets a new password; sign-ins of the user end. Raises NotFound, PasswordWeak."""
    with database.transaction() as session:
        row = people.user(session, user_id)
        if row is None or not (principal.is_operator or (principal.org == row.org and principal.has("manager"))):
            raise NotFound(f"没有用户 {user_id}")
        changes: dict[str, Any] = {"failures": 0, "locked_until": None}
        if state is not None:
            changes["state"] = state
        if password is not None:
            changes["password_hash"] = hashed_password(password, row.login)
        people.update_user(session, user_id, **changes)
        store.revoke_user(session, user_id, utc_now())
        changed = people.user(session, user_id)
        assert changed is not None
        emit(session, UserChanged(user_id=user_id, org=row.org, roles=tuple(row.roles), state=changed.state))
        audit.record(session, principal, action="user.change", object=user_id, detail={"state": changed.state})
        return _shown(changed)


def change_own_password(database: Database, principal: Principal, old: str, new: str) -> None:
    """Sets the caller's password; every sign-in ends. Raises SignInRefused, PasswordWeak."""
    with database.reading() as session:
        row = people.user(session, principal.subject)
    if row is None or not password_matches(row.password_hash, old):
        raise SignInRefused("原密码不正确")
    hashed = hashed_password(new, row.login)
    with database.transaction() as session:
        people.update_user(session, row.id, password_hash=hashed)
        store.revoke_user(session, row.id, utc_now())
        audit.record(session, principal, action="user.password", object=row.id)


def list_users(database: Database, principal: Principal, *, org: str | None, after: str, limit: int) -> dict[str, Any]:
    """A page of users; others than operators see those of their own organisation."""
    wanted = org if principal.is_operator else principal.org
    with database.reading() as session:
        rows = people.list_users(session, org=wanted, after=after, limit=limit + 1)
    return {"items": [_shown(row) for row in rows[:limit]], "next": rows[limit - 1].id if len(rows) > limit else None}


def hashed_password(password: str, login: str) -> str:
    """The Argon2id hash of a password. Raises PasswordWeak listing what is missing."""
    faults = password_faults(password, login)
    if faults:
        raise PasswordWeak(
            f"密码不符合要求：{'；'.join(faults)}", errors=[{"field": "password", "reason": item} for item in faults]
        )
    return HASHER.hash(password)


def _shown(row: Any) -> dict[str, Any]:
    names = ("id", "org", "login", "name", "roles", "state")
    return {name: getattr(row, name) for name in names} | {"created_at": rfc3339(row.created_at)}
