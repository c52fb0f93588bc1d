"""API keys and passwords as values: their form, their hashes, the rules for them."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass
from datetime import datetime, timedelta

ID_CHARACTERS = string.ascii_letters + string.digits
KEY_FORM = re.compile(r"bk_([A-Za-z0-9]{12})_([A-Za-z0-9_-]{43})")
LIVE_KEYS = 2
MINIMUM_PASSWORD = 10
FAILURES_BEFORE_LOCK = 5
LOCK = timedelta(minutes=15)


@dataclass(frozen=True)
class ApiKey:
    """A key as it is handed out once: `text` goes to its holder, `secret_hash` into the database."""

    id: str
    text: str
    secret_hash: str


def new_api_key() -> ApiKey:
    """A key with 256 random bits."""
    identifier = "".join(secrets.choice(ID_CHARACTERS) for _ in range(12))
    secret = secrets.token_urlsafe(32)
    return ApiKey(identifier, f"bk_{identifier}_{secret}", hash_secret(secret))


def parse_api_key(text: str) -> tuple[str, str] | None:
    """(id, secret) of a text that has the form of a key, else None."""
    match = KEY_FORM.fullmatch(text)
    return (match[1], match[2]) if match else None


def hash_secret(secret: str) -> str:
    """SHA-256 in hex; enough for 256 random bits, where a slow hash would only slow the gateway."""
    return hashlib.sha256(secret.encode()).hexdigest()


def secret_matches(secret: str, secret_hash: str) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(hash_secret(secret), secret_hash)


def new_password() -> str:
    """A random password of 20 letters and digits that satisfies the policy."""
    while True:
        made = "".join(secrets.choice(ID_CHARACTERS) for _ in range(20))
        if not password_faults(made, ""):
            return made


def password_faults(password: str, login: str) -> list[str]:
    """What keeps a password from being accepted; empty when nothing does."""
    faults = []
    if len(password) < MINIMUM_PASSWORD:
        faults.append(f"至少 {MINIMUM_PASSWORD} 位")
    if len(password) > 200:
        faults.append("不超过 200 位")
    kinds = (str.islower, str.isupper, str.isdigit, lambda character: not character.isalnum())
    if sum(any(kind(character) for character in password) for kind in kinds) < 3:
        faults.append("大写、小写、数字、符号至少三种")
    if login and login.lower() in password.lower():
        faults.append("不能含有登录名")
    return faults


def after_attempt(failures: int, last: datetime, now: datetime) -> tuple[int, datetime | None]:
    """(failures, locked until) once an attempt to sign in begins; a right password clears both.

    The attempt counts before the password is looked at: guesses sent side by side are counted one by one. Failures
    older than the lock are forgotten. The fifth in a row locks.
    """
    failures = 1 if now - last >= LOCK else failures + 1
    return (failures, now + LOCK) if failures >= FAILURES_BEFORE_LOCK else (failures, None)


def key_state(now: datetime, expires_at: datetime | None, revoked_at: datetime | None) -> str:
    """active, revoked or expired."""
    if revoked_at is not None:
        return "revoked"
    if expires_at is not None and expires_at <= now:
        return "expired"
    return "active"


def successor_expiry(now: datetime, created_at: datetime, expires_at: datetime | None) -> datetime | None:
    """When the successor of a key ends: it lives as long as its predecessor was meant to; None is for ever."""
    return None if expires_at is None else now + (expires_at - created_at)
