"""Receiving a push: who may, what it is, checking it, keeping it.

The checked rows of a small push are stored with its receipt, in one database transaction: an answer is given once they
are safe, and a process that dies earlier leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

import sqlalchemy as sa
import structlog
from brain_contracts.contract import DatasetContract
from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.events import emit_all
from brain_kit.ids import new_id
from brain_kit.objects import ObjectStore
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session

from data_hub import store
from data_hub.domain.push import SHOWN_REJECTS, Mode, Reject
from data_hub.domain.refusals import (
    ContentRefused,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    ModeImpossible,
    PushInProgress,
    PushNotPermitted,
    dataset_unknown,
)
from data_hub.domain.stamp import PushStamp
from data_hub.engine.media import Format, MediaType
from data_hub.service.arrivals import Arrivals, Judged, audit_of
from data_hub.service.known_contracts import KnownContracts
from data_hub.service.metrics import HubMetrics
from data_hub.service.readable import is_known_to
from data_hub.service.receipts import changed_event
from data_hub.settings import Settings
from data_hub.store import PushRecord

if TYPE_CHECKING:
    from data_hub.engine.checked import CheckedRows

log = structlog.get_logger()
# What is judged in a millisecond or two, without a thread of its own.
QUICK_FORMATS = {Format.NDJSON, Format.JSON, Format.CSV}
QUICK_BYTES = 64 << 10
PUSHING_ROLES = ("operator", "analyst", "provider", "manager", "member", "developer", "service")
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True)
class Intent:
    """A push that may come in: what it is for, and from whom."""

    push_id: str
    caller: Principal
    contract: DatasetContract
    mode: Mode
    media: MediaType
    idempotency_key: str | None
    created_at: datetime

    @property
    def only_owner(self) -> str | None:
        """The only value the owner column may have; None when the caller may push for anybody."""
        return self.caller.org if self.caller.org_kind == "enterprise" else None


@dataclass(frozen=True)
class Received:
    """What came of a push; is_replay: an earlier push with the same Idempotency-Key and content."""

    record: PushRecord
    is_replay: bool = False


@dataclass(frozen=True)
class Findings:
    """What checking found: counts, the first rejects, where all of them are, what is wrong with the whole."""

    received: int
    accepted: int
    rejected: int
    first: tuple[Reject, ...] = ()
    rejects_key: str | None = None
    problem: ContentRefused | None = None


class Pushes:
    """The use cases of receiving pushes."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        settings: Settings,
        metrics: HubMetrics,
        contracts: KnownContracts,
        on_validated: Callable[[], None],
    ) -> None:
        self.database = database
        self.objects = objects
        self.settings = settings
        self._metrics = metrics
        self._on_validated = on_validated
        self.contracts = contracts
        self._arrivals = Arrivals(database, self._after_all)
        # Small pushes that are being checked right now.
        self.arriving = 0
        self._counting = threading.Lock()

    def intend(
        self, caller: Principal, dataset: str, mode: Mode, media: MediaType, idempotency_key: str | None
    ) -> Intent:
        """Decides whether a push may come in.

        Raises PushNotPermitted, DatasetUnknown, ModeImpossible, IdempotencyKeyInvalid.
        """
        _check(caller, idempotency_key)
        contract = self.contracts.get(dataset)
        _check_owner(caller, contract)
        return self._intent(caller, contract, mode, media, idempotency_key)

    def known_intent(
        self, caller: Principal, dataset: str, mode: Mode, media: MediaType, idempotency_key: str | None
    ) -> Intent | None:
        """As `intend` but without asking the database; None when it has to be asked."""
        contract = self.contracts.fresh(dataset)
        if contract is None:
            return None
        _check(caller, idempotency_key)
        _check_owner(caller, contract)
        return self._intent(caller, contract, mode, media, idempotency_key)

    async def receive_small(self, intent: Intent, body: bytes) -> Received:
        """Checks a body that lies in memory and keeps the outcome, in one transaction.

        Raises IdempotencyKeyReused, PushInProgress.
        """
        try:
            with self._arriving():
                return Received(await self._keep_small(intent, body))
        except sa.exc.IntegrityError:
            return await run_in_threadpool(self._replay_small, intent, body)

    @contextmanager
    def _arriving(self) -> Iterator[None]:
        with self._counting:
            self.arriving += 1
        try:
            yield
        finally:
            with self._counting:
                self.arriving -= 1

    async def _keep_small(self, intent: Intent, body: bytes) -> PushRecord:
        if intent.media.format in QUICK_FORMATS and len(body) <= QUICK_BYTES:
            record = await self._arrivals.add(intent.caller, lambda: self._judge_quickly(intent, body))
            if record is not None:
                return record
        judged = await run_in_threadpool(self._judge, intent, body)
        record = await self._arrivals.add(intent.caller, lambda: judged)
        assert record is not None
        return record

    def _judge_quickly(self, intent: Intent, body: bytes) -> Judged | None:
        """A push with which nothing is wrong; None when something is, since its rejects have to be stored."""
        from data_hub.engine.small import check_small

        try:
            checked = check_small(body, intent.media, intent.contract, stamp_of(intent))
        except ContentRefused:
            return None
        if checked.rejects or not checked.accepted:
            return None
        return _judged(intent, body, Findings(checked.received, checked.accepted, 0), checked)

    def _judge(self, intent: Intent, body: bytes) -> Judged:
        from data_hub.engine.small import check_small

        try:
            checked = check_small(body, intent.media, intent.contract, stamp_of(intent))
            findings = self._findings(intent, checked.received, checked.accepted, checked.rejects)
        except ContentRefused as problem:
            return _judged(intent, body, Findings(0, 0, 0, problem=problem), None)
        return _judged(intent, body, findings, checked)

    def _replay_small(self, intent: Intent, body: bytes) -> Received:
        earlier = self.earlier(intent) or self.in_progress(intent)
        return self.replay(intent, earlier, hashlib.sha256(body).hexdigest())

    def refuse(self, intent: Intent, problem: ContentRefused) -> Received:
        """Keeps the refusal of a push whose body could not be read; its Idempotency-Key stays free."""
        record = concluded(
            new_record(replace(intent, idempotency_key=None), None, 0), Findings(0, 0, 0, problem=problem)
        )
        with self.database.transaction() as session:
            store.insert_push(session, record)
            self.announce(session, intent.caller, record)
        self.after(record)
        return Received(record)

    @staticmethod
    def _intent(
        caller: Principal, contract: DatasetContract, mode: Mode, media: MediaType, idempotency_key: str | None
    ) -> Intent:
        if mode != "append" and not contract.key:
            raise ModeImpossible(f"{contract.name} 没有主键，只能 mode=append", dataset=contract.name)
        return Intent(new_id("psh"), caller, contract, mode, media, idempotency_key, utc_now())

    def in_progress(self, intent: Intent) -> NoReturn:
        """Raises PushInProgress: another push with the same Idempotency-Key came first."""
        raise PushInProgress(f"带 Idempotency-Key {intent.idempotency_key} 的推送还在接收，请稍后重试", retry_after_s=2)

    def replay(self, intent: Intent, earlier: PushRecord, digest: str) -> Received:
        """The earlier push with the same Idempotency-Key. Raises IdempotencyKeyReused, PushInProgress."""
        key = intent.idempotency_key
        if earlier.state == "received":
            raise PushInProgress(f"带 Idempotency-Key {key} 的推送 {earlier.id} 还在接收，请稍后重试", retry_after_s=2)
        if earlier.content_sha256 != digest or earlier.mode != intent.mode:
            raise IdempotencyKeyReused(
                f"Idempotency-Key {key} 已用于推送 {earlier.id}，内容或 mode 不同；新的内容请用新的键", push=earlier.id
            )
        return Received(earlier, is_replay=True)

    def announce(self, session: Session, caller: Principal, record: PushRecord) -> None:
        """Event and audit of a push that was validated or refused, in the transaction that says so."""
        emit_all(session, [changed_event(record), audit_of(caller, record)])

    def after(self, record: PushRecord) -> None:
        """What follows once the outcome is kept."""
        self._after_all([record])

    def _after_all(self, records: Sequence[PushRecord]) -> None:
        for record in records:
            self._metrics.pushes.labels(record.state).inc()
            self._metrics.rows.labels("accepted").inc(record.accepted)
            self._metrics.rows.labels("rejected").inc(record.rejected)
        if any(record.state == "validated" for record in records):
            self._on_validated()

    def _findings(self, intent: Intent, received: int, accepted: int, rejects: list[Reject]) -> Findings:
        if not rejects:
            return Findings(received, accepted, 0)
        from data_hub.engine.rejects import rejects_bytes

        key = f"rejects/{intent.push_id}.parquet"
        self.objects.put(key, rejects_bytes(rejects))
        return Findings(received, accepted, received - accepted, tuple(rejects[:SHOWN_REJECTS]), key)

    def earlier(self, intent: Intent) -> PushRecord | None:
        """The push that has used the same Idempotency-Key."""
        if intent.idempotency_key is None:
            return None
        with self.database.reading() as session:
            return store.find_by_key(session, intent.caller.org, intent.contract.name, intent.idempotency_key)


def _check(caller: Principal, idempotency_key: str | None) -> None:
    if not caller.has(*PUSHING_ROLES):
        raise PushNotPermitted(f"推送数据需要其中一个角色：{'、'.join(PUSHING_ROLES)}", required=list(PUSHING_ROLES))
    check_key(idempotency_key)


def check_key(idempotency_key: str | None) -> None:
    """Raises IdempotencyKeyInvalid."""
    if idempotency_key is not None and not IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise IdempotencyKeyInvalid("Idempotency-Key 应为 1 到 200 个可见的 ASCII 字符")


def _check_owner(caller: Principal, contract: DatasetContract) -> None:
    """A data set of an organisation takes rows of that organisation only."""
    if contract.owner_org is None or contract.owner_org == caller.org:
        return
    if not is_known_to(caller, contract):
        raise dataset_unknown(contract.name)
    raise PushNotPermitted(f"{contract.name} 是组织 {contract.owner_org} 的数据集，只有它自己可以推送")


def stamp_of(intent: Intent) -> PushStamp:
    """What every row of the push carries."""
    return PushStamp(intent.push_id, intent.caller.org, intent.created_at, intent.mode, intent.only_owner)


def new_record(intent: Intent, digest: str | None, size: int) -> PushRecord:
    """A push that has just come in."""
    return PushRecord(
        id=intent.push_id,
        dataset=intent.contract.name,
        owner=intent.caller.org,
        subject=intent.caller.subject,
        mode=intent.mode,
        state="received",
        contract_version=intent.contract.version,
        media_type=intent.media.text,
        created_at=intent.created_at,
        idempotency_key=intent.idempotency_key,
        content_sha256=digest,
        bytes=size,
    )


def _judged(intent: Intent, body: bytes, findings: Findings, checked: CheckedRows | None) -> Judged:
    from data_hub.engine.checked import to_ipc

    data = to_ipc(checked.table) if checked is not None and checked.accepted else None
    return Judged(concluded(new_record(intent, hashlib.sha256(body).hexdigest(), len(body)), findings), data)


def concluded(record: PushRecord, findings: Findings) -> PushRecord:
    """The push with what checking found: validated when at least one row is right, else refused."""
    problems = _problems(findings)
    return replace(
        record,
        state="refused" if problems else "validated",
        received=findings.received,
        accepted=findings.accepted,
        rejected=findings.rejected,
        rejects=[reject.shown() for reject in findings.first],
        rejects_key=findings.rejects_key,
        problems=problems,
        validated_at=utc_now(),
    )


def _problems(findings: Findings) -> list[dict[str, Any]] | None:
    if findings.problem is not None:
        return [findings.problem.stored()]
    if findings.accepted:
        return None
    if not findings.received:
        return [{"code": "empty_body", "detail": "内容里没有数据行；请至少提供一行"}]
    detail = f"{findings.received} 行都不合合同；请按 rejects 改正后重新推送"
    return [{"code": "nothing_accepted", "detail": detail}]
