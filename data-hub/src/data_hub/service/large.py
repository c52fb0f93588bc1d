"""Receiving large pushes: typed while they come in, in bounded memory, kept as `received` until they are safe.

A process that dies in between leaves a push in state `received` whose lease runs out; the sweep then refuses it and
frees its Idempotency-Key, so that the same content can be sent again.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
import structlog
from brain_kit.clock import utc_now
from brain_kit.problems import Problem
from fastapi.concurrency import run_in_threadpool

from data_hub import store
from data_hub.domain.push import SHOWN_REJECTS
from data_hub.domain.refusals import ContentRefused
from data_hub.engine.media import Format
from data_hub.engine.warehouse import Warehouse, contract_schema, table_folder
from data_hub.service.push import Findings, Intent, Pushes, Received, concluded, new_record, stamp_of
from data_hub.store import PushRecord

if TYPE_CHECKING:
    from data_hub.engine.bulk import BulkTyper, Stretch, TypedFile
    from data_hub.engine.rejects import RejectFile
    from data_hub.engine.segments import CsvSegments, LineSegments, WholeBody
    from data_hub.engine.staged import StagedPart

log = structlog.get_logger()
PIECE_BYTES = 4 << 20
SEGMENTS_AHEAD = 2
STOP = None
NOTHING = ""
# How soon a stretch that is typed is looked after when no other one comes in.
LOOK_S = 0.05
COUNTS = ("content_sha256", "bytes", "received", "accepted", "rejected")
CONCLUDED = (*COUNTS, "staged", "rejects", "rejects_key", "problems", "validated_at")


@dataclass
class _Work:
    """One large push at work."""

    intent: Intent
    folder: Path
    typer: BulkTyper
    rejects: RejectFile
    # Only a repeat under the same Idempotency-Key is ever compared with what came before.
    digest: Any = None
    size: int = 0
    queue: Queue[Path | None] = field(default_factory=lambda: Queue(SEGMENTS_AHEAD))
    # Parts by typed file, so that a file that is written anew later takes its part away.
    parts: dict[Path, StagedPart] = field(default_factory=dict)
    failure: BaseException | None = None
    thread: threading.Thread | None = None
    sink: LineSegments | CsvSegments | WholeBody | None = None
    stored: int = 0

    @property
    def content_sha256(self) -> str | None:
        """The digest of the body so far, None where nobody will ask for it."""
        return None if self.digest is None else str(self.digest.hexdigest())


class LargePushes:
    """Use cases of pushes that do not fit in memory."""

    def __init__(self, pushes: Pushes, warehouse: Warehouse) -> None:
        self._pushes = pushes
        self._warehouse = warehouse
        self._settings = pushes.settings
        self.heavy = threading.BoundedSemaphore(self._settings.data_hub_typings)
        self._at_work: set[str] = set()
        self._keeper: threading.Thread | None = None
        self._lock = threading.Lock()

    async def receive(self, intent: Intent, head: bytes, chunks: AsyncIterator[bytes]) -> Received:
        """Takes the rest of a body whose beginning has come in; answers once its rows are safe.

        Raises IdempotencyKeyReused, PushInProgress, SpoolFull, StoreFull, and what reading the body raises.
        """
        earlier = await run_in_threadpool(self._pushes.earlier, intent)
        if earlier is not None:
            digest = hashlib.sha256(head)
            async for chunk in chunks:
                digest.update(chunk)
            return self._pushes.replay(intent, earlier, digest.hexdigest())
        work = await run_in_threadpool(self._begin, intent)
        try:
            await self._feed(work, head, chunks)
            return await run_in_threadpool(self._finish, work)
        except BaseException as error:
            await asyncio.shield(run_in_threadpool(self._give_up, work, error))
            if isinstance(error, ContentRefused):
                return await run_in_threadpool(self._refused, work, error)
            raise
        finally:
            await asyncio.shield(run_in_threadpool(self._clean, work))

    async def _feed(self, work: _Work, head: bytes, chunks: AsyncIterator[bytes]) -> None:
        """Hands pieces on in another thread while the next ones come in."""
        pieces, size = [head], len(head)
        running: asyncio.Task[None] | None = None
        try:
            async for chunk in chunks:
                pieces.append(chunk)
                size += len(chunk)
                if size >= PIECE_BYTES:
                    if running is not None:
                        await running
                    running = asyncio.create_task(run_in_threadpool(self._take, work, pieces))
                    pieces, size = [], 0
        finally:
            if running is not None:
                await running
        await run_in_threadpool(self._take, work, pieces)

    def _begin(self, intent: Intent) -> _Work:
        from data_hub.engine.bulk import BulkTyper
        from data_hub.engine.duck import disk_errors, open_duck
        from data_hub.engine.rejects import RejectFile

        lease = utc_now() + timedelta(seconds=self._settings.data_hub_push_lease_s)
        record = replace(new_record(intent, None, 0), lease_until=lease)
        try:
            with self._pushes.database.transaction() as session:
                store.insert_push(session, record)
        except sa.exc.IntegrityError:
            self._pushes.in_progress(intent)
        self._hold(intent.push_id)
        folder = self._settings.spool / intent.push_id
        with disk_errors():
            folder.mkdir(parents=True)
        state = self._warehouse.table_state(intent.contract.name)
        known = {column.name for column in state.schema}
        fits = state.schema and known.issuperset(intent.contract.column_names)
        fields = state.schema if fits else contract_schema(intent.contract)
        rejects = RejectFile(folder / "rejects.parquet", SHOWN_REJECTS)
        duck = open_duck(folder / "duck", self._settings.data_hub_memory_mb)
        work = _Work(
            intent, folder, BulkTyper(duck, intent.contract, stamp_of(intent), fields, folder, rejects), rejects
        )
        work.digest = hashlib.sha256() if intent.idempotency_key else None
        work.sink = self._sink(work)
        work.thread = threading.Thread(target=self._type_segments, args=(work,), name=f"type-{intent.push_id}")
        work.thread.start()
        return work

    def _sink(self, work: _Work) -> LineSegments | CsvSegments | WholeBody:
        from data_hub.engine.segments import CsvSegments, LineSegments, WholeBody

        media, size = work.intent.media, self._settings.data_hub_segment_bytes
        if media.format is Format.NDJSON:
            return LineSegments(work.folder, size, lambda path: self._enqueue(work, path))
        if media.format is Format.CSV:
            return CsvSegments(
                work.folder, size, lambda path: self._enqueue(work, path), work.typer.wanted, media.charset
            )
        return WholeBody(work.folder / "body")

    def _take(self, work: _Work, pieces: list[bytes]) -> None:
        if work.failure is not None:
            raise work.failure
        assert work.sink is not None
        for piece in pieces:
            if work.digest is not None:
                work.digest.update(piece)
            work.size += len(piece)
        if pieces:
            work.sink.write(pieces)

    def _enqueue(self, work: _Work, path: Path) -> None:
        if work.failure is not None:
            raise work.failure
        work.queue.put(path)

    def _type_segments(self, work: _Work) -> None:
        """The thread of one push: has its stretches typed beside each other and takes them in order."""
        from data_hub.engine.lanes import LANES

        begun: deque[Stretch] = deque()
        is_open = True
        while is_open:
            path = _next(work.queue, begun)
            is_open = path is not STOP
            if work.failure is not None:
                continue
            try:
                if isinstance(path, Path):
                    begun.append(self._begin_segment(work, path))
                while begun and (not is_open or len(begun) >= LANES or begun[0].typed.done()):
                    self._take_segment(work, begun.popleft(), cast("LineSegments", work.sink))
            except BaseException as error:  # noqa: BLE001 - handed to the thread that receives
                work.failure = error

    def _begin_segment(self, work: _Work, path: Path) -> Stretch:
        from data_hub.engine.segments import CsvSegments

        header = work.sink.header if isinstance(work.sink, CsvSegments) else None
        return work.typer.begin(path, header, self.heavy)

    def _take_segment(self, work: _Work, stretch: Stretch, lines: LineSegments) -> None:
        from data_hub.engine.bulk import refuse_too_many

        typed = work.typer.finish(stretch, self.heavy)
        lines.give_back(stretch.path)
        refuse_too_many(work.typer.result.received, self._settings.data_hub_push_limit_rows)
        if typed is not None:
            work.typer.behind.do(self._stage, work, typed)

    def _stage(self, work: _Work, typed: TypedFile) -> None:
        """Stores a typed file: in the table's own folder when it can become a data file as it is."""
        from data_hub.engine.staged import StagedPart

        work.stored += 1
        folder = "staged" if typed.has_row else f"{table_folder(work.intent.contract.name)}/data"
        key = f"{folder}/{work.intent.push_id}-{work.stored:05d}.parquet"
        info = self._pushes.objects.put_file(key, typed.path)
        ids = {column.name: column.field_id for column in work.typer.schema}
        work.parts[typed.path] = StagedPart(key, typed.rows, info.size, typed.first_row, typed.has_row, ids)

    def _finish(self, work: _Work) -> Received:
        assert work.sink is not None
        work.sink.close()
        self._join(work)
        if isinstance(work.sink, self._whole_type()):
            self._type_whole(work, work.sink.path)
        self._drop_duplicates(work)
        findings = self._findings(work)
        kept = concluded(new_record(work.intent, work.content_sha256, work.size), findings)
        parts = [work.parts[file.path] for file in work.typer.result.files]
        kept = replace(kept, staged=[part.stored() for part in parts] if kept.state == "validated" else None)
        self._conclude(work, kept)
        return Received(kept)

    def _type_whole(self, work: _Work, path: Path) -> None:
        from data_hub.engine.segments import LineSegments
        from data_hub.engine.whole import lines_of_array, type_columnar, type_xlsx

        media = work.intent.media.format
        if media is Format.JSON:
            lines = LineSegments(
                work.folder,
                self._settings.data_hub_segment_bytes,
                lambda path: self._take_segment(work, self._begin_segment(work, path), lines),
            )
            lines_of_array(work.typer, path, lines)
            return
        with self.heavy:
            if media is Format.XLSX:
                type_xlsx(work.typer, path, self._settings.data_hub_xlsx_limit_bytes)
            else:
                type_columnar(work.typer, path, media)
        path.unlink()
        for typed in work.typer.result.files:
            self._stage(work, typed)

    def _drop_duplicates(self, work: _Work) -> None:
        from data_hub.engine.duplicates import drop_duplicates

        with self.heavy:
            drop_duplicates(work.typer)
        kept = {file.path for file in work.typer.result.files}
        for path in [path for path in work.parts if path not in kept]:
            self._pushes.objects.delete(work.parts.pop(path).key)
        for typed in work.typer.result.files:
            if typed.path not in work.parts:
                self._stage(work, typed)

    def _findings(self, work: _Work) -> Findings:
        work.rejects.close()
        result = work.typer.result
        key = None
        if work.rejects.count:
            key = f"rejects/{work.intent.push_id}.parquet"
            self._pushes.objects.put_file(key, work.rejects.path)
        rejected = result.received - result.accepted
        return Findings(result.received, result.accepted, rejected, tuple(work.rejects.first), key)

    def _conclude(self, work: _Work, record: PushRecord) -> None:
        values = {name: getattr(record, name) for name in CONCLUDED}
        with self._pushes.database.transaction() as session:
            if not store.advance(session, record.id, record.state, **values, lease_until=None):  # type: ignore[arg-type]
                raise ContentRefused("interrupted", "推送接收得太久，已被中断；请重新推送")
            self._pushes.announce(session, work.intent.caller, record)
        self._pushes.after(record)

    def _give_up(self, work: _Work, error: BaseException) -> None:
        """Frees the Idempotency-Key and takes away what was stored; a refusal of content is kept by `_refused`."""
        work.failure = work.failure or error
        self._join(work, quiet=True)
        work.typer.close()
        for part in work.parts.values():
            self._discard(part.key)
        if isinstance(error, ContentRefused):
            return
        code = error.code if isinstance(error, Problem) else "interrupted"
        detail = error.detail if isinstance(error, Problem) else "接收中断，没有留下任何数据；请重新推送"
        values = {"problems": [{"code": code, "detail": detail}], "idempotency_key": None, "lease_until": None}
        try:
            with self._pushes.database.transaction() as session:
                store.advance(session, work.intent.push_id, "refused", **values)
        except Problem as problem:
            log.warning("push_not_marked", push=work.intent.push_id, code=problem.code)

    def _refused(self, work: _Work, problem: ContentRefused) -> Received:
        record = new_record(work.intent, work.content_sha256, work.size)
        record = concluded(record, Findings(work.typer.result.received, 0, 0, problem=problem))
        with self._pushes.database.transaction() as session:
            values = {"problems": record.problems, "received": record.received, "bytes": record.bytes}
            store.advance(session, record.id, "refused", **values, idempotency_key=None, lease_until=None)
            self._pushes.announce(session, work.intent.caller, record)
        self._pushes.after(record)
        return Received(record)

    def _discard(self, key: str) -> None:
        try:
            self._pushes.objects.delete(key)
        except Problem as problem:
            log.info("staged_object_left", key=key, code=problem.code)

    def _join(self, work: _Work, *, quiet: bool = False) -> None:
        """Waits for the typing thread; raises what it met."""
        if work.thread is not None:
            work.queue.put(STOP)
            work.thread.join()
            work.thread = None
        if work.failure is not None and not quiet:
            raise work.failure

    def _clean(self, work: _Work) -> None:
        with self._lock:
            self._at_work.discard(work.intent.push_id)
        work.typer.close()
        work.typer.duck.close()
        shutil.rmtree(work.folder, ignore_errors=True)

    def _hold(self, push_id: str) -> None:
        """Keeps the lease of a push as long as this process lives."""
        with self._lock:
            self._at_work.add(push_id)
            if self._keeper is None or not self._keeper.is_alive():
                self._keeper = threading.Thread(target=self._keep_leases, name="push-leases", daemon=True)
                self._keeper.start()

    def _keep_leases(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(self._settings.data_hub_push_lease_s / 4)
            with self._lock:
                held = sorted(self._at_work)
                if not held:
                    self._keeper = None
                    return
            until = utc_now() + timedelta(seconds=self._settings.data_hub_push_lease_s)
            try:
                with self._pushes.database.transaction() as session:
                    store.renew_leases(session, held, until)
            except Problem as problem:
                log.warning("push_leases_not_renewed", code=problem.code)

    @staticmethod
    def _whole_type() -> type[WholeBody]:
        from data_hub.engine.segments import WholeBody

        return WholeBody


def _next(queue: Queue[Path | None], begun: Sequence[Stretch]) -> Path | str | None:
    """The next stretch, STOP at the end, or NOTHING when it is time to look after those that were begun."""
    try:
        return queue.get(timeout=LOOK_S if begun else None)
    except Empty:
        return NOTHING
