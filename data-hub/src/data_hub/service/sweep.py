"""Cleaning up after processes that died: interrupted pushes, their objects, their folders in the spool."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import structlog
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.events import emit
from brain_kit.objects import ObjectStore
from brain_kit.problems import Problem

from data_hub import store
from data_hub.engine.warehouse import table_folder
from data_hub.service.receipts import changed_event
from data_hub.service.version_files import VersionFiles
from data_hub.settings import Settings
from data_hub.store import PushRecord

log = structlog.get_logger()
EVERY_S = 5.0
SETTLED_S = 600.0
EXTRACTS_EVERY_S = 3600.0
INTERRUPTED = {"code": "interrupted", "detail": "接收中断，没有留下任何数据；请重新推送，可用同一 Idempotency-Key"}


class Sweeper:
    """Looks for what dead processes left; every step may be repeated."""

    def __init__(
        self, database: Database, objects: ObjectStore, settings: Settings, files: VersionFiles | None = None
    ) -> None:
        self._database = database
        self._objects = objects
        self._settings = settings
        self._files = files
        self._extracts_looked = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Sweeps at the start and then every few seconds."""
        while not stop.is_set():
            try:
                self.sweep()
            except Problem as error:
                log.warning("sweep_failed", code=error.code, detail=error.detail)
            stop.wait(EVERY_S)

    def sweep(self) -> int:
        """One round; returns how many pushes were found interrupted."""
        with self._database.reading() as session:
            found = store.interrupted(session, utc_now())
        for record in found:
            self._refuse(record)
        self._sweep_derived()
        self._sweep_spool()
        self._sweep_extracts()
        return len(found)

    def _sweep_derived(self) -> None:
        """Removes objects of data sets that were being made from a query when their process died; frees old pins."""
        now = utc_now()
        with self._database.transaction() as session:
            doomed = store.doom_stagings(session, now)
            store.drop_old_run_pins(session, now - timedelta(days=self._settings.data_hub_run_pin_days))
        for push, dataset in doomed:
            self._delete_objects(push, dataset)
            with self._database.transaction() as session:
                store.forget_staging(session, push)
            log.info("derivation_interrupted", push=push, dataset=dataset)

    def _delete_objects(self, push: str, dataset: str) -> None:
        for prefix in (f"staged/{push}-", f"{table_folder(dataset)}/data/{push}-"):
            for info in list(self._objects.list(prefix)):
                self._objects.delete(info.key)

    def _refuse(self, record: PushRecord) -> None:
        """Refuses a push whose process has died and frees its Idempotency-Key."""
        # Objects first: once the push is refused nobody would look for them again.
        self._delete_objects(record.id, record.dataset)
        values = {"problems": [INTERRUPTED], "idempotency_key": None, "lease_until": None}
        with self._database.transaction() as session:
            if store.advance(session, record.id, "refused", **values):
                refused = store.get_push(session, record.id)
                assert refused is not None
                emit(session, changed_event(refused))
        log.info("push_interrupted", push=record.id, dataset=record.dataset)

    def _sweep_spool(self) -> None:
        folders = list(self._old_folders())
        if not folders:
            return
        with self._database.reading() as session:
            states = store.states_of(session, [folder.name for folder in folders])
        for folder in folders:
            if states.get(folder.name) != "received":
                shutil.rmtree(folder, ignore_errors=True)

    def _sweep_extracts(self) -> None:
        if self._files is not None and time.monotonic() - self._extracts_looked > EXTRACTS_EVERY_S:
            self._extracts_looked = time.monotonic()
            self._files.forget_extracts(utc_now() - timedelta(days=self._settings.data_hub_extract_days))

    def _old_folders(self) -> Iterator[Path]:
        """Folders of pushes that nothing has written to lately, and of committers whose process is gone."""
        if not self._settings.spool.is_dir():
            return
        for folder in self._settings.spool.iterdir():
            try:
                age_s = time.time() - folder.stat().st_mtime
            except FileNotFoundError:
                continue
            if folder.name.startswith("commit-") and not _is_alive(folder.name.split("-")[1]):
                shutil.rmtree(folder, ignore_errors=True)
            elif folder.name.startswith("psh_") and age_s > SETTLED_S:
                yield folder


def _is_alive(pid: str) -> bool:
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
