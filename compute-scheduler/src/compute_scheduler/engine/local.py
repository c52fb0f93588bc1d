"""The local-process engine as an agent uses it: take an attempt, start it, end it, hear how it ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import secrets
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from compute_scheduler.engine import landlock, machine, processes
from compute_scheduler.engine.contract import EngineInUse, Health, Hear, Json, Kept
from compute_scheduler.engine.folder import AttemptFolder, Spares, attempts_in
from compute_scheduler.engine.line import SupervisorLine
from compute_scheduler.engine.room import Room, amounts, capacity
from compute_scheduler.engine.supervisor import ATTEMPTS, SECRET

LOOK_EVERY_S = 1.0
# Where programs and their libraries lie; a job may read these and nothing else of the machine.
SYSTEM_PATHS = (
    "/usr",
    "/lib",
    "/lib64",
    "/lib32",
    "/bin",
    "/sbin",
    "/etc",
    "/opt",
    "/proc",
    "/sys",
    "/run/systemd/resolve",
)
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@dataclass(frozen=True)
class EngineLimits:
    """What every job of this engine may use beside what it asked for."""

    disk_mb: int = 10_000
    log_bytes: int = 8_000_000
    processes: int = 256
    grace_s: float = 5.0
    nice: int = 5
    network: bool = True
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()


class _Left(NamedTuple):
    """A folder that is nobody's any more. is_quiet: surely no process of its attempt is alive."""

    path: str
    is_quiet: bool


@dataclass
class LocalEngine:
    """Jobs as processes of this machine; see `contract.Engine`.

    root: folder of the agent, its own. cores, memory_mb: what it offers; 0 stands for what the machine has, of memory
    three quarters. The supervisor is started at the first attempt and outlives this object.
    """

    root: Path
    each_job: EngineLimits
    cores: float = 0.0
    memory_mb: int = 0
    _attempts: str = field(init=False)
    _hear: Hear = field(default=lambda event: None)
    _lock_file: int = -1
    _forgotten: queue.SimpleQueue[_Left | None] = field(default_factory=queue.SimpleQueue)
    _quiet: set[str] = field(default_factory=set)
    _nonces: dict[str, str] = field(default_factory=dict)
    _wanted: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._attempts = str(self.root / ATTEMPTS)

    def open(self, hear: Hear) -> None:
        """Takes the folder for this agent; `hear` gets each message of the supervisor. Raises EngineInUse."""
        self._hear = hear
        (self.root / ATTEMPTS).mkdir(parents=True, exist_ok=True, mode=0o700)
        self.root.chmod(0o700)
        self._lock_file = os.open(self.root / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock_file)
            raise EngineInUse(f"{self.root} 已被另一个代理使用 is used by another agent") from error
        secret = self.root / SECRET
        if not secret.exists():
            partial = secret.with_suffix(".part")
            partial.write_text(secrets.token_urlsafe(32), encoding="ascii")
            partial.chmod(0o600)
            partial.replace(secret)
        here = capacity(machine.describe(self.cores, self.memory_mb))
        self._room = Room(lambda: here)
        self._line = SupervisorLine(self.root, self._walls() | {"capacity": here}, self._on_events)
        self._spares = Spares(self._attempts)
        self._spares.open()
        for name in attempts_in(self._attempts):
            kept = self.kept(name)
            if kept is None:
                self.folder(name).remove()
            elif kept.is_begun and kept.record is None:
                self._room.restore(name, amounts(kept.order["resources"]))
        threading.Thread(target=self._remove_forgotten, name="engine-folders", daemon=True).start()

    def close(self) -> None:
        """Leaves the folder; what runs goes on."""
        self._forgotten.put(None)
        self._line.close()
        if self._lock_file >= 0:
            os.close(self._lock_file)
            self._lock_file = -1

    def nodes(self) -> list[Json]:
        """The one node that this machine is."""
        return [machine.describe(self.cores, self.memory_mb)]

    def capabilities(self) -> Json:
        """What this machine can enforce."""
        return capabilities(self.each_job)

    def health(self) -> Health:
        """As well as the agent itself."""
        return Health(shares=True)

    def limits(self) -> Json:
        """What every job may use beside what it asked for."""
        return {"disk_mb": self.each_job.disk_mb, "processes": self.each_job.processes}

    def belongs_to(self, mark: str) -> None:
        """Nobody else's jobs are in the folder."""

    def folder(self, attempt: str) -> AttemptFolder:
        """The folder of an attempt."""
        return AttemptFolder(self._attempts, attempt)

    def kept(self, attempt: str) -> Kept | None:
        """What the folder says."""
        facts = self.folder(attempt).facts()
        if facts is None:
            return None
        return Kept(facts.spec, str(facts.spec["nonce"]), facts.end, facts.has_begun)

    def work(self, attempt: str) -> Path:
        """The working folder."""
        return Path(self.folder(attempt).work)

    def store(self) -> Path:
        """Beside the attempts; a job reads of it what its order names."""
        return self.root / "data"

    def read_log(self, attempt: str, offset: int, most_bytes: int) -> bytes:
        """A stretch of its output."""
        return self.folder(attempt).read_log(offset, most_bytes)

    def held(self) -> list[str]:
        """Attempts that this engine holds, running or ended."""
        return attempts_in(self._attempts)

    def take(self, attempt: str, order: dict[str, Any]) -> str:
        """Keeps what is to be run, durable against a crash of the agent; returns the nonce of this engine's copy.

        order: command, env, resources, time_limit_s as the service gives them.
        """
        folder = self.folder(attempt)
        nonce = secrets.token_hex(16)
        if not self._spares.give(folder, {**order, **self._settled(attempt, order), "nonce": nonce}):
            spec = folder.spec()
            assert spec is not None
            nonce = str(spec["nonce"])
        self._remember(attempt, order, nonce)
        return nonce

    def prepare(self, attempt: str) -> None:
        """The only copy claims as soon as there is room for it."""
        if attempt not in self._nonces:
            kept = self.kept(attempt)
            if kept is None:
                return
            self._remember(attempt, kept.order, kept.nonce)
        self._claim(self._room.ask(attempt, self._wanted[attempt]))

    def finish(self, attempt: str, record: Json) -> Json:
        """Keeps the end of one that never began."""
        return self._ended_unbegun(attempt, record) or record

    def start(self, *attempts: str) -> None:
        """Lets the commands begin, each once, however often this is called; all by one message."""
        wanted = {attempt: self._wanted.get(attempt, {}) for attempt in attempts}
        for attempt in attempts:
            self._room.begin(attempt, wanted[attempt])
        self._line.send({"do": "start", "attempts": wanted})

    def end(self, attempt: str, cause: str = "cancelled") -> None:
        """Asks the command to end, then ends it by force; one that never started never will."""
        if self._ended_unbegun(attempt, {"cause": cause}) is None and self.folder(attempt).facts() is not None:
            self._line.send({"do": "end", "attempt": attempt, "cause": cause})

    def wake(self) -> None:
        """Makes sure that a supervisor watches what is there: a new one decides what an old one left."""
        if any(self.folder(name).has_begun() for name in self.held()):
            self._line.send({"do": "list"})

    def forget(self, attempt: str) -> None:
        """Gives an ended attempt up; its folder goes beside the other work, which need not wait for the disk."""
        left = self._spares.take_back(self.folder(attempt))
        if left is not None:
            self._forgotten.put(_Left(left, attempt in self._quiet))
        self._left({attempt: None})
        self._quiet.discard(attempt)
        self._nonces.pop(attempt, None)
        self._wanted.pop(attempt, None)

    def _walls(self) -> Json:
        return {
            "readable": [*SYSTEM_PATHS, *_python_paths(self.root), *self.each_job.readable],
            "writable": [*DEVICES, *machine.device_files(), *self.each_job.writable],
            "network": self.each_job.network,
            "disk_mb": self.each_job.disk_mb,
        }

    def _on_events(self, events: list[Json]) -> None:
        ended = [event for event in events if event["event"] == "ended"]
        self._quiet.update(event["attempt"] for event in ended if event["quiet"])
        self._left({event["attempt"]: event["record"].get("run_s") for event in ended})
        for event in events:
            self._hear(event)

    def _remember(self, attempt: str, order: Json, nonce: str) -> None:
        self._nonces[attempt] = nonce
        self._wanted[attempt] = amounts(order["resources"])

    def _ended_unbegun(self, attempt: str, record: Json) -> Json | None:
        """Keeps how one ended whose command has not begun and never will; None when it has, or is not there."""
        stands = self.folder(attempt).give_up(record)
        if stands is not None:
            if stands is record:
                self._quiet.add(attempt)
            self._left({attempt: None})
        return stands

    def _claim(self, attempts: list[str]) -> None:
        for attempt in attempts:
            nonce = self._nonces.get(attempt)
            if nonce is not None:
                self._hear({"event": "claim", "attempt": attempt, "nonce": nonce})

    def _left(self, ran_s: Mapping[str, float | None]) -> None:
        """What attempts held is free, so others may claim. ran_s: how long each ran, when it did."""
        claim: list[str] = []
        for attempt, run_s in ran_s.items():
            claim += self._room.leave(attempt, run_s)[1]
        self._claim(claim)

    def _give_back_late(self) -> None:
        """What has waited too long for room returns to the scheduler, as proven not to have begun."""
        for attempt in self._room.late():
            record = self._ended_unbegun(attempt, {"cause": "never_began"})
            if record is not None:
                self._hear({"event": "ended", "attempt": attempt, "record": record})
            else:  # it has begun meanwhile
                self._room.restore(attempt, self._wanted.get(attempt, {}))

    def _remove_forgotten(self) -> None:
        looked = time.monotonic()
        while True:
            with contextlib.suppress(queue.Empty):
                left = self._forgotten.get(timeout=LOOK_EVERY_S)
                if left is None:
                    return
                if left.is_quiet:
                    self._spares.keep(left.path)
                else:
                    self._spares.remove(left.path)
            if time.monotonic() - looked > LOOK_EVERY_S:
                looked = time.monotonic()
                self._give_back_late()

    def _settled(self, attempt: str, order: dict[str, Any]) -> dict[str, Any]:
        wanted = order["resources"]
        cores = float(wanted["cores"])
        folder = self.folder(attempt)
        env = {
            "PATH": os.pathsep.join([os.path.join(sys.prefix, "bin"), "/usr/local/bin", "/usr/bin", "/bin"]),
            "HOME": folder.work,
            "TMPDIR": os.path.join(folder.work, "tmp"),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": str(max(1, round(cores))),
            **order.get("env", {}),
            **machine.binding(wanted.get("accelerators", {}), wanted.get("devices", {})),
            processes.MARK: attempt,
        }
        limits = {
            "memory_mb": wanted["memory_mb"],
            "time_limit_s": order["time_limit_s"],
            "disk_mb": self.each_job.disk_mb,
            "log_bytes": self.each_job.log_bytes,
            "processes": self.each_job.processes,
            "user_processes": processes.of_user(int(time.monotonic() / 5)) + self.each_job.processes,
            "grace_s": self.each_job.grace_s,
            "nice": self.each_job.nice,
            "cpus": machine.processors(cores),
        }
        return {"env": env, "limits": limits}


def _python_paths(root: Path) -> list[str]:
    """Where this interpreter and its packages lie, unless that is the folder of the platform's data."""
    wanted = {sys.prefix, sys.base_prefix, *filter(None, sys.path)}
    return sorted(path for path in wanted if os.path.exists(path) and not root.is_relative_to(path))


def capabilities(limits: EngineLimits) -> dict[str, Any]:
    """What this machine can enforce, for the centre's page."""
    version = landlock.abi()
    return {
        "engine": "local",
        "queues": True,
        "landlock_abi": version,
        "writes_confined": version > 0,
        "signals_confined": version >= 6,
        "network": "open" if limits.network or version < 4 else "closed",
        "disk_mb": limits.disk_mb,
        "log_bytes": limits.log_bytes,
        "processes": limits.processes,
    }
