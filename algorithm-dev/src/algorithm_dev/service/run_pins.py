"""Runs keep the version that they read: while they go on, and afterwards as long as their result is the newest.

So a retry reads what the first attempt read, and lineage of a result leads to rows that are still there.
"""

from __future__ import annotations

from typing import Any

from brain_kit.database import Database
from brain_kit.problems import Conflict

from algorithm_dev.clients import Warehouse
from algorithm_dev.store import runs

EXHAUSTED = "pins_exhausted"


class RunPins:
    """Each call is idempotent, as the step that makes it may be taken twice."""

    def __init__(self, database: Database, warehouse: Warehouse) -> None:
        self._database = database
        self._warehouse = warehouse

    def keep(self, row: Any) -> str | None:
        """The pin of a run's input; None when the organisation holds as many as it may, which stops no run."""
        request = row.request
        reason = f"运行 {row.id} 的输入"
        try:
            return self._warehouse.pin(row.org, request["dataset"], request["dataset_version"], reason)
        except Conflict as problem:
            if problem.code != EXHAUSTED:
                raise
            return None

    def release(self, row: Any) -> None:
        """Lets the input of a run go."""
        pin = row.facts.get("pin")
        if pin is not None:
            self._warehouse.unpin(row.org, row.request["dataset"], row.request["dataset_version"], pin)

    def succeed(self, row: Any) -> None:
        """Lets the inputs of earlier runs into the same data set go: this run's result is the newest now."""
        with self._database.reading() as session:
            earlier = runs.succeeded_into(session, row.org, row.request["into"], row.id)
        for old in earlier:
            if old.facts.get("pin") is not None:
                self.release(old)
                with self._database.transaction() as session:
                    runs.change(session, old.id, old.state, {"facts": old.facts | {"pin": None}})
