"""What the routes share: the service's parts, who may call, and how files come in."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import Annotated, Any

from brain_kit.auth import Caller, Principal, require
from brain_kit.database import Database
from fastapi import Depends, Header, Query, Request
from pydantic import Field, StrictFloat, StrictInt

from evaluation.service.evidence import EvidenceFiles, Offered
from evaluation.service.problems import EvidenceTooLarge, GovernmentOnly
from evaluation.settings import Settings

MEMORY_BYTES = 1 << 20
FILES = ("application/pdf", "image/png", "image/jpeg", "application/octet-stream")
TABLES = ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "text/csv")


@dataclass(frozen=True)
class Parts:
    """The parts of the service that routes call."""

    database: Database
    files: EvidenceFiles
    settings: Settings


async def government(caller: Caller) -> Principal:
    """A caller who may see every value. Raises GovernmentOnly."""
    if not caller.is_government:
        raise GovernmentOnly("指标数值与审核只向政府部门与运营方开放")
    return caller


Government = Annotated[Principal, Depends(government)]
Analyst = Annotated[Principal, Depends(require("operator", "analyst"))]
Factory = Annotated[Principal, Depends(require("manager", "member"))]
Operator = Annotated[Principal, Depends(require("operator"))]
Period = Annotated[str | None, Query(max_length=40, description="2025, 2025Q3, 2025-10 or 2025-01..2025-06")]
Cluster = Annotated[str | None, Query(max_length=64, description="id of a cluster; empty: the first one")]
After = Annotated[str | None, Query(max_length=64, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=500)]
IfMatch = Annotated[str | None, Header(description="version that the edit is based on")]
Number = Annotated[StrictInt | StrictFloat, Field(allow_inf_nan=False)]
ETAG: dict[int | str, dict[str, Any]] = {412: {"description": "edited by somebody else meanwhile"}}


async def received_evidence(
    request: Request,
    limit: int,
    name: str,
    criterion: str | None,
    sha256: str | None,
) -> Offered:
    """The body in a spool file that the caller closes. Raises EvidenceTooLarge before or while it is read."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    spool = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 - closed by the route
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            spool.write(chunk)
    except BaseException:
        spool.close()
        raise
    return Offered(name, request.headers.get("content-type", ""), spool, size, criterion, sha256)


def _too_large(limit: int) -> EvidenceTooLarge:
    return EvidenceTooLarge(f"佐证材料上限 {limit / (1 << 20):.0f} MB，请压缩或拆分后上传", limit_bytes=limit)
