"""HTTP routes of versions and pins."""

from __future__ import annotations

from typing import Annotated, Any

from brain_kit.acting import ActingCaller
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from data_hub.domain.versions import MAX_REASON
from data_hub.service.versions import Versions

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_REASON)]


class PinBody(BaseModel):
    """Why a version has to stay readable."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "2026 年三季度评价的依据"}]})

    reason: Reason = Field(description="shown beside the version")


def routes(versions: Versions) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1/datasets/{name}/versions", tags=["versions"])

    @router.get("", summary="数据集的版本")
    def list_versions(
        name: str,
        caller: ActingCaller,
        after: Annotated[int | None, Query(ge=0, description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> dict[str, Any]:
        """Versions that can be read with `version=`, newest first, each with its pins."""
        return versions.page(caller, name, limit, after)

    @router.post("/{version}/pins", status_code=201, summary="保留版本")
    def pin_version(name: str, version: str, body: PinBody, caller: ActingCaller, response: Response) -> dict[str, Any]:
        """Keeps a version from being forgotten until the pin is removed; the same pin again answers 200."""
        made, is_new = versions.pin(caller, name, version, body.reason)
        response.status_code = 201 if is_new else 200
        return made

    @router.delete("/{version}/pins/{pin}", status_code=204, summary="取消保留版本")
    def unpin_version(name: str, version: str, pin: str, caller: ActingCaller) -> None:
        """Removes a pin of one's own organisation."""
        versions.unpin(caller, name, version, pin)

    return router
