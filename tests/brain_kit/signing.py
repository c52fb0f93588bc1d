"""A signer of tokens for tests, made from the standards alone: nothing of it comes from identity."""

from __future__ import annotations

import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CLAIMS: dict[str, Any] = {
    "sub": "usr_1",
    "kind": "user",
    "org": "12370000000000000R",
    "org_kind": "operator",
    "org_name": "运营方",
    "roles": ["operator"],
    "name": "张伟",
    "region": "370000",
    "plan": "",
}


class Signer:
    """One Ed25519 key with its public JWK."""

    def __init__(self, kid: str = "sig_1") -> None:
        self.kid = kid
        self.private = Ed25519PrivateKey.generate()
        self.jwk = jwt.algorithms.OKPAlgorithm.to_jwk(self.private.public_key(), as_dict=True) | {"kid": kid}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims with changes; a change to None leaves the claim out."""
        now = int(time.time())
        given = CLAIMS | {"iss": "brain-identity", "aud": "brain", "iat": now, "exp": now + 300} | changes
        return {name: value for name, value in given.items() if value is not None}

    def token(self, **changes: Any) -> str:
        """A signed token."""
        return jwt.encode(self.claims(**changes), self.private, algorithm="EdDSA", headers={"kid": self.kid})
