"""Carries what each of two brains says that borrowed attempts used to the other, so that both can compare."""

from __future__ import annotations

import threading
from pathlib import Path

import structlog
from brain_kit.problems import Problem

from compute_scheduler.agent.link import Json, Link
from compute_scheduler.engine.brain import BrainEngine
from compute_scheduler.engine.contract import Engine
from compute_scheduler.engine.folder import read_json, write_whole
from compute_scheduler.engine.partner import Partner, PartnerSilent

EVERY_S = 15.0
log = structlog.get_logger()


class FigureExchange:
    """Runs beside the agent of a centre in another brain. link: to the borrower; partner: the lender.

    Where it stands lies in `figures.json` below root; without it everything is told once more, which changes nothing.
    """

    def __init__(self, link: Link, partner: Partner, root: Path, every_s: float = EVERY_S) -> None:
        self._link, self._partner, self._every_s = link, partner, every_s
        self._path = str(root / "figures.json")

    def run(self, stop: threading.Event) -> None:
        """Exchanges until stopped; an outage is waited out."""
        while not stop.wait(self._every_s):
            try:
                while self.step() and not stop.is_set():
                    pass
            except (Problem, PartnerSilent, OSError) as error:
                log.warning("figures_wait", error=str(error))

    def step(self) -> bool:
        """Carries a page in each direction; whether there was something. Raises Problem, PartnerSilent."""
        place = read_json(self._path) or {"here": 0, "there": 0}
        here: Json = self._link.exchange([], int(place["here"]))
        there: Json = self._partner.exchange(here["items"], int(place["there"]))
        if there["items"]:
            self._link.exchange(there["items"], int(here["next"]))
        after = {"here": here["next"], "there": there["next"]}
        if after != place:
            write_whole(self._path, after)
        return bool(here["items"] or there["items"])


def beside(engine: Engine, link: Link, root: Path, stop: threading.Event) -> None:
    """Starts the exchange for an engine that borrows; for every other nothing."""
    if isinstance(engine, BrainEngine):
        exchange = FigureExchange(link, engine.partner, root)
        threading.Thread(target=exchange.run, args=(stop,), name="figures", daemon=True).start()
