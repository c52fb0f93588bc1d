"""The agent of this machine in a process of its own, so that files and jobs do not wait for the platform's interpreter.

    python -m compute_scheduler.agent.apart ORDER

`keeper.py` starts it. ORDER: JSON with centre, root, the engine's and the depot's limits, how to log, and the numbers
of its sockets, the first of which ends when the platform does. It imports little, and so is small and quick to start.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import structlog
from brain_kit.client import ServiceClient
from brain_kit.telemetry.logs import configure_logging

from compute_scheduler.agent.agent import Agent
from compute_scheduler.agent.depot import DepotLimits
from compute_scheduler.agent.link import Json, Link
from compute_scheduler.agent.wires import Wires
from compute_scheduler.engine.contract import EngineInUse
from compute_scheduler.engine.local import EngineLimits, LocalEngine


class WiredLink(Link):
    """Asks the exchange over wires; files go through the routes as they do for every agent."""

    def __init__(self, wires: Wires, centre: str) -> None:
        super().__init__(ServiceClient("compute-scheduler", lambda: wires, lambda: ""), centre)
        self._wires = wires

    def open_session(self, body: Mapping[str, Any]) -> Json:
        """Begins a session."""
        return self._wires.ask("open_session", dict(body))

    def pull(self, body: Mapping[str, Any]) -> Json:
        """Asks for work and waits for it."""
        return self._wires.ask("pull", dict(body))

    def report(self, body: Mapping[str, Any]) -> Json:
        """Says what has happened."""
        return self._wires.ask("report", dict(body))


def main(order: Json) -> int:
    """Works until the platform ends or says so; returns the exit status."""
    gc.freeze()  # modules stay
    configure_logging(order["log_level"], order["log_format"])
    stop = threading.Event()
    # Whoever ends the platform from its terminal ends all of its group: the platform then says when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    life, *ends = [socket.socket(fileno=number) for number in order["sockets"]]
    threading.Thread(target=_until_closed, args=(life, stop), name="life", daemon=True).start()
    link = WiredLink(Wires(ends, stop.set), order["centre"])
    engine = LocalEngine(Path(order["root"]), _limits(order["limits"]), order["cores"], order["memory_mb"])
    try:
        Agent(link, Path(order["root"]), engine, DepotLimits(**order["depot"])).run(stop)
    except EngineInUse as error:  # by an agent of a platform that has been killed, which ends in a moment
        structlog.get_logger().warning("agent_waits", error=str(error))
        return 1
    return 0


def _until_closed(life: socket.socket, stop: threading.Event) -> None:
    while life.recv(1):
        pass
    stop.set()


def _limits(told: Json) -> EngineLimits:
    return EngineLimits(**told | {name: tuple(told[name]) for name in ("readable", "writable")})


if __name__ == "__main__":
    status = main(orjson.loads(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # calls that wait for the platform are not waited for
