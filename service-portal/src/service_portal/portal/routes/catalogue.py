"""The catalogue of interfaces: search, one page an operation, and a form that tries it."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import unquote

from brain_kit.problems import InvalidInput, NotFound, TooLarge
from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from service_portal.portal import calling
from service_portal.portal import catalogue as shown
from service_portal.portal.exports import as_file
from service_portal.portal.security import FORM_LIMIT_BYTES
from service_portal.portal.trying import Try, try_call
from service_portal.portal.visit import SignedIn, Visit, check_form_token, signed_in

router = APIRouter()
COLUMNS = ("id", "service", "method", "path", "summary", "description")
SENT_ON = ("accept", "content-type", "if-match", "idempotency-key")
PREFIX = "x-try-"


@router.get("/catalogue")
def catalogue(visit: SignedIn, q: str = "", service: str = "", tag: str = "") -> Response:
    """Every operation, narrowed by words, service and tag."""
    known = shown.entries(visit.portal.document.read())
    found = shown.chosen(known, q, service, tag)
    services = list(dict.fromkeys(entry.service for entry in known))
    return visit.page(
        "catalogue.html",
        known=known,
        groups=[(name, [entry for entry in found if entry.service == name]) for name in services],
        found=found,
        services=services,
        titles={item["name"]: item["description"] for item in visit.portal.document.read()["tags"]},
        q=q,
        service=service,
        tag=tag,
    )


@router.get("/catalogue.csv")
def catalogue_file(visit: SignedIn, q: str = "", service: str = "", tag: str = "") -> Response:
    """The list of the page."""
    found = shown.chosen(shown.entries(visit.portal.document.read()), q, service, tag)
    return as_file("csv", "catalogue", COLUMNS, [{name: getattr(entry, name) for name in COLUMNS} for entry in found])


@router.get("/catalogue/{identity}")
def operation(visit: SignedIn, identity: str) -> Response:
    """An operation: parameters, examples, errors, lines to copy, and a form to try it."""
    found = _operation(visit, identity)
    base = str(visit.request.base_url).rstrip("/")
    return visit.page(
        "operation.html",
        operation=found,
        entry=found.entry,
        curl=calling.curl_line(found, base),
        python=calling.python_line(found, base),
        body=calling.body_of(found),
        accepts=list(dict.fromkeys(item.media for _, _, bodies in found.answers for item in bodies)),
        others=[
            item
            for item in shown.entries(visit.portal.document.read())
            if set(item.tags) & set(found.entry.tags) and item.service == found.entry.service
        ],
    )


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_LIMIT_BYTES:
            raise TooLarge(f"试用时内容不能超过 {FORM_LIMIT_BYTES // 1_000_000} MB，请用 curl 调用。")
    return bytes(body)


@router.post("/catalogue/{identity}/try")
async def try_operation(
    request: Request,
    visit: Annotated[Visit, Depends(signed_in)],
    identity: str,
    target: str,
    body: Annotated[bytes, Depends(_body)],
) -> Response:
    """Makes the call with the person's token; the answer tells status, headers, body and time, whatever they are."""
    check_form_token(visit, request.headers.get("x-form-token", ""))
    entry = _operation(visit, identity).entry
    if not fits(entry.path, target.partition("?")[0]):
        raise InvalidInput(f"地址不是 {entry.path} 的形式，请填全路径参数。", field="target")
    headers = {name: request.headers[PREFIX + name] for name in SENT_ON if request.headers.get(PREFIX + name)}
    call = Try(entry.method, target, headers, body)
    token = visit.person.access_token
    return JSONResponse(await try_call(visit.portal.api, call, token, request.scope.get("client"), request.url.scheme))


def fits(template: str, path: str) -> bool:
    """Whether a path is one of a template's: the same steps, each parameter given and one step long."""
    wanted, given = template.split("/"), path.split("/")
    return len(wanted) == len(given) and all(
        bool(unquote(step).strip()) if name.startswith("{") else step == name
        for name, step in zip(wanted, given, strict=True)
    )


def _operation(visit: Visit, identity: str) -> Any:
    found = shown.operation(visit.portal.document.read(), identity)
    if found is None:
        raise NotFound("没有这个接口；它的服务可能暂时没有回应。")
    return found
