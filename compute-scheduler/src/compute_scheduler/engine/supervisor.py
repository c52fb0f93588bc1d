"""The supervisor: a small process that starts jobs, watches them, and outlives the agent that asked for them.

    python -m compute_scheduler.engine.supervisor FOLDER

It listens on FOLDER/supervisor.sock, one JSON object a line. The first line must carry the secret in FOLDER/secret: a
job runs as the same user and may not command it. `configure`, `start`, `end` and `list` come in; `output` and `ended`
go out. What it is told to start begins when there is room. What matters is in the attempts' folders, so a message may
be lost. It ends when nobody is connected, nothing runs and ten seconds have passed.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hmac
import os
import selectors
import signal
import socket
import sys
import time
from typing import Any, NamedTuple

import orjson

from compute_scheduler.engine import processes
from compute_scheduler.engine.folder import AttemptFolder, Pen, attempts_in
from compute_scheduler.engine.landlock import Walls
from compute_scheduler.engine.launch import CannotLaunch, Launch, prepare
from compute_scheduler.engine.room import Gate
from compute_scheduler.engine.watched import WatchedJob

SOCKET, SECRET, LOCK, ATTEMPTS = "supervisor.sock", "secret", "supervisor.lock", "attempts"
LOOK_EVERY_S = 0.1
OUTPUT_NEWS_EVERY_S = 0.2
IDLE_S = 10.0
_PR_SET_CHILD_SUBREAPER = 36


class Supervisor:
    """Starts and watches the jobs of one agent's folder."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.attempts = os.path.join(root, ATTEMPTS)
        self.jobs: dict[int, WatchedJob] = {}
        self.agents: dict[socket.socket, _Agent] = {}
        self.selector = selectors.DefaultSelector()
        self.walls = Walls((), (), network=True)
        self.gate = Gate()
        self.idle_since = time.monotonic()
        self.looked = 0.0
        self.told = 0.0
        self.spoken: set[str] = set()
        self.news: list[bytes] = []
        with open(os.path.join(root, SECRET), encoding="ascii") as file:
            self.secret = file.read().strip()

    def run(self) -> None:
        """Serves until idle."""
        listener = self._listen()
        wakeup, written = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(written)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector.register(listener, selectors.EVENT_READ, self._accept)
        self.selector.register(wakeup, selectors.EVENT_READ, lambda: os.read(wakeup, 4096))
        while not self._is_idle():
            for key, _ in self.selector.select(LOOK_EVERY_S if self.jobs else 1.0):
                key.data()
            self._reap()
            self._begin()
            self._look()
            self._say()

    def recover(self) -> None:
        """Ends what a supervisor that died has left running: nobody can say any more how it would have ended."""
        for name in attempts_in(self.attempts):
            facts = AttemptFolder(self.attempts, name).facts()
            if facts is not None and facts.has_begun and facts.end is None:
                self._end_orphans(name, facts.process)
                AttemptFolder(self.attempts, name).finish({"cause": "supervisor_lost", "ended_at": time.time()})

    def _end_orphans(self, attempt: str, identity: tuple[int, int] | None) -> None:
        known: dict[int, int] = dict([identity]) if identity else {}

        def find() -> set[int]:
            nonlocal known
            table = processes.every()
            marked = {pid: table[pid].began for pid in processes.marked(table, attempt)}
            known = processes.family(table, _session(table, identity), known | marked)
            return set(known)

        processes.end_all(find)

    def _listen(self) -> socket.socket:
        os.chdir(self.root)  # a socket's address is short, the folder's path may not be
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        partial = f"{SOCKET}.part"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        listener.bind(partial)
        listener.listen(8)
        listener.setblocking(False)
        os.rename(partial, SOCKET)  # whoever finds it can connect
        self.listener = listener
        return listener

    def _is_idle(self) -> bool:
        if self.jobs or self.agents:
            self.idle_since = time.monotonic()
        return time.monotonic() - self.idle_since > IDLE_S or not os.path.isdir(self.root)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self.listener.accept()
            connection.setblocking(False)
            self.agents[connection] = _Agent(connection)
            self.selector.register(connection, selectors.EVENT_READ, lambda: self._hear(connection))

    def _hear(self, connection: socket.socket) -> None:
        agent = self.agents.get(connection)
        if agent is None:
            return
        try:
            lines = agent.lines()
        except OSError:
            self._hang_up(connection)
            return
        for line in lines:
            try:
                message = orjson.loads(line)
                if not agent.is_known:
                    agent.is_known = hmac.compare_digest(str(message.get("secret", "")), self.secret)
                    if not agent.is_known:
                        self._hang_up(connection)
                        return
                    continue
                self._do(message)
            except (ValueError, KeyError, TypeError, OSError) as error:
                self._tell({"event": "refused", "detail": str(error)})

    def _hang_up(self, connection: socket.socket) -> None:
        self.selector.unregister(connection)
        connection.close()
        self.agents.pop(connection, None)

    def _do(self, message: dict[str, Any]) -> None:
        match message["do"]:
            case "configure":
                self.walls.close()
                self.walls = Walls(message["readable"], message["writable"], network=message["network"])
                self.gate.capacity = message["capacity"]
                prepare(message)
            case "start":
                for attempt, wanted in message["attempts"].items():
                    self.gate.ask(attempt, wanted)
            case "end":
                for job in self.jobs.values():
                    if job.folder.attempt == message["attempt"]:
                        job.end(message.get("cause", "cancelled"), time.monotonic())
            case "list":
                self._tell({"event": "list", "running": [job.folder.attempt for job in self.jobs.values()]})

    def _begin(self) -> None:
        """Starts what there is room for; each is made ready while the one before it is on its way."""
        before: _Start | None = None
        while (attempt := self.gate.enter()) is not None:
            start = None
            try:
                start = self._open(attempt)
            except OSError as error:  # the others are not to wait for it
                self._tell({"event": "refused", "attempt": attempt, "detail": str(error)})
            if before is not None:
                self._watch(before)
            before = start
            if start is None:
                self.gate.leave(attempt)
        if before is not None:
            self._watch(before)

    def _open(self, attempt: str) -> _Start | None:
        """Marks that it begins and lets it; None when it may not: it may have been given up since it was asked for."""
        folder = AttemptFolder(self.attempts, attempt)
        pen = folder.pen()
        if pen is None:
            return None
        if pen.facts.has_begun or pen.facts.end is not None:
            pen.close()
            return None
        try:
            reading, writing = os.pipe2(os.O_CLOEXEC)
        except OSError:
            pen.close()
            raise
        os.set_blocking(reading, False)
        pen.begin()
        launch = Launch(folder, pen.facts.spec, self.walls, writing)
        return _Start(folder, pen, reading, writing, launch, time.monotonic(), time.time())

    def _watch(self, start: _Start) -> None:
        """Takes over what was let begin."""
        try:
            pid = start.launch.pid()
        except CannotLaunch as error:
            os.close(start.reading)
            record = {"cause": "exit", "exit_code": error.code, "detail": str(error), "run_s": 0.0}
            start.pen.finish(record)
            start.pen.close()
            self._tell({"event": "ended", "attempt": start.folder.attempt, "record": record, "quiet": True})
            self.gate.leave(start.folder.attempt)
            return
        finally:
            os.close(start.writing)
        job = self.jobs[pid] = WatchedJob(start.folder, start.pen, pid, start.reading, start.began, start.began_at)
        self.selector.register(job.output, selectors.EVENT_READ, lambda: self._on_output(job))

    def _on_output(self, job: WatchedJob) -> None:
        if job.read_output():
            self.spoken.add(job.folder.attempt)
        else:
            with contextlib.suppress(KeyError):
                self.selector.unregister(job.output)

    def _reap(self) -> None:
        ended = self._ended()
        if not ended:
            return
        strays = processes.children() - self.jobs.keys()
        for job, status, usage in ended:
            with contextlib.suppress(KeyError):
                self.selector.unregister(job.output)
            record = job.close(status, usage, may_hide=bool(strays))
            self.gate.leave(job.folder.attempt)
            told = {"event": "ended", "attempt": job.folder.attempt, "record": record, "quiet": job.is_quiet}
            self._tell(told)

    def _ended(self) -> list[tuple[WatchedJob, int, Any]]:
        ended: list[tuple[WatchedJob, int, Any]] = []
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if not pid:
                return ended
            job = self.jobs.pop(pid, None)
            if job is not None:  # else an orphan of a job, come to us
                ended.append((job, status, usage))

    def _look(self) -> None:
        now = time.monotonic()
        if self.jobs and now - self.looked >= LOOK_EVERY_S:
            self.looked = now
            old = [job for job in self.jobs.values() if now - job.began > LOOK_EVERY_S]
            if old:
                table = processes.every()
                for job in old:
                    job.check(now, table)
        if self.spoken and now - self.told >= OUTPUT_NEWS_EVERY_S:
            self.told = now
            self._tell({"event": "output", "attempts": sorted(self.spoken)})
            self.spoken.clear()

    def _tell(self, message: dict[str, Any]) -> None:
        self.news.append(orjson.dumps(message))

    def _say(self) -> None:
        """Sends what one round has brought."""
        if not self.news:
            return
        text = b"\n".join([*self.news, b""])
        self.news.clear()
        for connection, agent in list(self.agents.items()):
            if agent.is_known and not agent.send(text):
                self._hang_up(connection)


def _session(table: dict[int, processes.Process], identity: tuple[int, int] | None) -> int:
    """The session of a command, -1 when its number may be somebody else's by now."""
    if identity is None or (identity[0] in table and table[identity[0]].began != identity[1]):
        return -1
    return identity[0]


class _Start(NamedTuple):
    """A command that was let begin, with the ends of the pipe that it prints to."""

    folder: AttemptFolder
    pen: Pen
    reading: int
    writing: int
    launch: Launch
    began: float
    began_at: float


class _Agent:
    """The other end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.is_known = False
        self._received = b""

    def lines(self) -> list[bytes]:
        """Whole lines that have come. Raises ConnectionError at the end."""
        with contextlib.suppress(BlockingIOError):
            data = self.connection.recv(1 << 20)
            if not data:
                raise ConnectionResetError
            self._received += data
        *whole, self._received = self._received.split(b"\n")
        return whole

    def send(self, text: bytes) -> bool:
        """False when it does not listen any more; what it missed stands in the folders."""
        try:
            self.connection.settimeout(5.0)
            self.connection.sendall(text)
            self.connection.setblocking(False)
        except OSError:
            return False
        return True


def main(root: str) -> None:
    """Becomes the one supervisor of the folder, or ends when there is another."""
    os.setsid()
    lock = os.open(os.path.join(root, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    supervisor = Supervisor(root)
    supervisor.recover()
    supervisor.run()


if __name__ == "__main__":
    main(sys.argv[1])
