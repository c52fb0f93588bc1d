"""HTTP routes of data sets and contracts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from brain_kit.acting import ActingCaller
from brain_kit.database import Database
from brain_kit.openapi import gives, takes
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from data_hub.api.body import body_chunks
from data_hub.service import contracts
from data_hub.service.known_contracts import KnownContracts

MAX_CONTRACT_BYTES = 1 << 20


async def contract_body(request: Request) -> bytes:
    """The document, at most 1 MiB."""
    return b"".join([chunk async for chunk in body_chunks(request, MAX_CONTRACT_BYTES, MAX_CONTRACT_BYTES)])


def routes(database: Database, known: KnownContracts) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["datasets"])

    @router.get("/datasets", summary="数据集列表")
    def list_datasets(
        caller: ActingCaller,
        after: Annotated[str, Query(description="`next` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
        warehouse: Annotated[Literal["public", "industry", "enterprise"] | None, Query()] = None,
    ) -> dict[str, Any]:
        """Every registered data set with its figures."""
        return contracts.page_of_datasets(database, caller, after=after, limit=limit, warehouse=warehouse)

    @router.get("/datasets/{name}", summary="数据集")
    def read_dataset(name: str, caller: ActingCaller) -> dict[str, Any]:
        """Schema, key, rules, owner, a valid example row, figures and versions."""
        return contracts.dataset_detail(database, caller, name)

    @router.put("/contracts/{name}", summary="登记数据合同", openapi_extra=takes("application/yaml"))
    async def put_contract(
        name: str,
        caller: ActingCaller,
        body: Annotated[bytes, Depends(contract_body)],
        response: Response,
        breaking: Annotated[Literal["allow", "refuse"], Query(description="take a version that breaks")] = "refuse",
    ) -> dict[str, Any]:
        """Registers a version of an ODCS v3.1 document (operators); answers whether it is compatible or breaking."""
        answer = await run_in_threadpool(
            contracts.put_contract, database, known, caller, name, body, allow_breaking=breaking == "allow"
        )
        response.status_code = 201 if answer["created"] else 200
        return answer

    @router.get(
        "/contracts/{name}", summary="读取数据合同", response_class=Response, responses=gives("application/yaml")
    )
    def read_contract(name: str, caller: ActingCaller, version: Annotated[str | None, Query()] = None) -> Response:
        """The ODCS document, the newest or a named version."""
        return Response(contracts.contract_yaml(database, caller, name, version), media_type="application/yaml")

    return router
