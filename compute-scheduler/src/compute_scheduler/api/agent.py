"""HTTP routes by which agents pull work and report it."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from brain_kit.auth import Principal, require
from brain_kit.database import Database
from brain_kit.events import wakeup
from brain_kit.openapi import gives, takes
from brain_kit.streaming import ClosingStream
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from compute_scheduler.api.bell import Bell
from compute_scheduler.api.files import OCTETS, Digest, file_answer, received_body
from compute_scheduler.api.network import DATASET, VERSION
from compute_scheduler.service import centres
from compute_scheduler.service.carrying import Carriage
from compute_scheduler.service.exchange import Exchange
from compute_scheduler.service.files import Files

Agent = Annotated[Principal, Depends(require("agent", "service"))]
CentreId = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
AttemptId = Annotated[str, Field(pattern=r"^job_[0-9A-Z]{26}\.[0-9]{1,6}(\.[0-9]{1,4})?$")]
AttemptPath = Annotated[str, Path(pattern=r"^job_[0-9A-Z]{26}\.[0-9]{1,6}(\.[0-9]{1,4})?$")]
TransferId = Annotated[str, Field(pattern=r"^trf_[0-9A-Z]{26}$")]
TransferPath = Annotated[str, Path(pattern=r"^trf_[0-9A-Z]{26}$")]
FileName = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$", description="`name` of the manifest")]
MOST_BYTES_A_CALL = 64 << 20
Nonce = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
# In a cluster the scheduler writes in another process, which wakes nobody here.
LOOK_EVERY_S = 0.25


class NodeReport(BaseModel):
    """A machine of the centre."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    cores: float = Field(ge=0, le=1e6)
    memory_mb: int = Field(ge=0, le=10**9)
    accelerators: dict[str, int] = Field({}, max_length=20)
    load: dict[str, float] = Field({}, max_length=20)
    address: str = Field(
        "", max_length=255, pattern=r"^[A-Za-z0-9.:_-]*$", description="host name or IP address; default: the name"
    )


class ReplicaName(BaseModel):
    """A version at the centre, as the rows and columns that were brought there."""

    model_config = ConfigDict(extra="forbid")
    dataset: str = Field(pattern=DATASET, max_length=120)
    version: str = Field(pattern=VERSION)
    view: str = Field(pattern=r"^(whole|open|[0-9A-Z]{18})$")


class Transferred(BaseModel):
    """How far a transfer is, or how it ended."""

    model_config = ConfigDict(extra="forbid")
    transfer: TransferId
    state: Literal["moving", "done", "failed"]
    done_bytes: int = Field(0, ge=0, le=1 << 60)
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    code: str = Field("", max_length=40)
    detail: str = Field("", max_length=500)


class SessionOpened(BaseModel):
    """An agent begins, with what it still holds."""

    model_config = ConfigDict(extra="forbid")
    instance: str = Field(pattern=r"^[0-9a-f]{32}$")
    nodes: list[NodeReport] = Field(max_length=10_000)
    capabilities: dict[str, Any] = Field({}, max_length=40)
    held: list[AttemptId] = Field([], max_length=100_000)
    replicas: list[ReplicaName] | None = Field(None, max_length=100_000)


class Pull(BaseModel):
    """An agent asks for work."""

    model_config = ConfigDict(extra="forbid")
    session: int
    nodes: list[NodeReport] | None = Field(None, max_length=10_000)
    ending: list[AttemptId] = Field([], max_length=100_000)
    first: bool = False
    wait_s: float = Field(0.0, ge=0, le=30)


class Claim(BaseModel):
    """A copy of an attempt asks to be the one that runs."""

    attempt: AttemptId
    nonce: Nonce


class LogPart(BaseModel):
    """A stretch of a log, base64."""

    attempt: AttemptId
    offset: int = Field(ge=0)
    data: str = Field(max_length=1 << 20, pattern=r"^[A-Za-z0-9+/=]*$")


class Output(BaseModel):
    """A file that was collected."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class Ended(BaseModel):
    """How an attempt ended, in the engine's words."""

    attempt: AttemptId
    nonce: Nonce
    record: dict[str, Any] = Field(max_length=30)
    outputs: dict[str, Output] = Field({}, max_length=200)
    missing: list[str] = Field([], max_length=200)


class EngineHealth(BaseModel):
    """Whether the engine answers."""

    state: Literal["up", "down"]
    detail: str = Field("", max_length=300)
    foreign_jobs: int = Field(0, ge=0)
    orphans: list[Annotated[str, Field(max_length=140)]] = Field([], max_length=20)
    shares: bool = Field(False, description="whether it gives parts of an accelerator")


class EngineState(BaseModel):
    """What the engine has to give, when that has changed."""

    nodes: list[NodeReport] = Field(max_length=10_000)
    health: EngineHealth


class Waits(BaseModel):
    """Why an attempt has not begun though the engine has it; with `notice` what will become of one that runs."""

    attempt: AttemptId
    reason: str = Field(max_length=300)
    notice: bool = False


class Report(BaseModel):
    """What an agent has to say."""

    model_config = ConfigDict(extra="forbid")
    session: int
    state: EngineState | None = None
    waits: list[Waits] = Field([], max_length=5000)
    claims: list[Claim] = Field([], max_length=5000)
    logs: list[LogPart] = Field([], max_length=1000)
    ended: list[Ended] = Field([], max_length=5000)
    transfers: list[Transferred] = Field([], max_length=1000)
    dropped: list[ReplicaName] = Field([], max_length=10_000)


def agent_routes(database: Database, exchange: Exchange, files: Files, carriage: Carriage) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1/agents/{centre}", tags=["agents"])
    bell = Bell()

    @router.post("/sessions", status_code=201, summary="代理建立会话")
    def open_agent_session(centre: CentreId, body: SessionOpened, caller: Agent) -> dict[str, Any]:
        """Begins a session, which ends every older one of the centre."""
        centres.check_agent(database, caller, centre)
        return exchange.open_session(centre, body.model_dump())

    @router.post("/pulls", summary="代理领取作业")
    async def pull_work(centre: CentreId, body: Pull, caller: Agent) -> dict[str, Any]:
        """Renews the lease and hands out work, at once or as soon as there is some within `wait_s`."""
        await run_in_threadpool(centres.check_agent, database, caller, centre)
        deadline = time.monotonic() + body.wait_s
        ending = set(body.ending)
        while True:
            seen = wakeup.count()
            if await run_in_threadpool(exchange.has_news, centre, ending) or time.monotonic() >= deadline:
                return await run_in_threadpool(exchange.pull, centre, body.session, body.model_dump())
            await bell.wait(seen, min(LOOK_EVERY_S, max(0.0, deadline - time.monotonic())))

    @router.post("/reports", summary="代理汇报")
    def report_work(centre: CentreId, body: Report, caller: Agent) -> dict[str, Any]:
        """Takes claims, logs and ends; says which claims are granted and which ends are kept."""
        centres.check_agent(database, caller, centre)
        return exchange.report(centre, body.session, body.model_dump())

    @router.get(
        "/attempts/{attempt}/inputs/{sha256}",
        summary="代理取输入文件",
        response_class=Response,
        responses=gives(OCTETS),
    )
    def read_input(centre: CentreId, attempt: AttemptPath, sha256: Digest, caller: Agent) -> Response:
        """An input of an attempt that the centre holds."""
        centres.check_agent(database, caller, centre)
        stream, size = files.open_input(centre, attempt, sha256)
        return file_answer(stream, size)

    @router.put("/attempts/{attempt}/outputs", status_code=201, summary="代理交输出文件", openapi_extra=takes(OCTETS))
    async def put_output(centre: CentreId, attempt: AttemptPath, caller: Agent, request: Request) -> dict[str, Any]:
        """Keeps an output of an attempt as a file of its organisation."""
        await run_in_threadpool(centres.check_agent, database, caller, centre)
        received = await received_body(files, request)
        try:
            return await run_in_threadpool(files.keep_output, caller, centre, attempt, received)
        finally:
            received.close()

    @router.get("/transfers/{transfer}/manifest", summary="代理取传输的文件清单")
    def read_transfer_manifest(centre: CentreId, transfer: TransferPath, caller: Agent) -> dict[str, Any]:
        """The files of a version that a job at the centre needs, each with its SHA-256, and the rate it may take."""
        centres.check_agent(database, caller, centre)
        return carriage.manifest(centre, transfer)

    @router.get(
        "/transfers/{transfer}/files/{name}",
        summary="代理取数据文件",
        response_class=Response,
        responses=gives(OCTETS),
    )
    def read_transfer_file(
        centre: CentreId,
        transfer: TransferPath,
        name: FileName,
        caller: Agent,
        length: Annotated[int, Query(ge=1, le=MOST_BYTES_A_CALL, description="字节数 bytes")],
        offset: Annotated[int, Query(ge=0, description="起始字节 first byte, from 0")] = 0,
    ) -> Response:
        """A stretch of a file, with the rights of the job's organisation and only where the data may go."""
        centres.check_agent(database, caller, centre)
        chunks, count = carriage.read(centre, transfer, name, offset, length)
        headers = {"Content-Length": str(count), "X-Content-Type-Options": "nosniff"}
        return ClosingStream(chunks, media_type=OCTETS, headers=headers)

    return router
