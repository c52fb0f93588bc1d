"""Keeps the agent of this machine in a process of its own: starts it, answers its calls, starts it again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import orjson
import structlog
from brain_kit.client import ServiceClient
from brain_kit.problems import Problem

from compute_scheduler.agent.direct import DirectLink
from compute_scheduler.agent.limits import depot_limits, limits_of
from compute_scheduler.agent.link import Json
from compute_scheduler.agent.wires import DATA, END, Wire
from compute_scheduler.settings import Settings

# One pull waits, one reports, four stage files and as many bring data; the rest is to spare.
CALLS = 16
LOOK_EVERY_S = 0.25
END_S = 3.0
PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
log = structlog.get_logger()


@dataclass(frozen=True)
class Keeper:
    """Runs the agent of one centre. client: of compute-scheduler, for what goes through its routes."""

    link: DirectLink
    client: ServiceClient
    settings: Settings
    centre: str
    root: Path

    def run(self, stop: threading.Event) -> None:
        """Until stopped; an agent that ends is started again, what it runs goes on meanwhile."""
        pause = PAUSE_S
        while not stop.is_set():
            began = time.monotonic()
            status = self._live(stop)
            if stop.is_set():
                return
            pause = PAUSE_S if time.monotonic() - began > LONGEST_PAUSE_S else min(2 * pause, LONGEST_PAUSE_S)
            log.warning("agent_ended", centre=self.centre, status=status, again_in_s=pause)
            stop.wait(pause)

    def _live(self, stop: threading.Event) -> int | None:
        """One life of the process; its exit status, minus the signal that ended it."""
        pairs = [socket.socketpair() for _ in range(CALLS + 1)]
        theirs = [pair[1] for pair in pairs]
        try:
            process = self._start([end.fileno() for end in theirs])
        finally:
            for end in theirs:
                end.close()
        life, *ends = [pair[0] for pair in pairs]
        for end in ends:
            threading.Thread(target=self._answer, args=(Wire(end),), name="agent-calls", daemon=True).start()
        with closing(life):
            while process.poll() is None and not stop.wait(LOOK_EVERY_S):
                pass
        with suppress(subprocess.TimeoutExpired):
            return process.wait(END_S)
        process.kill()
        return process.wait()

    def _start(self, sockets: list[int]) -> subprocess.Popen[bytes]:
        settings = self.settings
        order = {
            "centre": self.centre,
            "root": os.fspath(self.root),
            "cores": settings.compute_scheduler_local_cores,
            "memory_mb": settings.compute_scheduler_local_memory_mb,
            "limits": asdict(limits_of(settings)),
            "depot": asdict(depot_limits(settings)),
            "log_level": settings.log_level,
            "log_format": settings.log_format,
            "sockets": sockets,
        }
        line = [sys.executable, "-m", "compute_scheduler.agent.apart", orjson.dumps(order).decode()]
        return subprocess.Popen(line, stdin=subprocess.DEVNULL, pass_fds=sockets)  # noqa: S603 - our own module

    def _answer(self, wire: Wire) -> None:
        """Answers the calls of one wire until the agent's end is closed, or something is left on it."""
        with closing(wire), suppress(OSError, EOFError):
            while True:
                head = wire.heard()
                if "do" in head:
                    self._tell(wire, head)
                else:
                    self._pass_on(wire, head)

    def _tell(self, wire: Wire, head: Json) -> None:
        with self._refusing() as refusal:
            answer = self._told(head["do"], head["body"])
        if refusal:
            wire.fail(refusal[0])
        else:
            wire.tell(answer)

    @contextmanager
    def _refusing(self) -> Iterator[list[Problem]]:
        """What the block raises, as the problem that the agent is told."""
        refusal: list[Problem] = []
        try:
            yield refusal
        except Problem as problem:
            refusal.append(problem)
        except (OSError, EOFError):
            raise
        except Exception:
            log.exception("agent_call_failed", centre=self.centre)
            refusal.append(Problem("平台处理失败，请稍后重试"))

    def _told(self, do: str, body: Json) -> Json:
        match do:
            case "pull":
                return self.link.pull(body)
            case "report":
                return self.link.report(body)
            case "open_session":
                return self.link.open_session(body)
        raise ValueError(f"an agent does not ask for {do}")

    def _pass_on(self, wire: Wire, head: Json) -> None:
        body = _Body(wire)
        with (
            self._refusing() as refusal,
            self.client.stream(
                head["method"],
                head["path"],
                content=body.content(),
                headers=head["headers"],
                timeout_s=float(head["timeout_s"]),
            ) as answer,
        ):
            wire.tell({"status": answer.status, "headers": dict(answer.headers)})
            for chunk in answer.iter_bytes():
                wire.send(DATA, chunk)
        body.leave()
        if refusal:
            wire.fail(refusal[0])
        else:
            wire.send(END)


class _Body:
    """The body of a request as it comes."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._is_over = False
        self._chunks = self._read()

    def content(self) -> bytes | Iterator[bytes]:
        """Whole when it is short."""
        first = next(self._chunks, b"")
        second = next(self._chunks, None)
        return first if second is None else chain((first, second), self._chunks)

    def leave(self) -> None:
        """Reads what the route has not. Raises EOFError when that cannot be told apart from what comes next."""
        with suppress(ValueError):  # somebody reads it still
            for _ in self._chunks:
                pass
        if not self._is_over:
            raise EOFError("the body was not read to its end")

    def _read(self) -> Iterator[bytes]:
        yield from self._wire.chunks()
        self._is_over = True
