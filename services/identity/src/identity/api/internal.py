"""What only the platform's own services call; the gateway never exposes it."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from brain_kit.auth import Principal, claims_of, public, require
from brain_kit.database import Database
from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel, Field

from identity.service import keys
from identity.service.errors import ServiceSecretWrong
from identity.service.key_uses import KeyUses
from identity.service.tokens import TokenSigner
from identity.settings import Settings

ServiceCaller = Annotated[Principal, Depends(require("service"))]


class ServiceName(BaseModel):
    """Which service asks."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,49}$")


class ApiKeyText(BaseModel):
    """An API key to be looked up."""

    api_key: str = Field(max_length=200)


def internal_routes(database: Database, signer: TokenSigner, settings: Settings, uses: KeyUses) -> APIRouter:
    """Routes between services."""
    router = APIRouter(include_in_schema=False)
    secret = settings.shared_secret()

    @router.get("/.well-known/jwks.json")
    @public("public keys by which everybody may verify tokens")
    def jwks() -> dict[str, Any]:
        return signer.jwks()

    @router.post("/internal/service-tokens")
    @public("the service secret is the credential")
    def service_token(body: ServiceName, x_service_secret: Annotated[str, Header()] = "") -> dict[str, Any]:
        if not hmac.compare_digest(x_service_secret.encode(), secret.encode()):
            raise ServiceSecretWrong("服务密钥不正确，请检查 BRAIN_SERVICE_SECRET")
        principal = Principal(
            subject=f"service:{body.name}",
            kind="service",
            org="",
            org_kind="operator",
            roles=frozenset({"service"}),
            name=body.name,
        )
        return {"token": signer.sign(principal), "expires_in": signer.lifetime_s}

    @router.post("/internal/credentials/verify")
    def verify_credentials(body: ApiKeyText, caller: ServiceCaller) -> dict[str, Any]:
        verified = keys.verify_key(database, uses, body.api_key)
        return {
            "token": signer.sign(verified.principal, until=verified.expires_at),
            "expires_in": signer.seconds_until(verified.expires_at),
            "principal": claims_of(verified.principal),
            "key_id": verified.principal.subject,
        }

    return router
