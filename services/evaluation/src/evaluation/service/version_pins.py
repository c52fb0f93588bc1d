"""Values keep the versions that they came from, so that their query gives the same row as long as they are shown.

The data hub forgets old versions of a table. A version is noted here first, pinned there next, and its pin noted last,
so that a crash in between leaves nothing behind that is not found again: a pin's reason names the note, and the same
reason gives the same pin. What no shown value and no running computation needs is let go by `sweep`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import structlog
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.ids import new_id
from brain_kit.problems import Conflict, NotFound

from evaluation.clients import DatasetVersion, Warehouse
from evaluation.store import pins as store

EXHAUSTED = "pins_exhausted"
log = structlog.get_logger()


class VersionPins:
    """Any number of processes may work on one database."""

    def __init__(self, database: Database, warehouse: Warehouse, sweep_s: float) -> None:
        self._database = database
        self._warehouse = warehouse
        self._sweep_s = sweep_s
        self._swept = time.monotonic()

    def keep(self, versions: Iterable[DatasetVersion | None]) -> None:
        """Pins the versions of a run, which must be stored with it already. Raises what the data hub answers.

        A version that is gone, or one too many, is told in the log and hinders no computation.
        """
        wanted = [(item.dataset, item.version) for item in versions if item is not None and item.version is not None]
        with self._database.transaction() as session:
            missing = store.ask(session, wanted, (new_id("vpn") for _ in wanted), utc_now())
        for row in missing:
            if self._pinned(row) is None and self.sweep():
                self._pinned(row)

    def sweep_if_due(self) -> None:
        """Lets go what is not needed, now and then."""
        if time.monotonic() - self._swept >= self._sweep_s:
            self.sweep()

    def sweep(self) -> int:
        """Lets go what no shown value and no running computation needs; how many pins that were."""
        self._swept = time.monotonic()
        with self._database.reading() as session:
            known = store.all_pins(session)
            needed = store.needed(session)
        gone = 0
        for row in known:
            if (row.dataset, row.version) in needed:
                continue
            pin = row.pin or self._pinned(row)  # one whose answer was lost is told again
            with self._database.transaction() as session:
                is_dropped = store.drop(session, row)
            if is_dropped and pin is not None:
                self._warehouse.unpin(row.dataset, row.version, pin)
                gone += 1
        return gone

    def _pinned(self, row: Any) -> str | None:
        """The pin of a note, made if it is not there; None when the data hub has none to give."""
        try:
            pin = self._warehouse.pin(row.dataset, row.version, f"指标的来源 {row.id}")
        except NotFound:
            log.warning("version_gone", dataset=row.dataset, version=row.version)
            return None
        except Conflict as problem:
            if problem.code != EXHAUSTED:
                raise
            log.warning("pins_exhausted", dataset=row.dataset, version=row.version)
            return None
        with self._database.transaction() as session:
            store.keep_pin(session, row.id, pin)
        return pin
