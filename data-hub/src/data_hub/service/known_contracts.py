"""Contracts in memory: every push needs one, and they change a few times a year."""

from __future__ import annotations

import threading
import time

from brain_contracts.contract import DatasetContract
from brain_kit.database import Database

from data_hub import store
from data_hub.domain.refusals import dataset_unknown

# Another process may have registered a version; it counts here after this long at the latest.
FRESH_S = 1.0


class KnownContracts:
    """The newest contract of each data set, looked at again every second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[float, DatasetContract]] = {}
        self._lock = threading.Lock()

    def fresh(self, dataset: str) -> DatasetContract | None:
        """The contract if it was looked at within the last second; asks no database."""
        with self._lock:
            known = self._known.get(dataset)
        return known[1] if known is not None and time.monotonic() - known[0] < FRESH_S else None

    def get(self, dataset: str) -> DatasetContract:
        """The contract. Raises DatasetUnknown."""
        contract = self.fresh(dataset)
        if contract is not None:
            return contract
        seen = time.monotonic()
        with self._lock:
            old = self._known.get(dataset)
        with self._database.reading() as session:
            version = store.current_version(session, dataset)
            if old is not None and version == old[1].version:
                contract = old[1]
            elif version is not None:
                contract = store.get_contract(session, dataset)
        if contract is None:
            raise dataset_unknown(dataset)
        with self._lock:
            self._known[dataset] = (seen, contract)
        return contract

    def forget(self, dataset: str) -> None:
        """Looks it up anew next time."""
        with self._lock:
            self._known.pop(dataset, None)
