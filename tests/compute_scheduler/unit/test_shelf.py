"""What an agent knows of its attempts: an end that is told early is never forgotten."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from compute_scheduler.agent.agent import Agent
from compute_scheduler.agent.held import Held, Shelf
from compute_scheduler.agent.link import link_to
from compute_scheduler.engine.contract import Hear
from compute_scheduler.engine.local import EngineLimits, LocalEngine

ATTEMPT = "job_00000000000000000000000001.1"
ORDER = {
    "attempt": ATTEMPT,
    "command": ["true"],
    "env": {},
    "resources": {"cores": 1, "memory_mb": 100, "accelerators": {}},
    "time_limit_s": 60,
    "inputs": {},
    "outputs": [],
}


class EngineOfShortJobs(LocalEngine):
    """Its start returns only after the end of the command was told, as on a busy machine."""

    def open(self, hear: Hear) -> None:
        self.told = threading.Event()

        def listening(event: dict[str, Any]) -> None:
            hear(event)
            if event["event"] == "ended":
                self.told.set()

        super().open(listening)

    def start(self, *attempts: str) -> None:
        super().start(*attempts)
        assert self.told.wait(30.0)


def test_a_command_that_ends_before_its_start_returns_is_reported(tmp_path: Path) -> None:
    """The end stands: the attempt waits to be reported and is not taken for a running one."""
    agent = Agent(link_to("http://127.0.0.1:9", "key", "local"), tmp_path, EngineOfShortJobs(tmp_path, EngineLimits()))
    agent.engine.open(agent._on_event)
    try:
        nonce = agent.engine.take(ATTEMPT, ORDER)
        agent.shelf.add(Held(ATTEMPT, nonce, ORDER, stage="granted"))
        agent._start_granted()
        (ended,) = agent.shelf.in_stage("ended")
        assert ended.record is not None
        assert ended.record["exit_code"] == 0
        assert agent.shelf.in_stage("running", "granted") == []
    finally:
        agent.engine.close()


def test_what_has_ended_goes_back_to_no_other_stage() -> None:
    """Ended is final, whichever thread comes later."""
    shelf = Shelf()
    held = Held(ATTEMPT, "0" * 32, ORDER, stage="running")
    shelf.add(held)
    shelf.advance(held, "ended")
    shelf.advance(held, "claiming")
    assert not shelf.step(held, "running", "granted")
    assert held.stage == "ended"


def test_two_threads_never_take_the_same_step() -> None:
    """Of two that would start a granted attempt one does."""
    shelf = Shelf()
    held = Held(ATTEMPT, "0" * 32, ORDER, stage="granted")
    assert shelf.step(held, "granted", "running")
    assert not shelf.step(held, "granted", "running")
