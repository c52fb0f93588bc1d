"""The committer: takes validated pushes of a table in order and makes them part of it, each exactly once.

The table's pointer and the pushes live in one database. A commit moves the pointer from the metadata it has read (M)
to the new ones and marks its pushes committed in one transaction, on two conditions: the pointer is still M, and each
push is still `validated`. So whatever dies whenever, and however many committers believe to hold the lease, a push is
in the table if and only if it is marked committed, once. The push ids also stand in the snapshot's summary, for
anybody who looks at the table alone. The lease only saves work.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from brain_contracts.contract import DatasetContract
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.events import emit
from brain_kit.ids import new_id
from brain_kit.problems import Problem
from sqlalchemy.orm import Session

from data_hub import store
from data_hub.domain.batch import REPLACE, files_to_fold, take_batch
from data_hub.domain.push import SHOWN_REJECTS
from data_hub.domain.retention import snapshots_to_expire
from data_hub.domain.row_check import key_reject
from data_hub.domain.tables import TableState
from data_hub.engine.warehouse import Warehouse, table_folder
from data_hub.service.commit_outcome import Outcome, PushesTaken
from data_hub.service.commit_record import record_commit
from data_hub.service.metrics import HubMetrics
from data_hub.service.receipts import changed_event
from data_hub.service.staged_pushes import staged_pushes
from data_hub.service.waiting import PushWaiters
from data_hub.settings import Settings
from data_hub.store import PushRecord

if TYPE_CHECKING:
    import duckdb
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata

    from data_hub.engine.applying import Applied
    from data_hub.engine.staged import StagedPush

log = structlog.get_logger()
# Short, so that the rows of a killed committer wait seconds only; safety does not rest on it.
LEASE = timedelta(seconds=6)
RENEW_BEFORE = timedelta(seconds=3)
PAUSE_AFTER_ERROR_S = 1.0
# While pushes are on their way in, a commit waits this long for them at most: one commit of sixty pushes costs as much
# as one of a single push. A lone push finds nobody on the way and is committed at once.
LINGER_S = 0.1
LINGER_STEP_S = 0.004


class Committer:
    """Commits tables; `run` is the worker, `commit_once` one batch of one table."""

    def __init__(
        self, database: Database, warehouse: Warehouse, settings: Settings, waiters: PushWaiters, metrics: HubMetrics
    ) -> None:
        self._database = database
        self._warehouse = warehouse
        self._settings = settings
        self._waiters = waiters
        self._metrics = metrics
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{new_id('cmt')[-8:].lower()}"
        self._wake = threading.Event()
        self._leases: dict[str, Any] = {}
        self._folder = settings.spool / f"commit-{os.getpid()}-{new_id('d')[-6:].lower()}"
        self._local = threading.local()
        # Pushes of this process that are being checked right now; set by the wiring.
        self.arriving: Callable[[], int] = lambda: 0

    def wake(self) -> None:
        """Says that there may be something to commit."""
        self._wake.set()

    def run(self, stop: threading.Event) -> None:
        """Commits whatever is validated until told to stop."""
        self._waiters.committer_is_here()
        running: dict[str, Future[None]] = {}
        pool = ThreadPoolExecutor(self._settings.data_hub_committer_threads, thread_name_prefix="committer")
        try:
            while not stop.is_set():
                self._wake.wait(self._settings.data_hub_committer_poll_s)
                self._wake.clear()
                self._start_waiting_tables(pool, running, stop)
        finally:
            pool.shutdown(wait=True)
            self.close()

    def close(self) -> None:
        """Gives back leases and scratch space."""
        try:
            with self._database.transaction() as session:
                store.drop_leases(session, self.holder)
        except Problem as error:
            log.info("leases_kept", reason=error.detail)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start_waiting_tables(
        self, pool: ThreadPoolExecutor, running: dict[str, Future[None]], stop: threading.Event
    ) -> None:
        try:
            with self._database.reading() as session:
                waiting = store.waiting_datasets(session)
        except Problem as error:
            log.warning("committer_cannot_look", code=error.code)
            stop.wait(PAUSE_AFTER_ERROR_S)
            return
        for dataset in waiting:
            if dataset not in running or running[dataset].done():
                running[dataset] = pool.submit(self._drain, dataset, stop)

    def _drain(self, dataset: str, stop: threading.Event) -> None:
        """Commits batches of a table until nothing waits."""
        try:
            self._linger()
            while not stop.is_set() and self.commit_once(dataset):
                self._linger()
        except Problem as error:
            log.warning("commit_failed", dataset=dataset, code=error.code, detail=error.detail)
            stop.wait(PAUSE_AFTER_ERROR_S)
        except Exception:
            log.exception("commit_failed", dataset=dataset)
            stop.wait(PAUSE_AFTER_ERROR_S)

    def _linger(self) -> None:
        deadline = time.monotonic() + LINGER_S
        while self.arriving() and time.monotonic() < deadline:
            time.sleep(LINGER_STEP_S)

    def commit_once(self, dataset: str) -> bool:
        """Commits one batch; False when there was nothing to do or another committer has the table.

        Raises the problems of database and object store; the pushes then stay validated.
        """
        if not self._has_lease(dataset):
            return False
        # Loaded here and not at the top: pyiceberg takes a second, and starts should not wait for it.
        from pyiceberg.exceptions import CommitFailedException

        with self._database.reading() as session:
            contract = store.get_contract(session, dataset)
            records = take_batch(store.queue(session, dataset, self._settings.data_hub_batch_pushes))
            inline = store.load_staged_bytes(session, [record.id for record in records if not record.staged])
        if contract is None or not records:
            return False
        with self._metrics.commits.time():
            try:
                self._commit(contract, records, inline)
            except (CommitFailedException, PushesTaken) as error:
                self._metrics.conflicts.inc()
                log.info("commit_conflict", dataset=dataset, reason=str(error))
        return True

    def _has_lease(self, dataset: str) -> bool:
        now = utc_now()
        if self._leases.get(dataset, now) - RENEW_BEFORE > now:
            return True
        with self._database.transaction() as session:
            held = store.take_lease(session, dataset, self.holder, now, LEASE)
        if held:
            self._leases[dataset] = now + LEASE
        else:
            self._leases.pop(dataset, None)
        return held

    def _commit(self, contract: DatasetContract, records: list[PushRecord], inline: dict[str, bytes]) -> None:
        table = self._warehouse.ready_table(contract)
        state = self._warehouse.state_of(contract.name, table, table.current_snapshot())
        pushes = staged_pushes(records, inline)
        folder = self._folder / f"{contract.name}-{threading.get_ident()}"
        folder.mkdir(parents=True, exist_ok=True)
        outcome = Outcome(records)
        try:
            applied = self._apply(contract, state, pushes, outcome, folder)
            self._store_rejects(outcome)
            if applied.changes_table:
                self._commit_files(contract, table, applied, outcome)
            else:
                with self._database.transaction() as session:
                    self._keep(session, outcome.decide(None if state.snapshot_id is None else str(state.snapshot_id)))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._after(outcome.final, pushes, applied)

    def _apply(
        self,
        contract: DatasetContract,
        state: TableState,
        pushes: Sequence[StagedPush],
        outcome: Outcome,
        folder: Path,
    ) -> Applied:
        from data_hub.engine.applying import Applier
        from data_hub.engine.rejects import RejectFile

        def on_key_exists(push_id: str, number: int, key: tuple[Any, ...], original: str) -> None:
            if push_id not in outcome.rejects:
                outcome.rejects[push_id] = RejectFile(folder / f"{push_id}.parquet", SHOWN_REJECTS)
            outcome.rejects[push_id].add([key_reject("key_exists", contract, number, key, original)])

        local, out = self._warehouse.objects.local_path, folder / f"{new_id('dat')}.parquet"
        is_whole = pushes[0].mode == REPLACE
        files = () if is_whole else state.files
        applied = Applier(self._duck(), contract, state.schema, files, local, on_key_exists).apply(
            pushes, files_to_fold(files), out
        )
        if is_whole:
            applied.is_whole, applied.removed_files, applied.rows_removed = True, list(state.files), state.total_rows
        return applied

    def _commit_files(self, contract: DatasetContract, table: Table, applied: Applied, outcome: Outcome) -> None:
        from data_hub.engine import icecommit

        objects = self._warehouse.objects
        added = [icecommit.NewFile(part.key, objects.local_path(part.key)) for part in applied.direct]
        if applied.written is not None:
            key = f"{table_folder(contract.name)}/data/{applied.written.name}"
            objects.put_file(key, applied.written)
            added.append(icecommit.NewFile(key, applied.written))
        files = self._warehouse.data_files(table, table.current_snapshot()) if applied.removed_files else ()
        known = {objects.key_of(file.file_path): file for file in files}
        removed = [known[file.key] for file in applied.removed_files]

        expire = self._to_expire(contract.name, table)

        def also(session: Session, metadata: TableMetadata) -> None:
            snapshot = metadata.current_snapshot()
            assert snapshot is not None
            self._keep(session, outcome.decide(str(snapshot.snapshot_id)))
            record_commit(session, contract.name, metadata, applied, outcome, {str(item) for item in expire})

        icecommit.commit_files(
            self._warehouse.catalogue,
            table,
            [icecommit.data_file(table.metadata, objects, new) for new in added],
            removed,
            also,
            summary={icecommit.PUSHES: ",".join(record.id for record in outcome.records)},
            expire=expire,
        )
        self._warehouse.catalogue.keep(table)

    def _to_expire(self, dataset: str, table: Table) -> list[int]:
        snapshots = [(item.snapshot_id, item.timestamp_ms) for item in table.metadata.snapshots]
        now_ms = int(utc_now().timestamp() * 1000)
        found = snapshots_to_expire(snapshots, now_ms, self._settings.data_hub_snapshots_kept)
        if not found:
            return []
        with self._database.reading() as session:
            pinned = store.pinned_versions(session, dataset)
        return [item for item in found if str(item) not in pinned]

    def _keep(self, session: Session, final: Sequence[PushRecord]) -> None:
        """Marks the pushes; raises PushesTaken when one of them is no longer waiting."""
        plain = [record for record in final if record.state == "committed" and record.rejected == 0]
        if plain:
            at, snapshot = plain[0].committed_at, plain[0].snapshot
            assert at is not None
            if store.mark_committed(session, [record.id for record in plain], snapshot, at) != len(plain):
                raise PushesTaken("some pushes were committed by another committer")
        for record in final:
            if record.state == "committed" and record.rejected == 0:
                continue
            names = ("accepted", "rejected", "rejects", "rejects_key", "problems", "snapshot", "committed_at")
            values = {name: getattr(record, name) for name in names}
            if not store.advance(session, record.id, record.state, **values):  # type: ignore[arg-type]
                raise PushesTaken(f"push {record.id} was committed by another committer")
            if record.state == "refused":
                emit(session, changed_event(record))
        store.drop_staged_bytes(session, [record.id for record in final])

    def _store_rejects(self, outcome: Outcome) -> None:
        """Stores the reject files of pushes with keys that exist, those of validation included."""
        from data_hub.engine.rejects import read_rejects

        objects = self._warehouse.objects
        known = {record.id: record for record in outcome.records}
        for push_id, file in outcome.rejects.items():
            before = known[push_id].rejects_key
            if before is not None:
                counted, first = file.count, list(file.first)
                file.add(list(read_rejects(objects.local_path(before))))
                file.count, file.first = counted, first
            file.close()
            outcome.keys[push_id] = f"rejects/{push_id}-{new_id('rej')[-8:].lower()}.parquet"
            objects.put_file(outcome.keys[push_id], file.path)

    def _after(self, final: Sequence[PushRecord], pushes: Sequence[StagedPush], applied: Applied) -> None:
        self._waiters.settle(final)
        for record in final:
            self._metrics.pushes.labels(record.state).inc()
            self._metrics.rows.labels("committed").inc(record.accepted if record.state == "committed" else 0)
        used = {part.key for part in applied.direct}
        for push in pushes:
            for part in push.parts:
                if part.key not in used:
                    self._warehouse.objects.delete(part.key)

    def _duck(self) -> duckdb.DuckDBPyConnection:
        """The database of this thread: opening one costs more than a small commit needs it for."""
        from data_hub.engine.duck import open_duck

        if not hasattr(self._local, "duck"):
            folder = self._folder / f"duck-{threading.get_ident()}"
            self._local.duck = open_duck(folder, self._settings.data_hub_memory_mb)
        found: duckdb.DuckDBPyConnection = self._local.duck
        return found
