"""The agent of a centre as a process of its own, which a test may kill: python -m tests.compute_scheduler.away ...

URL TOKEN CENTRE HOME   the address of compute-scheduler, a token of the platform, the centre, the agent's folder
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from brain_kit.client import ServiceClient
from brain_kit.transports import HttpTransport
from compute_scheduler.agent.agent import Agent
from compute_scheduler.agent.link import Link
from compute_scheduler.engine.local import EngineLimits, LocalEngine


def main(url: str, token: str, centre: str, home: Path) -> None:
    """Works until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    transport = HttpTransport("compute-scheduler", url)
    client = ServiceClient("compute-scheduler", lambda: transport, lambda: token)
    home.mkdir(parents=True, exist_ok=True)
    Agent(Link(client, centre), home, LocalEngine(home, EngineLimits(), 2, 2000)).run(stop)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]))
