"""One request of one person: session, language, theme, the APIs with her token, and rendered answers."""

from __future__ import annotations

import dataclasses
import functools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode

from brain_kit.clock import utc_now
from brain_kit.problems import Forbidden, NotPermitted, Problem, Unauthenticated
from fastapi import Depends
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from service_portal.portal.clients import Brain, Tokens
from service_portal.portal.navigation import rail
from service_portal.portal.security import Form, comes_from_here, read_form
from service_portal.portal.sessions import Session, form_token, form_token_matches, new_secret
from service_portal.portal.translations import LOCALES
from service_portal.portal.vocabulary import LEVELS

if TYPE_CHECKING:
    from service_portal.portal.app import Portal

SESSION_COOKIE = "brain_session"
FORM_COOKIE = "brain_form"
LOCALE_COOKIE = "brain_locale"
THEME_COOKIE = "brain_theme"
THEMES = ("auto", "light", "dark")
_RENEW_BEFORE_S = 30
_RENEWAL_WAIT_S = 5.0
_RENEWAL_POLL_S = 0.05


class FormExpired(NotPermitted):
    """The form did not come from a page that this portal gave to this browser, or that page is too old."""

    code = "form_expired"


class SignInNeeded(Exception):
    """Nobody is signed in; the handler sends the browser to the sign-in page and back afterwards."""


@dataclass
class Visit:
    """What a route needs of its request. `session` is None on the pages open to everybody."""

    request: Request
    portal: Portal
    session: Session | None
    secret: str
    locale: str
    theme: str

    @functools.cached_property
    def brain(self) -> Brain:
        """The platform's APIs with this person's token."""
        token = self.session.access_token if self.session else None
        return Brain(self.portal.platform, token)

    @property
    def person(self) -> Session:
        """Who is signed in. Raises SignInNeeded when nobody is."""
        if self.session is None:
            raise SignInNeeded
        return self.session

    @property
    def is_partial(self) -> bool:
        """True when htmx asks for a part of a page."""
        return self.request.headers.get("hx-request") == "true"

    def text(self, message: str) -> str:
        """A text in the language of this visit."""
        return self.portal.pages.translations[self.locale].gettext(message)

    def url(self, path: str | None = None, **changes: Any) -> str:
        """An address with query parameters: those of this request with changes, or, for another path, changes alone."""
        known = dict(self.request.query_params) if path is None else {}
        known.update({name: str(value) for name, value in changes.items()})
        query = urlencode({name: value for name, value in known.items() if value not in ("", "None")})
        return (path or self.request.url.path) + (f"?{query}" if query else "")

    def api_url(self, service: str, path: str) -> str:
        """Full address of a public API call, as a third party would make it."""
        return f"{str(self.request.base_url).rstrip('/')}/api/{service}{path}"

    def page(self, template: str, status: int = 200, headers: dict[str, str] | None = None, **context: Any) -> Response:
        """Render a template with what every page needs."""
        html = self.portal.pages.render(
            self.locale,
            template,
            visit=self,
            person=self.session,
            rail=rail(self.session, self.request.url.path),
            form_token=form_token(self.secret) if self.secret else "",
            now=utc_now(),
            level_words={code: self.text(word) for code, word in LEVELS.items()},
            **context,
        )
        return HTMLResponse(html, status, headers=headers)

    def go(self, path: str) -> Response:
        """See other: the answer to a form that did its work."""
        if self.is_partial:
            return Response(status_code=204, headers={"HX-Redirect": path})
        return RedirectResponse(path, 303)

    def set_cookie(
        self, response: Response, name: str, value: str, max_age: int | None, readable: bool = False
    ) -> None:
        """Set a cookie for this site only; scripts see it only when readable."""
        secure = self.request.url.scheme == "https"
        response.set_cookie(
            name, value, max_age=max_age, path="/", secure=secure, httponly=not readable, samesite="lax"
        )


def open_visit(request: Request) -> Visit:
    """The visit of a request, signed in or not."""
    portal: Portal = request.app.state.portal
    secret = request.cookies.get(SESSION_COOKIE, "")
    session = portal.sessions.find(secret, utc_now()) if secret else None
    if session is None:
        secret = request.cookies.get(FORM_COOKIE, "")
    elif session.access_expires - time.time() < _RENEW_BEFORE_S:
        session = _renew(portal, secret, session)
    locale = request.cookies.get(LOCALE_COOKIE, "zh")
    theme = request.cookies.get(THEME_COOKIE, "auto")
    return Visit(
        request,
        portal,
        session,
        secret,
        locale if locale in LOCALES else "zh",
        theme if theme in THEMES else "auto",
    )


def _renew(portal: Portal, secret: str, session: Session) -> Session | None:
    """The session with fresh tokens; None when the sign-in has ended. Of several requests one renews, others wait."""
    if not portal.sessions.claim_renewal(secret, utc_now()):
        return _renewed_by_another(portal, secret, session)
    current = portal.sessions.find(secret, utc_now())
    if current is None or current.refresh_token != session.refresh_token:
        # Between our reading and our claim another request renewed: the token that we read is spent.
        portal.sessions.release_renewal(secret)
        return current
    try:
        tokens = Brain(portal.platform, None).renew(session.refresh_token)
    except Unauthenticated:
        portal.sessions.close(secret)
        return None
    except Problem:
        portal.sessions.release_renewal(secret)
        raise
    renewed = with_tokens(session, tokens)
    portal.sessions.replace(secret, renewed)
    return renewed


def _renewed_by_another(portal: Portal, secret: str, session: Session) -> Session | None:
    """The tokens that another request is fetching; meanwhile the old one still serves while it is valid."""
    deadline = time.monotonic() + _RENEWAL_WAIT_S
    while session.access_expires <= time.time() and time.monotonic() < deadline:
        time.sleep(_RENEWAL_POLL_S)
        found = portal.sessions.find(secret, utc_now())
        if found is None:
            return None
        session = found
    return session


def with_tokens(session: Session, tokens: Tokens) -> Session:
    """The same session with other tokens."""
    return dataclasses.replace(
        session,
        access_token=tokens.access,
        refresh_token=tokens.refresh,
        access_expires=time.time() + tokens.expires_in_s,
    )


def signed_in(request: Request) -> Visit:
    """The visit of somebody who is signed in. Raises SignInNeeded."""
    visit = open_visit(request)
    if visit.session is None:
        raise SignInNeeded
    return visit


def operator(request: Request) -> Visit:
    """The visit of somebody who runs the platform. Raises SignInNeeded or Forbidden."""
    visit = signed_in(request)
    if not visit.person.is_operator:
        raise Forbidden("没有这个页面，或者您的角色看不到它。")
    return visit


def check_form_token(visit: Visit, token: str) -> None:
    """Raise FormExpired unless the request comes from a page that this portal gave to this browser."""
    if not comes_from_here(visit.request) or not form_token_matches(visit.secret, token):
        raise FormExpired("表单已失效：请刷新页面后重试。")


@dataclass(frozen=True)
class Submission:
    """A form sent by its rightful owner."""

    visit: Visit
    form: Form


def submission(request: Request, form: Annotated[Form, Depends(read_form)]) -> Submission:
    """A form of somebody signed in, its token checked. Raises SignInNeeded or FormExpired."""
    visit = signed_in(request)
    check_form_token(visit, form.one("form_token") or request.headers.get("x-form-token", ""))
    return Submission(visit, form)


SignedIn = Annotated[Visit, Depends(signed_in)]
Operator = Annotated[Visit, Depends(operator)]
Sent = Annotated[Submission, Depends(submission)]
Anybody = Annotated[Visit, Depends(open_visit)]


def sign_in_address(request: Request) -> str:
    """The sign-in page, with the way back to this request when it was a page view."""
    if request.method != "GET" or request.url.path == "/":
        return "/sign-in"
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/sign-in?next={quote(target, safe='')}"


def fresh_form_secret(visit: Visit) -> str:
    """A cookie value for forms of people not signed in; keeps one that is there."""
    return visit.secret or new_secret()
