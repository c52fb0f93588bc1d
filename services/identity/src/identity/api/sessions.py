"""Signing in and out."""

from __future__ import annotations

from typing import Any

from brain_kit.auth import Caller, claims_of, public
from brain_kit.database import Database
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from identity.service import sessions, users
from identity.service.tokens import TokenSigner
from identity.settings import Settings


class SignIn(BaseModel):
    """Name and password."""

    model_config = ConfigDict(extra="forbid")
    user: str = Field(max_length=60)
    password: str = Field(max_length=200)


class Refresh(BaseModel):
    """A refresh token."""

    model_config = ConfigDict(extra="forbid")
    refresh_token: str = Field(max_length=200)


class PasswordChange(BaseModel):
    """The old and the new password."""

    model_config = ConfigDict(extra="forbid")
    old_password: str = Field(max_length=200)
    new_password: str = Field(max_length=200)


def session_routes(database: Database, signer: TokenSigner, settings: Settings) -> APIRouter:
    """Routes of sessions."""
    router = APIRouter(prefix="/v1", tags=["identity"])
    days = settings.identity_refresh_days

    @router.post("/sessions", status_code=201, summary="登录")
    @public("exchanges a name and password for tokens")
    def sign_in(body: SignIn) -> dict[str, Any]:
        """An access token of minutes and a refresh token."""
        return sessions.sign_in(database, signer, body.user, body.password, days)

    @router.post("/sessions/refresh", summary="续期")
    @public("the refresh token is the credential")
    def refresh(body: Refresh) -> dict[str, Any]:
        """New tokens; the refresh token is spent."""
        return sessions.renew(database, signer, body.refresh_token, days)

    @router.post("/sessions/revoke", status_code=204, summary="退出")
    @public("the refresh token is the credential")
    def sign_out(body: Refresh) -> None:
        """Ends the sign-in."""
        sessions.sign_out(database, body.refresh_token)

    @router.get("/me", summary="当前身份")
    def me(caller: Caller) -> dict[str, Any]:
        """Who the caller is and which roles it has."""
        return claims_of(caller)

    @router.post("/me/password", status_code=204, summary="修改密码")
    def change_password(body: PasswordChange, caller: Caller) -> None:
        """Sets the caller's own password; every sign-in ends."""
        users.change_own_password(database, caller, body.old_password, body.new_password)

    return router
