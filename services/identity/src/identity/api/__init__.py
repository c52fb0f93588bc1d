"""HTTP routes of identity."""

from __future__ import annotations

from brain_kit.database import Database
from fastapi import APIRouter

from identity.api.audit import audit_routes
from identity.api.internal import internal_routes
from identity.api.people import key_routes, organisation_routes, user_routes
from identity.api.sessions import session_routes
from identity.service.key_uses import KeyUses
from identity.service.tokens import TokenSigner
from identity.settings import Settings


def routes(database: Database, signer: TokenSigner, settings: Settings, uses: KeyUses) -> list[APIRouter]:
    """All routers with their parts wired in."""
    return [
        organisation_routes(database),
        key_routes(database),
        user_routes(database),
        session_routes(database, signer, settings),
        audit_routes(database),
        internal_routes(database, signer, settings, uses),
    ]


__all__ = ["routes"]
