"""Settling: what the gateway counted and recorded goes to the database, plans come from it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from brain_contracts.events import AuditRecorded
from brain_kit.database import Database
from brain_kit.events import emit_all
from brain_kit.problems import Problem

from service_portal.domain.plans import DEFAULT_PLANS, Plan
from service_portal.domain.usage import Meter
from service_portal.store import control

log = structlog.get_logger()

Take = Callable[[], list[AuditRecorded]]
GiveBack = Callable[[list[AuditRecorded]], None]
Replace = Callable[[dict[str, Plan], dict[str, str]], None]


class Settlement:
    """Moves counts and records in one transaction; what cannot be written now is kept for the next time."""

    def __init__(
        self, database: Database, meter: Meter, take: Take, give_back: GiveBack, replace_plans: Replace
    ) -> None:
        self._database = database
        self._meter = meter
        self._take = take
        self._give_back = give_back
        self._replace_plans = replace_plans
        # Two at once would let the older of two totals win, and requests over a quota pass.
        self._turn = threading.Lock()

    def settle(self) -> None:
        """One round. Raises what the database raises, with nothing lost."""
        with self._turn:
            self._settle()

    def _settle(self) -> None:
        taken, records = self._meter.take(), self._take()
        try:
            # Totals are read where the counts are written: once they are in, nothing may fail that would count again.
            with self._database.transaction() if taken or records else self._database.reading() as session:
                control.add_usage(session, taken)
                emit_all(session, records)
                plans = DEFAULT_PLANS | control.load_plans(session)
                assigned = control.load_assignments(session)
                months = control.month_totals(session, datetime.now(UTC).strftime("%Y-%m"))
        except Exception:
            self._meter.give_back(taken)
            self._give_back(records)
            raise
        self._meter.settled(months, taken)
        self._replace_plans(plans, assigned)

    def run(self, interval_s: float, stop: threading.Event) -> None:
        """Settles every few seconds, and once more at the end."""
        while not stop.wait(interval_s):
            self._try_settle()
        self._try_settle()

    def _try_settle(self) -> None:
        try:
            self.settle()
        except Problem as problem:
            log.warning("settling_failed", code=problem.code, detail=problem.detail)
