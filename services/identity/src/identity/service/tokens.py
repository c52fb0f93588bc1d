"""Signing tokens: Ed25519 keys that rotate, sealed in the database with the service secret."""

from __future__ import annotations

import base64
import threading
import time
from datetime import timedelta
from typing import Any

import jwt
from brain_kit.auth import AUDIENCE, ISSUER, Principal, claims_of
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.ids import new_id
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from identity.store import tokens as store

RELOAD_S = 60.0
# A new key is told for this long before it signs: other processes of identity answer with keys they read before it.
TOLD_FIRST = timedelta(seconds=2 * RELOAD_S)


class TokenSigner:
    """Signs access tokens with the newest key; older keys stay known until their tokens have ended."""

    def __init__(self, database: Database, secret: str, *, lifetime_s: int, rotation_days: int) -> None:
        self._database = database
        self._box = Fernet(_derived(secret))
        self.lifetime_s = lifetime_s
        self._rotation = timedelta(days=rotation_days)
        self._lock = threading.Lock()
        self._loaded = float("-inf")
        self._signing: tuple[str, Any] = ("", None)
        self._jwks: dict[str, Any] = {"keys": []}

    def sign(self, principal: Principal, audience: str = AUDIENCE) -> str:
        """A token that is valid for `lifetime_s` seconds."""
        self._ensure_loaded()
        now = int(time.time())
        claims = claims_of(principal) | {"iss": ISSUER, "aud": audience, "iat": now, "exp": now + self.lifetime_s}
        kid, private = self._signing
        return jwt.encode(claims, private, algorithm="EdDSA", headers={"kid": kid})

    def jwks(self) -> dict[str, Any]:
        """The public keys, newest first."""
        self._ensure_loaded()
        return self._jwks

    def rotate(self) -> str:
        """Makes a new signing key and returns its id; it signs after two minutes.

        Tokens of the old one stay valid until they end.
        """
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
            store.retire_signing_keys(session, kid, now)
            store.delete_retired(session, now - timedelta(seconds=2 * self.lifetime_s + 300))
        with self._lock:
            self._loaded = float("-inf")
        return kid

    def rotate_when_due(self) -> None:
        """Rotates when the signing key is older than the rotation period."""
        with self._database.reading() as session:
            rows = store.all_signing_keys(session)
        if not rows or utc_now() - rows[0].created_at > self._rotation:
            self.rotate()

    def _ensure_loaded(self) -> None:
        if time.monotonic() - self._loaded < RELOAD_S:
            return
        with self._database.reading() as session:
            rows = store.all_signing_keys(session)
        if not rows:
            with self._database.exclusive("signing-key", timeout_s=10):
                self.rotate_when_due()
            with self._database.reading() as session:
                rows = store.all_signing_keys(session)
        told = utc_now() - TOLD_FIRST
        row = next((row for row in rows if row.created_at <= told), rows[-1])
        with self._lock:
            self._signing = row.kid, Ed25519PrivateKey.from_private_bytes(self._box.decrypt(row.sealed))
            self._jwks = {"keys": [row.public for row in rows]}
            self._loaded = time.monotonic()


def _derived(secret: str) -> bytes:
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"identity signing keys")
    return base64.urlsafe_b64encode(kdf.derive(secret.encode()))


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
