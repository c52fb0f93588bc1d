"""Argon2id hashes of passwords, a few at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from brain_kit.problems import Unavailable

from identity.domain.credentials import password_faults
from identity.service.errors import PasswordWeak

# 19 MiB and two passes: the least that OWASP asks of Argon2id, 30 ms here.
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# A flood of sign-ins must not take all memory and all cores.
AT_ONCE = 4
WAIT_S = 10.0
_turns = threading.BoundedSemaphore(AT_ONCE)


class SignInBusy(Unavailable):
    """Too many passwords are being checked at this moment."""

    code = "sign_in_busy"


def password_hash(password: str) -> str:
    """The hash of a password. Raises SignInBusy."""
    with _turn():
        return HASHER.hash(password)


def checked_password_hash(password: str, login: str) -> str:
    """The hash of a password that follows the policy. Raises PasswordWeak listing what is missing, SignInBusy."""
    faults = password_faults(password, login)
    if faults:
        raise PasswordWeak(
            f"密码不符合要求：{'；'.join(faults)}", errors=[{"field": "password", "reason": item} for item in faults]
        )
    return password_hash(password)


def password_matches(hashed: str | None, password: str) -> bool:
    """Whether a password has a hash; for no hash it takes the same time to say no. Raises SignInBusy."""
    with _turn():
        try:
            return HASHER.verify(hashed or _nobodys_hash(), password) and hashed is not None
        except (VerificationError, InvalidHashError):
            return False


def needs_new_hash(hashed: str) -> bool:
    """Whether a hash was made with weaker parameters than today's."""
    return HASHER.check_needs_rehash(hashed)


@cache
def _nobodys_hash() -> str:
    return HASHER.hash("nobody has this password")


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=WAIT_S):
        raise SignInBusy("登录请求过多，请稍后重试", retry_after_s=WAIT_S)
    try:
        yield
    finally:
        _turns.release()
