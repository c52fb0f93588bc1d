"""The service as an agent of the same process calls it: no request, no text, no check of what this process made."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from brain_kit.client import ServiceClient
from brain_kit.events import wakeup

from compute_scheduler.agent.link import Json, Link
from compute_scheduler.service.exchange import Exchange

# A scheduler of another process writes without waking anybody here.
LOOK_EVERY_S = 0.25


class DirectLink(Link):
    """Calls the exchange itself; files go through the routes as they do for every agent."""

    def __init__(self, exchange: Exchange, client: ServiceClient, centre: str) -> None:
        super().__init__(client, centre)
        self._exchange = exchange
        self._centre = centre

    def open_session(self, body: Mapping[str, Any]) -> Json:
        """Begins a session."""
        return self._exchange.open_session(self._centre, body)

    def pull(self, body: Mapping[str, Any]) -> Json:
        """Asks for work and waits for it."""
        deadline = time.monotonic() + float(body["wait_s"])
        ending = set(body["ending"])
        database = self._exchange.database
        while True:
            seen = wakeup.commits(database)
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self._exchange.has_news(self._centre, ending):
                return self._exchange.pull(self._centre, int(body["session"]), body)
            wakeup.wait_for_commit(database, seen, min(LOOK_EVERY_S, left_s))

    def report(self, body: Mapping[str, Any]) -> Json:
        """Says what has happened."""
        return self._exchange.report(self._centre, int(body["session"]), body)
