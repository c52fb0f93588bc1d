"""Signing in: a short access token and a refresh token that is spent at each use."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from brain_kit import audit
from brain_kit.auth import Principal, claims_of
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.ids import new_id
from sqlalchemy.orm import Session

from identity.domain.credentials import after_failure, hash_secret
from identity.service.errors import OrganisationSuspended, RefreshRefused, SignInLocked, SignInRefused
from identity.service.keys import principal
from identity.service.tokens import TokenSigner
from identity.store import people
from identity.store import tokens as store

# 19 MiB and two passes: the least that OWASP asks of Argon2id; 20 sign-ins at once must not exhaust a small machine.
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
UNKNOWN_USER_HASH = HASHER.hash("nobody has this password")


def sign_in(database: Database, signer: TokenSigner, login: str, password: str, refresh_days: int) -> dict[str, Any]:
    """Tokens for a name and password. Raises SignInRefused, SignInLocked, OrganisationSuspended.

    The hash is computed outside any transaction and also for an unknown name, so that the time tells nothing.
    """
    with database.reading() as session:
        found = people.user_by_login(session, login)
    now = utc_now()
    if found is not None and found.locked_until and found.locked_until > now:
        wait_s = (found.locked_until - now).total_seconds()
        raise SignInLocked(f"密码错误次数过多，请 {wait_s / 60:.0f} 分钟后再试", retry_after_s=wait_s)
    right = password_matches(found.password_hash if found else UNKNOWN_USER_HASH, password)
    if found is None or not right or found.state != "active":
        if found is not None:
            _count_failure(database, found)
        raise SignInRefused("用户名或密码不正确")
    with database.transaction() as session:
        owner = people.organisation(session, found.org)
        assert owner is not None
        if owner.state != "active":
            raise OrganisationSuspended("机构已停用，请联系平台运营方")
        changes: dict[str, Any] = {"failures": 0, "locked_until": None}
        if HASHER.check_needs_rehash(found.password_hash):
            changes["password_hash"] = HASHER.hash(password)
        people.update_user(session, found.id, **changes)
        who = principal(owner, subject=found.id, kind="user", roles=found.roles, name=found.name)
        store.delete_expired(session, now)
        refresh = _new_refresh(session, found.id, new_id("fam"), refresh_days)
        audit.record(session, who, action="session.open", object=found.id)
    return _answer(signer, who, refresh)


def renew(database: Database, signer: TokenSigner, refresh_token: str, refresh_days: int) -> dict[str, Any]:
    """New tokens for a refresh token. A token used twice ends its whole sign-in: one of the two users stole it."""
    digest = hash_secret(refresh_token)
    now = utc_now()
    refused: str | None = None
    with database.transaction() as session:
        row = store.refresh(session, digest)
        if row is None or row.revoked_at is not None or row.expires_at < now:
            refused = "登录已失效，请重新登录"
        elif row.used_at is not None:
            store.revoke_family(session, row.family, now)
            refused = "登录凭据被重复使用，为安全已退出，请重新登录"
        else:
            found = people.user(session, row.user_id)
            owner = people.organisation(session, found.org) if found else None
            if found is None or owner is None or found.state != "active" or owner.state != "active":
                refused = "账号或机构已停用"
            else:
                store.use_refresh(session, digest, now)
                renewed = _new_refresh(session, found.id, row.family, refresh_days)
                who = principal(owner, subject=found.id, kind="user", roles=found.roles, name=found.name)
    if refused is not None:
        raise RefreshRefused(refused)
    return _answer(signer, who, renewed)


def sign_out(database: Database, refresh_token: str) -> None:
    """Ends a sign-in; an unknown token changes nothing."""
    with database.transaction() as session:
        row = store.refresh(session, hash_secret(refresh_token))
        if row is not None:
            store.revoke_family(session, row.family, utc_now())


def _new_refresh(session: Session, user_id: str, family: str, days: int) -> str:
    token = secrets.token_urlsafe(32)
    expires = utc_now() + timedelta(days=days)
    store.insert_refresh(session, hash=hash_secret(token), family=family, user_id=user_id, expires_at=expires)
    return token


def _answer(signer: TokenSigner, who: Principal, refresh: str) -> dict[str, Any]:
    return {
        "access_token": signer.sign(who),
        "token_type": "Bearer",
        "expires_in": signer.lifetime_s,
        "refresh_token": refresh,
        "principal": claims_of(who),
    }


def password_matches(password_hash: str, password: str) -> bool:
    """Whether a password has a hash."""
    try:
        return HASHER.verify(password_hash, password)
    except VerificationError:
        return False


def _count_failure(database: Database, found: Any) -> None:
    with database.transaction() as session:
        row = people.user_by_login(session, found.login, lock=True)
        if row is not None:
            failures, locked_until = after_failure(row.failures, utc_now())
            people.update_user(session, row.id, failures=failures, locked_until=locked_until)
