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
from sqlalchemy.orm import Session

from identity.service.errors import OrganisationUnknown, SignInRefused, UserExists, UserUnknown
from identity.service.passwords import checked_password_hash, password_matches
from identity.service.principals import check_may_give, may_manage, roles_for
from identity.service.sessions import begin_attempt
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
    hashed = checked_password_hash(password, login)
    with database.transaction() as session:
        owner = people.organisation(session, org) if may_manage(principal, org) else None
        if owner is None:
            raise OrganisationUnknown(f"没有机构 {org}，请先登记")
        given = roles_for(owner, roles)
        check_may_give(principal, given)
        user_id = insert(session, org=org, login=login, name=name, password_hash=hashed, roles=given)
        audit.record(session, principal, action="user.add", object=user_id, detail={"org": org, "roles": given})
        return _shown(people.user(session, user_id))


def insert(session: Session, *, org: str, login: str, name: str, password_hash: str, roles: list[str]) -> str:
    """Stores a user and tells about it; returns the id. Raises UserExists."""
    user_id = new_id("usr")
    values = {"org": org, "login": login, "name": name, "password_hash": password_hash, "roles": roles}
    if not people.insert_user(session, id=user_id, state="active", created_at=utc_now(), **values):
        raise UserExists(f"登录名 {login} 已被使用，请换一个", errors=[{"field": "login", "value": login}])
    emit(session, UserChanged(user_id=user_id, org=org, roles=tuple(roles), state="active"))
    return user_id


def change_user(
    database: Database, principal: Principal, user_id: str, *, state: str | None, password: str | None
) -> dict[str, Any]:
    """Disables or enables a user, or sets a new password; sign-ins of the user end and a lock is lifted.

    Raises UserUnknown, PasswordWeak.
    """
    with database.reading() as session:
        found = _own_user(session, principal, user_id)
    check_may_give(principal, found.roles)
    changes: dict[str, Any] = {} if state is None else {"state": state}
    if password is not None:
        changes["password_hash"] = checked_password_hash(password, found.login)
    with database.transaction() as session:
        if changes:
            people.update_user(session, user_id, **changes)
        store.clear_attempts(session, found.login)
        store.revoke_user(session, user_id, utc_now())
        changed = people.user(session, user_id)
        assert changed is not None
        event = UserChanged(user_id=user_id, org=found.org, roles=tuple(found.roles), state=changed.state)
        emit(session, event)
        detail = {"state": changed.state, "password": password is not None}
        audit.record(session, principal, action="user.change", object=user_id, detail=detail)
        return _shown(changed)


def change_own_password(database: Database, principal: Principal, old: str, new: str) -> None:
    """Sets the caller's password; every sign-in ends. Raises SignInRefused, SignInLocked, PasswordWeak."""
    with database.reading() as session:
        row = people.user(session, principal.subject)
    if row is None:
        raise SignInRefused("原密码不正确")
    # Whoever holds a stolen token must not be able to guess the password either.
    begin_attempt(database, row.login)
    if not password_matches(row.password_hash, old):
        raise SignInRefused("原密码不正确")
    hashed = checked_password_hash(new, row.login)
    with database.transaction() as session:
        store.clear_attempts(session, row.login)
        people.update_user(session, row.id, password_hash=hashed)
        store.revoke_user(session, row.id, utc_now())
        audit.record(session, principal, action="user.password", object=row.id)


def get_user(database: Database, principal: Principal, user_id: str) -> dict[str, Any]:
    """A user. Raises UserUnknown."""
    with database.reading() as session:
        return _shown(_own_user(session, principal, user_id))


def list_users(database: Database, principal: Principal, *, org: str | None, after: str, limit: int) -> dict[str, Any]:
    """A page of users; others than operators see those of their own organisation."""
    wanted = org if principal.is_operator else principal.org
    if org is not None and not may_manage(principal, org):
        return {"items": [], "next": None}
    with database.reading() as session:
        rows = people.list_users(session, org=wanted, after=after, limit=limit + 1)
    return {"items": [_shown(row) for row in rows[:limit]], "next": rows[limit - 1].id if len(rows) > limit else None}


def _own_user(session: Session, principal: Principal, user_id: str) -> Any:
    row = people.user(session, user_id)
    if row is None or not may_manage(principal, row.org):
        raise UserUnknown(f"没有用户 {user_id}")
    return row


def _shown(row: Any) -> dict[str, Any]:
    names = ("id", "org", "login", "name", "roles", "state")
    return {name: getattr(row, name) for name in names} | {"created_at": rfc3339(row.created_at)}
