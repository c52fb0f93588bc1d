"""Which data sets hold 合成数据: rows of an organisation that identity has registered as made by a program."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from brain_kit.client import ServiceClient
from brain_kit.problems import NotFound, Problem

REMEMBERED_S = 600.0
KEPT = 20_000
# Organisations with the most rows that are looked at; a data set may have rows of thousands.
LOOKED_AT = 50


class SyntheticOwners:
    """Organisations as identity knows them, asked once and remembered for ten minutes; safe among threads."""

    def __init__(self, identity: Callable[[], ServiceClient]) -> None:
        self._identity = identity
        self._known: dict[str, tuple[float, bool]] = {}
        self._lock = threading.Lock()

    def is_among(self, owners: Counter[str]) -> bool:
        """Whether one of the fifty organisations with the most rows is synthetic; rows by USCC.

        False while identity is away: nobody is called synthetic on a guess.
        """
        try:
            return any(self._is_synthetic(org) for org, _ in owners.most_common(LOOKED_AT))
        except Problem:
            return False

    def _is_synthetic(self, org: str) -> bool:
        now = time.monotonic()
        with self._lock:
            known = self._known.get(org)
        if known is not None and now - known[0] < REMEMBERED_S:
            return known[1]
        try:
            found = bool(self._identity().request("GET", f"/v1/organisations/{org}", timeout_s=5).json()["synthetic"])
        except NotFound:
            found = False
        with self._lock:
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[org] = (now, found)
        return found
