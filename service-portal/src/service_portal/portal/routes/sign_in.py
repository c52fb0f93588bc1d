"""Signing in and out; language and theme."""

from __future__ import annotations

import contextlib
import time
from typing import Annotated

from brain_kit.auth import public
from brain_kit.clock import utc_now
from brain_kit.problems import InvalidInput, Problem, RateLimited, Unauthenticated
from fastapi import APIRouter, Depends
from starlette.responses import Response

from service_portal.portal.clients import Tokens
from service_portal.portal.security import Form, comes_from_here, read_form, safe_return
from service_portal.portal.sessions import LIFETIME, Session, form_token_matches
from service_portal.portal.translations import LOCALES, mark
from service_portal.portal.visit import (
    FORM_COOKIE,
    LOCALE_COOKIE,
    SESSION_COOKIE,
    THEME_COOKIE,
    THEMES,
    Anybody,
    Sent,
    Visit,
    fresh_form_secret,
)

router = APIRouter()
_YEAR_S = 365 * 86_400
SentForm = Annotated[Form, Depends(read_form)]


@router.get("/sign-in")
@public("the sign-in page")
def show(visit: Anybody, next: str = "/") -> Response:  # noqa: A002
    """The form, or the way on for somebody who is signed in."""
    if visit.session is not None:
        return visit.go(safe_return(next))
    return _form(visit, next=next)


@router.post("/sign-in")
@public("exchanges a name and password for a session")
def sign_in(visit: Anybody, form: SentForm) -> Response:
    """Open a session, or say why not."""
    target = safe_return(form.one("next", "/"))
    user = form.one("user")
    address = visit.request.client.host if visit.request.client else ""
    if visit.session is not None:
        return visit.go(target)
    if not comes_from_here(visit.request) or not form_token_matches(visit.secret, form.one("form_token")):
        return _form(visit, next=target, user=user, error=mark("页面已过期，请再试一次。"), status=403)
    try:
        visit.portal.brake.check(address, user)
        tokens = visit.brain.sign_in(user, (form.get("password") or [""])[0])
    except RateLimited as problem:
        wait = problem.members.get("retry_after_s")
        hint = (
            visit.text(mark("请在 %(n)s 秒后再试。")) % {"n": wait} if wait else visit.text(mark("请稍等一分钟再试。"))
        )
        return _form(visit, next=target, user=user, error=mark("尝试次数过多，已暂停登录。"), hint=hint, status=429)
    except (Unauthenticated, InvalidInput):
        hint = visit.text(mark("请检查大小写和输入法；忘记密码请联系运营方重置。"))
        return _form(visit, next=target, user=user, error=mark("用户名或密码不正确。"), hint=hint, status=401)
    visit.portal.brake.forgive(address, user)
    secret = visit.portal.sessions.open(_session(tokens), utc_now())
    response = visit.go(target)
    visit.set_cookie(response, SESSION_COOKIE, secret, int(LIFETIME.total_seconds()))
    response.delete_cookie(FORM_COOKIE, path="/")
    return response


@router.post("/sign-out")
def sign_out(sent: Sent) -> Response:
    """End the session here and at identity."""
    visit = sent.visit
    # When identity is away the session is closed here all the same; the refresh token then ends by its own expiry.
    with contextlib.suppress(Problem):
        visit.brain.sign_out(visit.person.refresh_token)
    visit.portal.sessions.close(visit.secret)
    response = visit.go("/sign-in")
    response.delete_cookie(SESSION_COOKIE, path="/")
    return response


@router.post("/preferences")
@public("language and theme, also on the sign-in page")
def preferences(visit: Anybody, form: SentForm) -> Response:
    """Keep a language or theme in a cookie and go back."""
    response = visit.go(safe_return(form.one("back", "/")))
    if not form_token_matches(visit.secret, form.one("form_token")):
        return response
    if form.one("locale") in LOCALES:
        visit.set_cookie(response, LOCALE_COOKIE, form.one("locale"), _YEAR_S)
    if form.one("theme") in THEMES:
        visit.set_cookie(response, THEME_COOKIE, form.one("theme"), _YEAR_S)
    return response


def _form(visit: Visit, next: str, user: str = "", error: str = "", hint: str = "", status: int = 200) -> Response:  # noqa: A002
    visit.secret = fresh_form_secret(visit)
    response = visit.page(
        "sign_in.html", status=status, next=next, user=user, error=visit.text(error) if error else "", hint=hint
    )
    visit.set_cookie(response, FORM_COOKIE, visit.secret, None)
    return response


def _session(tokens: Tokens) -> Session:
    who = tokens.principal
    return Session(
        subject=str(who.get("sub") or who.get("subject") or ""),
        name=str(who.get("name") or who.get("sub") or ""),
        org=str(who.get("org") or ""),
        org_name=str(who.get("org_name") or ""),
        org_kind=str(who.get("org_kind") or ""),
        roles=tuple(sorted(str(role) for role in who.get("roles") or ())),
        access_token=tokens.access,
        refresh_token=tokens.refresh,
        access_expires=time.time() + tokens.expires_in_s,
    )
