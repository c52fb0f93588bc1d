"""Centres whose engine is a real cluster: their agents run in this process and can be stopped and started again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import urllib3
from compute_scheduler.agent.agent import Agent
from compute_scheduler.agent.link import Link
from compute_scheduler.engine import rules
from compute_scheduler.engine.batch import BatchEngine, BatchSettings
from compute_scheduler.engine.cluster import Cluster

from tests.compute_scheduler.yard import Yard

Seen = TypeVar("Seen")
TIMES = rules.Times(beat_s=0.3, lost_s=4.0, patience_s=3.0)


class ClusterCentre:
    """A centre of a yard with the agent of a cluster. cluster: makes a fresh client of it at each start."""

    def __init__(
        self, yard: Yard, name: str, root: Path, cluster: Callable[[], Cluster], times: rules.Times = TIMES
    ) -> None:
        self.yard = yard
        self.name = name
        self.root = root
        self._cluster = cluster
        self.settings = BatchSettings(shared=root / "shared", look_s=0.3, grace_s=0.5, times=times)
        yard.json("POST", "/v1/centres", json={"id": name, "title": name, "kind": "region"})
        self.engine: BatchEngine
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.start()

    def start(self) -> None:
        """Starts the agent on what its folder holds."""
        self.engine = BatchEngine(self.root / "agent", self._cluster(), self.settings)
        agent = Agent(Link(self.yard.platform.client("compute-scheduler"), self.name), self.root / "agent", self.engine)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=agent.run, args=(self._stop,), name=f"agent-{self.name}", daemon=True)
        (self.root / "agent").mkdir(parents=True, exist_ok=True)
        self._thread.start()
        self.wait(lambda centre: centre["seen_at"] is not None)

    def use(self, cluster: Callable[[], Cluster]) -> None:
        """Starts the agent with another way to the cluster."""
        self._cluster = cluster
        self.start()

    def stop(self) -> None:
        """Stops the agent; jobs go on."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(20)
            assert not self._thread.is_alive()

    def shown(self) -> dict[str, Any]:
        """The centre as the API shows it."""
        body: dict[str, Any] = self.yard.json("GET", f"/v1/centres/{self.name}")
        return body

    def wait(self, fulfils: Callable[[dict[str, Any]], bool], timeout_s: float = 30) -> dict[str, Any]:
        """The centre once it is as asked."""
        return until(self.shown, fulfils, timeout_s)

    def submit(self, script: str, **spec: Any) -> str:
        """The id of a new job of this centre that runs a shell script."""
        return self.yard.submit("sh", "-c", script, centre=self.name, **spec)


class Proof:
    """A file to which each copy of a job writes its name once it may run: what ran, and how often."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def script(self, then: str = "") -> str:
        """What a job runs: its own line, then more."""
        return f"echo $BRAIN_JOB >> {self.path}; {then}"

    def ran(self) -> Counter[str]:
        """How often each job has begun."""
        return Counter(self.path.read_text().split())


class DroppingProxy:
    """Hands requests on and throws the answers of some away: they were done, and nobody hears of it.

    dropped: the end of paths whose answers are lost, each request's first. before: called with the path of each
    request before it is handed on. ca_file: who signed the target's certificate, when not the machine's own.
    """

    def __init__(self, target: str, ca_file: Path | None = None) -> None:
        self.dropped = ""
        self.drops = 0
        self.before: Callable[[str], None] = lambda path: None
        proxy = self
        pool = urllib3.PoolManager(retries=False, timeout=20.0, ca_certs=str(ca_file) if ca_file else None)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._hand_on()

            def do_POST(self) -> None:
                self._hand_on()

            def do_DELETE(self) -> None:
                self._hand_on()

            def do_PATCH(self) -> None:
                self._hand_on()

            def _hand_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                proxy.before(self.path)
                answer = pool.request(self.command, target + self.path, body=body or None, headers=headers)
                if self.command == "POST" and proxy.dropped and self.path.endswith(proxy.dropped):
                    proxy.drops += 1
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(answer.data)))
                self.end_headers()
                self.wfile.write(answer.data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> DroppingProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def until(look: Callable[[], Seen], fulfils: Callable[[Seen], bool], timeout_s: float = 30) -> Seen:
    """What is seen once it is as asked."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = look()
        if fulfils(seen):
            return seen
        assert time.monotonic() < deadline, seen
        time.sleep(0.03)
