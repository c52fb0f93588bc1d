"""The three servers of a development cluster, started by one command and stopped by another."""

import json
import os
import shutil
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from brain_testing.ports import is_free
from brain_testing.servers.child import started_at, stop_by_pid
from brain_testing.servers.kafka import Kafka
from brain_testing.servers.postgres import Postgres
from brain_testing.servers.s3 import S3
from brain_testing.servers.server import Server

BUCKET = "brain"
KINDS: dict[str, type[Server]] = {"postgres": Postgres, "kafka": Kafka, "s3": S3}


@dataclass(frozen=True)
class Running:
    """What must be known to find a server again: process id with its start time, ports, folder, secret."""

    pid: int
    began: int
    ports: tuple[int, ...]
    folder: str
    secret: str = ""

    @property
    def is_alive(self) -> bool:
        """Whether this very process still lives."""
        return started_at(self.pid) == self.began


class Ensemble:
    """PostgreSQL, Kafka and S3 whose data and addresses lie in one folder, and stay the same over restarts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.env_file = self.folder / "env"
        self._state = self.folder / "pids.json"

    def up(self, *, detached: bool) -> dict[str, float]:
        """Start what does not run, write `env` and `pids.json`; returns seconds until ready by name (0: ran already).

        Raises MissingServer, ServerFailed; what was started before the failure is stopped again.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        known = self.status()
        servers = {name: self._server(name, known.get(name), detached) for name in KINDS}
        asleep = [name for name in KINDS if name not in known or not known[name].is_alive]
        with ThreadPoolExecutor(len(KINDS)) as pool:
            waiting = {name: pool.submit(servers[name].start) for name in asleep}
        failed = [future.exception() for future in waiting.values() if future.exception()]
        if failed and failed[0] is not None:
            for name in asleep:
                servers[name].kill()
            raise failed[0]
        self._write(servers, {name: running for name, running in known.items() if name not in asleep})
        return {name: round(servers[name].start_s, 2) for name in KINDS}

    def down(self, *, remove: bool = False) -> list[str]:
        """Stop what runs, by process id; returns the names of what ran. Data stay unless `remove`."""
        stopped = []
        for name, running in self.status().items():
            if stop_by_pid(running.pid, running.began, KINDS[name].stop_signal):
                stopped.append(name)
            if remove:
                shutil.rmtree(running.folder, ignore_errors=True)
        if remove:
            self._remove_traces()
        return stopped

    def status(self) -> dict[str, Running]:
        """What was started last, by name."""
        try:
            entries = json.loads(self._state.read_text())
        except FileNotFoundError:
            return {}
        return {name: Running(**{**entry, "ports": tuple(entry["ports"])}) for name, entry in entries.items()}

    def wait(self) -> None:
        """Return when one of the servers has ended."""
        while all(running.is_alive for running in self.status().values()):
            time.sleep(0.5)

    def _server(self, name: str, known: Running | None, detached: bool) -> Server:
        folder = Path(known.folder) if known else self._folder_of(name)
        # The old ports where nobody took them meanwhile: running clients find their way back.
        keep = known is not None and (known.is_alive or all(is_free(port) for port in known.ports))
        ports = known.ports if known and keep else None
        if name == "postgres":
            return Postgres(folder, ports=ports, detached=detached, durable=True)
        if name == "s3":
            return S3(folder, ports=ports, detached=detached, secret=known.secret if known else None)
        return Kafka(folder, ports=ports, detached=detached)

    def _folder_of(self, name: str) -> Path:
        """Below our folder, or in the system's temporary one where user `postgres` cannot reach ours."""
        folder = self.folder / name
        closed = any(not path.stat().st_mode & 0o001 for path in (self.folder, *self.folder.parents))
        if name == "postgres" and os.geteuid() == 0 and closed:
            folder = self._outside() / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _remove_traces(self) -> None:
        """Delete what is ours; a folder that holds anything else stays."""
        for path in (self._state, self.env_file):
            path.unlink(missing_ok=True)
        for folder in (self._outside(), self.folder):
            with suppress(OSError):
                folder.rmdir()

    def _outside(self) -> Path:
        mark = sha256(str(self.folder).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"brain-servers-{mark}"

    def _write(self, servers: dict[str, Server], kept: dict[str, Running]) -> None:
        running = dict(kept)
        for name, server in servers.items():
            if server.child is not None:
                secret = server.secret if isinstance(server, S3) else ""
                began = started_at(server.child.pid) or 0
                running[name] = Running(server.child.pid, began, server.ports, str(server.folder), secret)
        _write_private(self._state, json.dumps({name: asdict(entry) for name, entry in running.items()}, indent=1))
        postgres, kafka, s3 = servers["postgres"], servers["kafka"], servers["s3"]
        assert isinstance(postgres, Postgres) and isinstance(kafka, Kafka) and isinstance(s3, S3)  # noqa: PT018
        lines = [
            f"BRAIN_DATABASE_URL={postgres.database_url('{service}')}",
            f"BRAIN_EVENTS_URL={kafka.url}",
            f"BRAIN_OBJECTS_URL={s3.make_bucket(BUCKET)}",
        ]
        _write_private(self.env_file, "\n".join(lines) + "\n")


def stop_on_signals() -> None:
    """Let SIGTERM end the program the way Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(text)
    temporary.replace(path)
