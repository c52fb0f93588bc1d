"""Signing in and out."""

from __future__ import annotations

from typing import Any

from brain_kit.auth import Caller, claims_of, public
from brain_kit.database import Database
from fastapi import APIRouter

from identity.api.messages import Me, PasswordChange, Refresh, Session, SignIn
from identity.service import sessions, users
from identity.service.tokens import TokenSigner
from identity.settings import Settings


def session_routes(database: Database, signer: TokenSigner, settings: Settings) -> APIRouter:
    """Routes of sessions."""
    router = APIRouter(prefix="/v1", tags=["identity"])
    days = settings.identity_refresh_days

    @router.post("/sessions", status_code=201, summary="登录", response_model=Session)
    @public("exchanges a name and password for tokens")
    def sign_in(body: SignIn) -> dict[str, Any]:
        """An access token of minutes and a refresh token."""
        return sessions.sign_in(database, signer, body.user, body.password, days)

    @router.delete("/sessions", status_code=204, summary="退出全部登录")
    def sign_out_everywhere(caller: Caller) -> None:
        """Ends every sign-in of the caller; access tokens already given end within minutes."""
        sessions.sign_out_everywhere(database, caller)

    @router.post("/sessions/refresh", summary="续期", response_model=Session)
    @public("the refresh token is the credential")
    def refresh(body: Refresh) -> dict[str, Any]:
        """New tokens; the refresh token is spent. One that is used twice ends the sign-in."""
        return sessions.renew(database, signer, body.refresh_token, days)

    @router.post("/sessions/revoke", status_code=204, summary="退出")
    @public("the refresh token is the credential")
    def sign_out(body: Refresh) -> None:
        """Ends the sign-in that the refresh token belongs to."""
        sessions.sign_out(database, body.refresh_token)

    @router.get("/me", summary="当前身份", response_model=Me)
    def me(caller: Caller) -> dict[str, Any]:
        """Who the caller is and which roles it has."""
        return claims_of(caller)

    @router.post("/me/password", status_code=204, summary="修改密码")
    def change_password(body: PasswordChange, caller: Caller) -> None:
        """Sets the caller's own password; every sign-in ends."""
        users.change_own_password(database, caller, body.old_password, body.new_password)

    return router
