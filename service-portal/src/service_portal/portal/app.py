"""Puts the portal together: state, routes, error pages, static files."""

from __future__ import annotations

from dataclasses import dataclass

from brain_kit.auth import public
from brain_kit.database import Database
from brain_kit.problems import BadRequest, NotFound, Problem, Unauthenticated, problem_body
from brain_kit.service import Platform
from brain_kit.settings import PlatformSettings
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from service_portal.portal.attempts import SignInBrake
from service_portal.portal.files import StaticFiles
from service_portal.portal.pages import Pages
from service_portal.portal.routes import all_routers
from service_portal.portal.security import SecurityHeaders, current_request_id
from service_portal.portal.sessions import SessionStore
from service_portal.portal.trying import ApiDoor
from service_portal.portal.visit import SESSION_COOKIE, SignInNeeded, open_visit, sign_in_address
from service_portal.service.document import Document


@dataclass(frozen=True)
class Portal:
    """What all requests share."""

    platform: Platform
    settings: PlatformSettings
    sessions: SessionStore
    pages: Pages
    files: StaticFiles
    brake: SignInBrake
    document: Document
    api: ApiDoor


def build(
    platform: Platform, settings: PlatformSettings, database: Database, document: Document, api: ApiDoor
) -> FastAPI:
    """The portal application. Raises FileNotFoundError when the browser assets were never fetched."""
    files = StaticFiles()
    app = FastAPI(title="portal", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    sessions = SessionStore(database)
    app.state.portal = Portal(platform, settings, sessions, Pages(files), files, SignInBrake(), document, api)
    app.add_middleware(SecurityHeaders)
    for router in all_routers():
        app.include_router(router)

    @app.get("/static/{release}/{name:path}", include_in_schema=False)
    @public("style sheets, scripts and icons of the sign-in page")
    def static_file(request: Request, release: str, name: str) -> Response:
        return files.respond(request, name)

    _handle_errors(app)
    return app


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(SignInNeeded)
    def to_sign_in(request: Request, _error: SignInNeeded) -> Response:
        address = sign_in_address(request)
        if request.headers.get("hx-request") == "true":
            return Response(status_code=401, headers={"HX-Redirect": address})
        if _wants_json(request):
            return JSONResponse({"detail": "登录已过期，请重新登录。", "sign_in": address}, 401)
        return RedirectResponse(address, 303)

    @app.exception_handler(Problem)
    def problem_page(request: Request, error: Problem) -> Response:
        if isinstance(error, Unauthenticated):
            # The services no longer take this person's token (a password was changed, a user disabled).
            request.app.state.portal.sessions.close(request.cookies.get(SESSION_COOKIE, ""))
            return to_sign_in(request, SignInNeeded())
        return show_problem(request, error)

    @app.exception_handler(HTTPException)
    def http_error(request: Request, error: HTTPException) -> Response:
        problem = NotFound("没有这个页面。") if error.status_code in (404, 405) else BadRequest(str(error.detail))
        return show_problem(request, problem)

    @app.exception_handler(RequestValidationError)
    def bad_address(request: Request, _error: RequestValidationError) -> Response:
        return show_problem(request, NotFound("地址里的参数无效。"))

    @app.exception_handler(Exception)
    def crash(request: Request, _error: Exception) -> Response:
        return show_problem(request, Problem("页面出错，已记录。请把请求编号发给运营方。"))


def _wants_json(request: Request) -> bool:
    return request.headers.get("accept", "").startswith("application/json")


def show_problem(request: Request, error: Problem) -> Response:
    """A problem in words: a page, a part of a page for htmx, or problem+json for scripts."""
    body = problem_body(error, instance=request.url.path, request_id=current_request_id())
    if _wants_json(request):
        return JSONResponse(body, error.status, media_type="application/problem+json")
    visit = open_visit(request)
    template = "_problem.html" if visit.is_partial else "problem.html"
    return visit.page(template, status=error.status, problem=body)
