"""Signing tokens: Ed25519 keys that rotate, sealed in the database with the service secret."""

from __future__ import annotations

import base64
import threading
import time
from datetime import datetime, timedelta
from typing import Any

import jwt
import structlog
from brain_kit.auth import AUDIENCE, ISSUER, LEEWAY_S, Principal, claims_of
from brain_kit.clock import utc_now
from brain_kit.database import Database, DatabaseUnavailable
from brain_kit.ids import new_id
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from identity.store import tokens as store

RELOAD_S = 60.0
# Every process of identity shows a new key before any of them signs with it.
PUBLISHED_AHEAD_S = 2 * RELOAD_S
MARGIN_S = 300.0
LOCK_S = 10.0

log = structlog.get_logger()


class TokenSigner:
    """Signs access tokens. A new key is published first and signs later; an old one verifies until its tokens end.

    Private keys are sealed with a key derived from the service secret. When the secret was changed, the old keys
    cannot be opened any more: they go on verifying, and a new one signs at once.
    """

    def __init__(self, database: Database, secret: str, *, lifetime_s: int, rotation_days: int) -> None:
        self._database = database
        self._box = Fernet(_derived(secret))
        self.lifetime_s = lifetime_s
        self._rotation = timedelta(days=rotation_days)
        self._lock = threading.Lock()
        self._loaded = float("-inf")
        self._kid = ""
        self._private: Ed25519PrivateKey | None = None
        self._jwks: dict[str, Any] = {"keys": []}

    def sign(self, principal: Principal, *, until: datetime | None = None, audience: str = AUDIENCE) -> str:
        """A token that is valid for `lifetime_s` seconds, and not beyond `until`."""
        now = int(time.time())
        claims = claims_of(principal) | {
            "iss": ISSUER,
            "aud": audience,
            "iat": now,
            "exp": now + self.seconds_until(until),
        }
        kid, private = self._signing()
        return jwt.encode(claims, private, algorithm="EdDSA", headers={"kid": kid})

    def seconds_until(self, until: datetime | None) -> int:
        """How long a token lives that must not outlive a moment; at least a second."""
        if until is None:
            return self.lifetime_s
        return max(1, min(self.lifetime_s, int((until - utc_now()).total_seconds())))

    def jwks(self) -> dict[str, Any]:
        """The public keys, newest first."""
        self._signing()
        return self._jwks

    def rotate(self, *, ahead_s: float = PUBLISHED_AHEAD_S) -> str:
        """Makes a new key and returns its id; it signs after `ahead_s` seconds."""
        private = Ed25519PrivateKey.generate()
        kid = new_id("sig")
        raw = private.private_bytes(
            serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
        )
        public = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        jwk = {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": _b64(public)}
        now = utc_now()
        with self._database.transaction() as session:
            store.insert_signing_key(session, kid=kid, sealed=self._box.encrypt(raw), public=jwk, created_at=now)
            store.retire_signing_keys(session, kid, now + timedelta(seconds=ahead_s))
            # A process that missed the moment signs with the old key for RELOAD_S more.
            store.delete_retired(session, now - timedelta(seconds=self.lifetime_s + LEEWAY_S + RELOAD_S + MARGIN_S))
        self._loaded = float("-inf")
        return kid

    def rotate_when_due(self) -> None:
        """Rotates when the newest key is older than the rotation period; of several processes one does."""
        with self._database.exclusive("signing-key", timeout_s=LOCK_S) as held:
            rows = self._rows() if held else []
            if rows and utc_now() - rows[0].created_at > self._rotation:
                log.info("signing_key_rotated", kid=self.rotate())

    def _signing(self) -> tuple[str, Ed25519PrivateKey]:
        with self._lock:
            if self._private is None or time.monotonic() - self._loaded >= RELOAD_S:
                try:
                    self._load()
                except DatabaseUnavailable:
                    if self._private is None:
                        raise
                    self._loaded = time.monotonic()  # goes on with the keys it has, asks again in a minute
            assert self._private is not None
            return self._kid, self._private

    def _load(self) -> None:
        rows = self._rows()
        opened = self._opened(rows)
        if opened is None:
            with self._database.exclusive("signing-key", timeout_s=LOCK_S) as held:
                rows = self._rows()
                opened = self._opened(rows)
                if opened is None and not held:
                    raise DatabaseUnavailable("另一进程正在生成签名密钥，请稍后重试", database=self._database.name)
                if opened is None:
                    self.rotate(ahead_s=0)
                    rows = self._rows()
                    opened = self._opened(rows)
        assert opened is not None
        self._kid, self._private = opened
        self._jwks = {"keys": [row.public for row in rows]}
        self._loaded = time.monotonic()

    def _opened(self, rows: list[Any]) -> tuple[str, Ed25519PrivateKey] | None:
        """The key that signs now: the oldest that is not retired and that our secret opens."""
        now = utc_now()
        for row in reversed(rows):
            if row.retired_at is None or row.retired_at > now:
                try:
                    return row.kid, Ed25519PrivateKey.from_private_bytes(self._box.decrypt(row.sealed))
                except InvalidToken:
                    log.warning("signing_key_sealed", kid=row.kid, reason="sealed with another service secret")
        return None

    def _rows(self) -> list[Any]:
        with self._database.reading() as session:
            return store.all_signing_keys(session)


def _derived(secret: str) -> bytes:
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"identity signing keys")
    return base64.urlsafe_b64encode(kdf.derive(secret.encode()))


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
