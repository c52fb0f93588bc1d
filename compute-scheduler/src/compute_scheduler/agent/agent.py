"""The agent of a centre: one thread pulls work, one reports, few stage files; its engine runs the jobs.

Nothing is lost when it dies: what it took lies in the engine's folders, and every step is decided by the service. A
command begins only after the service has granted a copy's claim of the attempt's epoch.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from brain_kit.clock import gather, rfc3339, utc_now
from brain_kit.problems import Problem

from compute_scheduler import steps
from compute_scheduler.agent.bringing import Bringing
from compute_scheduler.agent.depot import Depot, DepotLimits
from compute_scheduler.agent.held import Held, Json, News, Shelf
from compute_scheduler.agent.link import Link, is_passing
from compute_scheduler.agent.logs import unsent
from compute_scheduler.agent.staging import Staging
from compute_scheduler.engine.contract import Engine

WAIT_S = 10.0
MOST_A_REPORT = 500
NODES_EVERY_S = 10.0
# Under load it reports this often, so that claims and ends come in batches; the first after a pause goes at once.
GATHER_S = 0.08
PAUSES_S = (0.05, 0.2, 0.5, 1.0, 2.0)
log = structlog.get_logger()


@dataclass
class Agent:
    """Runs the work of one centre in its engine. root: folder of the agent, its own."""

    link: Link
    root: Path
    engine: Engine
    depot: DepotLimits = field(default_factory=DepotLimits)
    shelf: Shelf = field(default_factory=Shelf)

    def __post_init__(self) -> None:
        self.news = News()
        self.bringing = Bringing(self.link, Depot(self.engine.store(), self.depot), self.shelf.changed)
        self.staging = Staging(self.link, self.engine)
        self._session = 0
        self._first = True
        self._described = 0.0
        self._renewing = threading.Lock()
        self._stop = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Works until stopped; what runs goes on without it."""
        self._stop = stop
        self.engine.open(self._on_event)
        workers = ThreadPoolExecutor(4, thread_name_prefix="staging")
        self.bringing.open()
        try:
            self.staging.workers = workers
            self._patiently(lambda: self._begin(0))
            reporter = threading.Thread(target=self._report_loop, name="agent-reports", daemon=True)
            puller = threading.Thread(target=self._pull_loop, name="agent-pulls", daemon=True)
            reporter.start()
            puller.start()
            # A pull may be waiting for work: what it brings after the stop is left, and handed out again.
            stop.wait()
            self.shelf.changed.set()
            reporter.join(2.0)
        finally:
            workers.shutdown(wait=False, cancel_futures=True)
            self.bringing.close()
            self.engine.close()

    # sessions -----------------------------------------------------------------------------------------------------

    def _begin(self, lost: int) -> None:
        """A new session in place of the one that was lost, and every attempt that the folders hold taken up again."""
        with self._renewing:
            if self._session != lost:
                return  # another thread has begun one meanwhile
            for attempt in self.engine.held():
                self._take_up(attempt)
            opened = self.link.open_session(
                {
                    "instance": self._instance(),
                    "nodes": self.engine.nodes(),
                    "capabilities": self._told(),
                    "held": self.engine.held(),
                    "replicas": self.bringing.replicas(),
                }
            )
            self.engine.belongs_to(opened["mark"])
            self._first = True
            self._session = int(opened["session"])
        self.engine.wake()
        for attempt in opened["stop"]:
            self._end(attempt)
        self.shelf.changed.set()
        log.info("agent_session", session=self._session, held=len(self.engine.held()))

    def _take_up(self, attempt: str) -> None:
        kept = self.engine.kept(attempt)
        if kept is None:
            return
        held = Held(attempt, kept.nonce, kept.order, has_output=True)
        if not self.shelf.add(held):
            return
        if kept.record is not None:
            self._ended(held, kept.record)
        elif kept.is_begun:
            self.shelf.step(held, "taken", "running")
        else:
            self._stage(held)

    def _told(self) -> dict[str, Any]:
        """What the engine can do, how it is, and what this machine's clock shows."""
        return self.engine.capabilities() | {"health": self.engine.health().document(), "clock": rfc3339(utc_now())}

    def _instance(self) -> str:
        path = self.root / "instance"
        if not path.exists():
            partial = path.with_suffix(".part")
            partial.write_text(secrets.token_hex(16), encoding="ascii")
            partial.replace(path)
        return path.read_text(encoding="ascii").strip()

    # work in ------------------------------------------------------------------------------------------------------

    def _pull_loop(self) -> None:
        pulled = float("-inf")
        while not self._stop.is_set():
            gather(pulled, GATHER_S)
            pulled = time.monotonic()
            self._patiently(self._pull)

    def _pull(self) -> None:
        session = self._session
        body = {
            "session": session,
            "nodes": None,  # a pull waits, and what it says of the nodes grows old meanwhile
            "ending": self.shelf.ending(),
            "first": self._first,
            "wait_s": WAIT_S,
        }
        with self._session_kept(session):
            answer = self.link.pull(body)
            self._first = False
            steps.reached("pull:answered")
            if self._stop.is_set():
                return
            with self.shelf.claims_together():
                for order in answer["orders"]:
                    self._take(order)
            for attempt in answer["ends"]:
                self._end(attempt)

    def _take(self, order: Json) -> None:
        attempt = order["attempt"]
        if self.shelf.get(attempt) is not None:
            return
        if order.get("data"):
            order = self.bringing.settled(order, self.engine.work(attempt))
        nonce = self.engine.take(attempt, order)
        steps.reached("take:kept")
        held = Held(attempt, nonce, order)
        if self.shelf.add(held):
            self._stage(held)

    def _stage(self, held: Held) -> None:
        data = held.order.get("data")
        if not (held.order["inputs"] or data):
            self._prepare(held)
            return

        def arrived(record: Json | None) -> None:
            if record is None:
                self._prepare(held)
            else:
                self._ended(held, self.engine.finish(held.attempt, record))

        def fetched(failure: str | None) -> None:
            if failure is not None:
                arrived({"cause": "input_missing", "detail": failure})
            elif data:
                self.bringing.want(held.attempt, data, self.engine.work(held.attempt), arrived)
            else:
                arrived(None)

        if held.order["inputs"]:
            self.staging.fetch(held, fetched)
        else:
            fetched(None)

    def _prepare(self, held: Held) -> None:
        # Before it is asked for: a copy may claim before the asking returns.
        self.shelf.step(held, "taken", "waiting")
        self.engine.prepare(held.attempt)

    def _end(self, attempt: str) -> None:
        held = self.shelf.get(attempt)
        if held is None:
            # Nobody has a folder of it: it never began here.
            return
        held.is_ending = True
        self.engine.end(attempt)
        kept = self.engine.kept(attempt)
        if kept is not None and kept.record is not None and held.stage != "ended":
            self._ended(held, kept.record)

    # work out -----------------------------------------------------------------------------------------------------

    def _on_event(self, event: Json) -> None:
        match event["event"]:
            case "claim":
                self._asked(event["attempt"], event["nonce"])
            case "ended":
                held = self.shelf.get(event["attempt"])
                if held is not None:
                    self._ended(held, event["record"])
            case "output":
                for attempt in event["attempts"]:
                    held = self.shelf.get(attempt)
                    if held is not None:
                        held.has_output = True
                self.shelf.changed.set()
            case "state":
                self.news.state = True
                self.shelf.changed.set()
            case "waits" | "notice" as kind:
                self.news.waits(event["reasons"], is_notice=kind == "notice")
                self.shelf.changed.set()
            case "gone":
                threading.Thread(target=self._supervisor_gone, name="supervisor-gone", daemon=True).start()

    def _asked(self, attempt: str, nonce: str) -> None:
        """A copy claims; before its attempt is prepared here, the engine asks again when it is."""
        held = self.shelf.get(attempt)
        if held is not None and self.shelf.step(held, "waiting", "claiming"):
            held.nonce = nonce
            self.shelf.claimed()

    def _supervisor_gone(self) -> None:
        """A new supervisor decides what the old one left; then the folders are read."""
        while not self._stop.is_set():
            try:
                self.engine.wake()
                break
            except OSError as error:
                log.warning("supervisor_unreachable", error=str(error))
                self._stop.wait(0.5)
        for held in self.shelf.in_stage("running"):
            kept = self.engine.kept(held.attempt)
            if kept is not None and kept.record is not None:
                self._ended(held, kept.record)
            elif kept is not None and not kept.is_begun:
                self.engine.start(held.attempt)

    def _ended(self, held: Held, record: Json) -> None:
        if held.record is not None:
            return
        held.record = record
        held.has_output = held.has_output or bool(record.get("log_bytes"))
        if held.order["outputs"] and record.get("cause") == "exit" and record.get("exit_code") == 0:
            self.staging.collect(held, lambda: self.shelf.advance(held, "ended"))
        else:
            self.shelf.advance(held, "ended")

    def _report_loop(self) -> None:
        reported = float("-inf")
        while not self._stop.is_set():
            self.shelf.changed.wait(1.0)
            if not self.shelf.has_ended():  # else there is nothing to wait for
                gather(reported, GATHER_S)
            reported = time.monotonic()
            self.shelf.changed.clear()
            if not self._stop.is_set():
                self._patiently(self._report)

    def _report(self) -> None:
        self._start_granted()
        session = self._session
        claims = self.shelf.claiming(MOST_A_REPORT)
        logs, unsaid = unsent(self.shelf, self.engine)
        done = [held for held in self.shelf.in_stage("ended") if held.attempt not in unsaid][:MOST_A_REPORT]
        if time.monotonic() - self._described > NODES_EVERY_S:
            self._described = time.monotonic()
            self.news.state = True
        state, waits = self.news.take(self.engine)
        moves, dropped = self.bringing.say()
        if not (claims or logs or done or state or waits or moves or dropped):
            return
        body = {
            "session": session,
            "state": state,
            "waits": waits,
            "claims": [{"attempt": held.attempt, "nonce": held.nonce} for held in claims],
            "logs": logs,
            "ended": [_said(held, self.engine.limits()) for held in done],
            "transfers": moves,
            "dropped": dropped,
        }
        with self._session_kept(session), self.news.given_back(state, waits), self._said_again(dropped):
            steps.reached("report:before")
            answer = self.link.report(body)
            steps.reached("report:answered")
            self._follow(answer, logs)
            self.bringing.hear(answer["transfers"])
            if unsaid or len(claims) == MOST_A_REPORT or len(done) == MOST_A_REPORT:
                self.shelf.changed.set()

    def _follow(self, answer: Json, logs: list[Json]) -> None:
        for part in logs:
            held = self.shelf.get(part["attempt"])
            if held is not None:
                held.log_sent = max(held.log_sent, part["offset"] + len(base64.b64decode(part["data"])))
        for attempt in answer["granted"]:
            held = self.shelf.get(attempt)
            if held is not None:
                self.shelf.step(held, "claiming", "granted")
        self._start_granted()
        for attempt in answer["refused"]:
            self.engine.end(attempt, "refused")
            self._forget(attempt)
        for attempt in answer["acknowledged"]:
            self._forget(attempt)

    def _start_granted(self) -> None:
        # Before they are asked for: an end may be told before the asking returns.
        granted = [held for held in self.shelf.in_stage("granted") if self.shelf.step(held, "granted", "running")]
        if not granted:
            return
        try:
            self.engine.start(*[held.attempt for held in granted])
        except OSError:
            for held in granted:
                self.shelf.step(held, "running", "granted")
            raise
        steps.reached("start:asked")

    @contextlib.contextmanager
    def _said_again(self, dropped: list[Json]) -> Any:
        try:
            yield
        except BaseException:
            self.bringing.unsaid(dropped)
            raise

    def _forget(self, attempt: str) -> None:
        self.bringing.leave(attempt)
        self.engine.forget(attempt)
        self.shelf.drop(attempt)

    # outages ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _session_kept(self, session: int) -> Any:
        """A session that was lost begins anew; the work under way is decided by what the new one is told."""
        try:
            yield
        except Problem as problem:
            if problem.code != "session_lost":
                raise
            self._begin(session)

    def _patiently(self, work: Callable[[], None]) -> None:
        """Does the work, again and again while the service does not answer or another agent holds the centre."""
        for number in range(1 << 62):
            try:
                work()
                return
            except Problem as problem:
                if not (is_passing(problem) or problem.code in ("centre_held", "session_lost")):
                    log.error("agent_refused", code=problem.code, detail=problem.detail)
                elif number in (0, 5) or number % 60 == 0:
                    log.warning("agent_waits", code=problem.code, detail=problem.detail)
            except OSError as error:
                log.warning("agent_failed", error=str(error))
            if self._stop.wait(PAUSES_S[min(number, len(PAUSES_S) - 1)]):
                return


def _said(held: Held, limits: Json) -> Json:
    assert held.record is not None
    return {
        "attempt": held.attempt,
        "nonce": held.nonce,
        "record": held.record | {"limits": limits},
        "outputs": held.outputs,
        "missing": held.missing,
    }
