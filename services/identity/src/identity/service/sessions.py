"""Signing in: a short access token and a refresh token that is spent at each use."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from brain_kit import audit
from brain_kit.auth import Principal, claims_of
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.ids import new_id
from brain_kit.problems import NotPermitted
from sqlalchemy.orm import Session

from identity.domain.credentials import after_attempt, hash_secret
from identity.service.errors import OrganisationSuspended, RefreshRefused, SignInLocked, SignInRefused
from identity.service.passwords import needs_new_hash, password_hash, password_matches
from identity.service.principals import principal_of_user
from identity.service.tokens import TokenSigner
from identity.store import people
from identity.store import tokens as store

ATTEMPTS_KEPT = timedelta(days=1)


def sign_in(database: Database, signer: TokenSigner, login: str, password: str, refresh_days: int) -> dict[str, Any]:
    """Tokens for a name and password. Raises SignInRefused, SignInLocked, OrganisationSuspended.

    The hash is computed outside any transaction, and also for an unknown name: neither the time nor the lock tells
    which names exist.
    """
    found = begin_attempt(database, login)
    stored = found.password_hash if found else None
    right = password_matches(stored, password)
    fresh_hash = password_hash(password) if right and stored and needs_new_hash(stored) else None
    with database.transaction() as session:
        row = people.user(session, found.id) if found else None
        owner = people.organisation(session, row.org) if row else None
        if row is None or owner is None:
            raise SignInRefused("用户名或密码不正确")
        who = principal_of_user(owner, row)
        refused: SignInRefused | OrganisationSuspended | None = None
        # What changed while the hash was computed counts: a disabled user, a new password.
        if not right or row.state != "active" or row.password_hash != stored:
            refused = SignInRefused("用户名或密码不正确")
        elif owner.state != "active":
            refused = OrganisationSuspended("机构已停用，请联系平台运营方")
        if refused is None:
            store.clear_attempts(session, login)
            if fresh_hash is not None:
                people.update_user(session, row.id, password_hash=fresh_hash)
            store.delete_expired(session, utc_now())
            refresh = _new_refresh(session, row.id, new_id("fam"), refresh_days)
        outcome: Any = "ok" if refused is None else "refused"
        audit.record(session, who, action="session.open", object=row.id, outcome=outcome)
    if refused is not None:
        raise refused
    return _answer(signer, who, refresh)


def begin_attempt(database: Database, login: str) -> Any | None:
    """Counts an attempt under a login name; the user when there is one. Raises SignInLocked after five failures."""
    now = utc_now()
    with database.transaction() as session:
        row = store.attempt(session, login, now)
        locked_until: datetime | None = row.locked_until
        if locked_until is None or locked_until <= now:
            failures, until = after_attempt(row.failures, row.last_at, now)
            store.keep_attempt(session, login, failures, now, until)
            store.delete_attempts(session, now - ATTEMPTS_KEPT)
            return people.user_by_login(session, login)
    wait_s = (locked_until - now).total_seconds()
    raise SignInLocked(f"密码错误次数过多，请 {wait_s / 60:.0f} 分钟后再试", retry_after_s=wait_s)


def renew(database: Database, signer: TokenSigner, refresh_token: str, refresh_days: int) -> dict[str, Any]:
    """New tokens for a refresh token. A token used twice ends its whole sign-in: one of the two users stole it."""
    digest = hash_secret(refresh_token)
    now = utc_now()
    refused: str | None = None
    with database.transaction() as session:
        row = store.refresh(session, digest)
        found = people.user(session, row.user_id) if row else None
        owner = people.organisation(session, found.org) if found else None
        if row is None or found is None or owner is None or row.revoked_at is not None or row.expires_at < now:
            raise RefreshRefused("登录已失效，请重新登录")
        who = principal_of_user(owner, found)
        if row.used_at is not None:
            store.revoke_family(session, row.family, now)
            audit.record(session, who, action="session.reuse", object=found.id, outcome="refused")
            refused = "登录凭据被重复使用，为安全已退出，请重新登录"
        elif found.state != "active" or owner.state != "active":
            refused = "账号或机构已停用，请联系平台运营方"
        else:
            store.use_refresh(session, digest, now)
            renewed = _new_refresh(session, found.id, row.family, refresh_days)
    if refused is not None:
        raise RefreshRefused(refused)
    return _answer(signer, who, renewed)


def sign_out(database: Database, refresh_token: str) -> None:
    """Ends the sign-in that a refresh token belongs to; an unknown token changes nothing."""
    with database.transaction() as session:
        row = store.refresh(session, hash_secret(refresh_token))
        found = people.user(session, row.user_id) if row else None
        owner = people.organisation(session, found.org) if found else None
        if row is None or found is None or owner is None or row.revoked_at is not None:
            return
        store.revoke_family(session, row.family, utc_now())
        audit.record(session, principal_of_user(owner, found), action="session.close", object=found.id)


def sign_out_everywhere(database: Database, caller: Principal) -> None:
    """Ends every sign-in of the caller. Raises NotPermitted for keys and services, which never signed in."""
    if caller.kind != "user":
        raise NotPermitted("只有登录的用户可以退出；密钥请用 DELETE /v1/keys/{id} 停用")
    with database.transaction() as session:
        store.revoke_user(session, caller.subject, utc_now())
        audit.record(session, caller, action="session.close", object=caller.subject, detail={"all": True})


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
