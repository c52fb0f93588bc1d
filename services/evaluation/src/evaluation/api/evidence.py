"""HTTP routes of evidence files: of reported values and of assessments."""

from __future__ import annotations

from typing import Annotated, Any

from brain_kit.auth import Caller
from brain_kit.openapi import gives, takes
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from evaluation.api.evidence_answers import evidence_answer
from evaluation.api.parts import FILES, Analyst, Factory, Government, Parts, received_evidence

REPORT, ASSESSMENT = "report", "assessment"
FileName = Annotated[str, Query(max_length=400, description="file name with extension")]
Sha256 = Annotated[str | None, Query(pattern=r"^[0-9a-fA-F]{64}$", description="checked when given")]


def routes(parts: Parts) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["evidence"])
    files = parts.files

    @router.post("/reports/{report}/evidence", status_code=201, summary="上传佐证材料", openapi_extra=takes(*FILES))
    async def add_evidence(
        request: Request,
        report: str,
        caller: Analyst,
        name: FileName,
        sha256: Sha256 = None,
    ) -> dict[str, Any]:
        """Takes PDF, PNG, JPEG, XLSX, DOCX, OFD, CSV or TXT as the raw body; the same bytes twice count once."""
        offered = await received_evidence(request, parts.settings.evaluation_evidence_limit_bytes, name, None, sha256)
        with offered.file:
            return await run_in_threadpool(files.add, caller, REPORT, report, offered)

    @router.get(
        "/reports/{report}/evidence/{evidence_id}",
        summary="下载佐证材料",
        response_class=Response,
        responses=gives(*FILES),
    )
    def get_evidence(report: str, evidence_id: str, caller: Government) -> Response:
        """The file as it was uploaded, checked against its SHA-256 while it is sent."""
        return evidence_answer(*files.open(caller, REPORT, report, evidence_id))

    @router.delete("/reports/{report}/evidence/{evidence_id}", status_code=204, summary="移除佐证材料")
    def remove_evidence(report: str, evidence_id: str, caller: Analyst) -> None:
        """Takes a file away from a draft or a returned value."""
        files.remove(caller, REPORT, report, evidence_id)

    @router.post(
        "/assessments/{assessment}/evidence", status_code=201, summary="上传佐证材料", openapi_extra=takes(*FILES)
    )
    async def add_assessment_evidence(
        request: Request,
        assessment: str,
        caller: Factory,
        name: FileName,
        criterion: Annotated[str, Query(max_length=64, description="id of the criterion")],
        sha256: Sha256 = None,
    ) -> dict[str, Any]:
        """Takes a file for one criterion as the raw body; the same bytes twice count once."""
        limit = parts.settings.evaluation_evidence_limit_bytes
        offered = await received_evidence(request, limit, name, criterion, sha256)
        with offered.file:
            return await run_in_threadpool(files.add, caller, ASSESSMENT, assessment, offered)

    @router.get(
        "/assessments/{assessment}/evidence/{evidence_id}",
        summary="下载佐证材料",
        response_class=Response,
        responses=gives(*FILES),
    )
    def get_assessment_evidence(assessment: str, evidence_id: str, caller: Caller) -> Response:
        """The file as it was uploaded."""
        return evidence_answer(*files.open(caller, ASSESSMENT, assessment, evidence_id))

    @router.delete("/assessments/{assessment}/evidence/{evidence_id}", status_code=204, summary="移除佐证材料")
    def remove_assessment_evidence(assessment: str, evidence_id: str, caller: Factory) -> None:
        """Takes a file away."""
        files.remove(caller, ASSESSMENT, assessment, evidence_id)

    return router
