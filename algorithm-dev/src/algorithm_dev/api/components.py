"""HTTP routes of components, versions, files and their review."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any, Literal

from brain_kit.auth import Caller, Principal, require
from brain_kit.database import Database
from brain_kit.openapi import gives, takes
from brain_kit.streaming import ClosingStream
from fastapi import APIRouter, Body, Depends, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from algorithm_dev.domain.card import MAX_BYTES, Kind
from algorithm_dev.service import registry
from algorithm_dev.service.artefacts import ArtefactStore
from algorithm_dev.service.downloads import artefact_chunks
from algorithm_dev.service.errors import ArtefactTooLarge, CardRefused
from algorithm_dev.service.review import Review

Maker = Annotated[Principal, Depends(require("developer", "operator", "manager", "provider", "analyst"))]
Reviewer = Annotated[Principal, Depends(require("operator", "analyst"))]
IfMatch = Annotated[str | None, Header(description="the ETag of the state that the edit is based on")]
State = Literal["draft", "submitted", "published", "rejected", "withdrawn"]
SPOOL_BYTES = 1 << 20


class Verdict(BaseModel):
    """A decision with its reason."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "黄金向量与标准一致"}]})
    reason: str = Field("", max_length=2000)


class Reason(BaseModel):
    """Why; it stays on record."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "因子表有误，请用 1.1.0"}]})
    reason: str = Field(min_length=2, max_length=2000)


async def card_body(request: Request) -> bytes:
    """The document, JSON or YAML."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BYTES:
                raise CardRefused(f"卡片超过 {MAX_BYTES} 字节", errors=[{"field": "card", "reason": "过大"}])
    except ClientDisconnect as error:
        raise CardRefused("卡片没有传完，请重新提交", errors=[{"field": "card", "reason": "不完整"}]) from error
    return bytes(body)


def routes(database: Database, artefacts: ArtefactStore, review: Review) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["components"])
    _reading(router, database, artefacts)
    _writing(router, database, artefacts)
    _subscribing(router, database)
    _reviewing(router, database, review)
    return router


def _reading(router: APIRouter, database: Database, artefacts: ArtefactStore) -> None:
    @router.get("/components", summary="组件市场")
    def find_components(
        caller: Caller,
        q: Annotated[str, Query(max_length=200, description="words in Chinese or English")] = "",
        kind: Annotated[Kind | None, Query()] = None,
        owner: Annotated[str | None, Query(max_length=18, description="USCC, or platform")] = None,
        state: Annotated[State | None, Query()] = None,
        after: Annotated[str, Query(max_length=63, description="`next` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> dict[str, Any]:
        """Components that the caller may see, each by its newest published version."""
        return registry.find_components(
            database, caller, query=q, kind=kind, owner=owner, state=state, after=after, limit=limit
        )

    @router.get("/components/{name}", summary="组件")
    def read_component(name: str, caller: Caller) -> dict[str, Any]:
        """A component with its versions, aliases, subscriptions and calls."""
        return registry.read_component(database, caller, name)

    @router.get("/components/{name}/versions/{version}", summary="组件版本")
    def read_version(name: str, version: str, caller: Caller, response: Response) -> dict[str, Any]:
        """A version, named by number or alias, with its card; ETag for edits."""
        found = registry.read_version(database, caller, name, version)
        response.headers["ETag"] = found["etag"]
        return found

    @router.get(
        "/components/{name}/versions/{version}/artefacts/{path:path}",
        summary="组件文件",
        response_class=Response,
        responses=gives("application/octet-stream"),
    )
    def read_artefact(name: str, version: str, path: str, caller: Caller) -> Response:
        """A file of a version, its digest verified before the first byte is sent."""
        item, chunks = artefact_chunks(database, artefacts, caller, name, version, path)
        headers = {"Content-Length": str(item.size), "ETag": f'"{item.sha256}"'}
        return ClosingStream(chunks, headers=headers, media_type=item.media_type)


def _writing(router: APIRouter, database: Database, artefacts: ArtefactStore) -> None:
    @router.put("/artefacts", summary="上传组件文件", status_code=201, openapi_extra=takes("application/octet-stream"))
    async def put_artefact(
        request: Request,
        caller: Maker,
        sha256: Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$", description="of the content")] = None,
    ) -> dict[str, Any]:
        """Takes a file of a component; the answer {sha256, size} goes into the card. A repeat changes nothing."""
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > artefacts.limit_bytes:
            raise ArtefactTooLarge(f"文件 {int(announced):,} 字节，上限 {artefacts.limit_bytes:,} 字节")
        with SpooledTemporaryFile(max_size=SPOOL_BYTES) as spool:
            size = 0
            async for chunk in request.stream():
                size += len(chunk)
                if size > artefacts.limit_bytes:
                    raise ArtefactTooLarge(f"文件超过上限 {artefacts.limit_bytes:,} 字节")
                spool.write(chunk)
            spool.seek(0)
            return await run_in_threadpool(artefacts.put, caller, _pieces(spool), sha256)

    @router.put(
        "/components/{name}/versions/{version}",
        summary="登记组件草稿",
        openapi_extra=takes("application/json", "application/yaml"),
    )
    def put_draft(
        name: str,
        version: str,
        caller: Maker,
        card: Annotated[bytes, Depends(card_body)],
        response: Response,
        if_match: IfMatch = None,
    ) -> dict[str, Any]:
        """Registers a draft by its card (JSON or YAML), or replaces one; the files must have been uploaded."""
        made, is_new = registry.put_draft(database, caller, name, version, card, if_match)
        response.status_code = 201 if is_new else 200
        response.headers["ETag"] = made["etag"]
        return made

    @router.delete("/components/{name}/versions/{version}", status_code=204, summary="删除草稿")
    def delete_draft(name: str, version: str, caller: Maker, if_match: IfMatch = None) -> None:
        """Removes a draft; what was submitted stays for good."""
        registry.delete_draft(database, caller, name, version, if_match)


def _subscribing(router: APIRouter, database: Database) -> None:
    @router.put("/components/{name}/subscription", summary="订阅组件")
    def subscribe(name: str, caller: Caller) -> dict[str, Any]:
        """Subscribes the caller's organisation to a published component."""
        return registry.set_subscription(database, caller, name, wanted=True)

    @router.delete("/components/{name}/subscription", summary="取消订阅")
    def unsubscribe(name: str, caller: Caller) -> dict[str, Any]:
        """Ends the subscription of the caller's organisation."""
        return registry.set_subscription(database, caller, name, wanted=False)


def _reviewing(router: APIRouter, database: Database, review: Review) -> None:
    @router.get("/approvals", summary="待审批的版本")
    def list_approvals(caller: Reviewer) -> dict[str, Any]:
        """Versions that wait for a decision."""
        return registry.find_submitted(database, caller)

    @router.post("/components/{name}/versions/{version}/submit", summary="提交审批")
    def submit_version(name: str, version: str, caller: Maker, if_match: IfMatch = None) -> dict[str, Any]:
        """Verifies files, runs the golden vectors, and hands the version in; from then on it is immutable."""
        return review.submit(caller, name, version, if_match)

    @router.post("/components/{name}/versions/{version}/approve", summary="批准发布")
    def approve_version(
        name: str, version: str, caller: Reviewer, verdict: Annotated[Verdict | None, Body()] = None
    ) -> dict[str, Any]:
        """Runs the golden vectors again and publishes; the submitter cannot do it."""
        return review.approve(caller, name, version, verdict.reason if verdict else "")

    @router.post("/components/{name}/versions/{version}/reject", summary="退回")
    def reject_version(name: str, version: str, caller: Reviewer, reason: Reason) -> dict[str, Any]:
        """Sends a version back with a reason."""
        return review.reject(caller, name, version, reason.reason)

    @router.post("/components/{name}/versions/{version}/withdraw", summary="撤回")
    def withdraw_version(name: str, version: str, caller: Maker, reason: Reason) -> dict[str, Any]:
        """Takes a published version back with a reason; its card stays readable."""
        return review.withdraw(caller, name, version, reason.reason)

    @router.post("/components/{name}/versions/{version}/verify", summary="复验文件")
    def verify_version(name: str, version: str, caller: Maker) -> dict[str, Any]:
        """Reads every file of a version again; marks it broken, or mended when it was."""
        return review.verify(caller, name, version)


def _pieces(spool: Any) -> Iterator[bytes]:
    while chunk := spool.read(SPOOL_BYTES):
        yield chunk
