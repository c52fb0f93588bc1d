"""`brain cluster`: one process per service and worker, on PostgreSQL, Kafka and an S3 server.

A small supervisor for one machine and for tests. On many machines the same `brain service` commands run in containers.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import structlog
import urllib3

from industry_brain.processes import GATEWAY, PROCESSES, Process, called_services

log = structlog.get_logger()
READY_S = 240.0
STOP_S = 8.0
RESTART_DELAY_S = 0.3
MOST_DELAY_S = 5.0
# A process that lived this long was well; the next one is started at once again.
SETTLED_S = 60.0
INTERNAL = "127.0.0.1"


@dataclass
class Member:
    """A process of the cluster: what it runs, and the process of the moment."""

    name: str
    arguments: list[str]
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    # Deaths that followed each other soon, and when the next start is due.
    failures: int = 0
    started_at: float = 0.0
    due_at: float | None = None
    log_path: Path = field(default_factory=Path)


def members(host: str, port: int, ports: dict[str, int]) -> list[Member]:
    """The processes of a cluster, those that are called first and the gateway last.

    Only the gateway listens on `host`; what services have for each other stays on loopback, and so do workers.
    """
    called = [Member(one.name, one.arguments(INTERNAL, ports[one.name]), ports[one.name]) for one in _called()]
    workers = [Member(one.name, [*one.arguments(INTERNAL, 0)], 0) for one in PROCESSES if not one.is_called]
    gateway = next(one for one in PROCESSES if one.name == GATEWAY)
    return [*called, *workers, Member(GATEWAY, gateway.arguments(host, port), port)]


def _called() -> list[Process]:
    return [one for one in PROCESSES if one.is_called and one.name != GATEWAY]


class Supervisor:
    """Starts the members, starts again those that die, and ends all of them."""

    def __init__(self, home: Path, environment: dict[str, str], items: list[Member]) -> None:
        self.home = home
        self.environment = environment
        self.members = items
        self.stopping = threading.Event()
        (home / "logs").mkdir(parents=True, exist_ok=True)

    def start(self, member: Member) -> None:
        """Starts a member's process; its output goes to logs/<name>.log."""
        member.log_path = self.home / "logs" / f"{member.name}.log"
        with member.log_path.open("ab") as output:
            member.process = subprocess.Popen(
                [sys.executable, "-m", "industry_brain", "service", *member.arguments],
                env=self.environment,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )
        member.started_at, member.due_at = time.monotonic(), None
        self._write_state()

    def watch(self) -> None:
        """Until stopped: starts again what died."""
        while not self.stopping.wait(0.1):
            for member in self.members:
                if member.process is not None and member.process.poll() is not None:
                    self._bring_back(member, member.process.returncode)

    def _bring_back(self, member: Member, code: int) -> None:
        """Starts a dead member when it is due: the later the more often it died of late, without holding up others."""
        now = time.monotonic()
        if member.due_at is None:
            member.failures = 1 if now - member.started_at > SETTLED_S else member.failures + 1
            member.due_at = now + min(RESTART_DELAY_S * member.failures, MOST_DELAY_S)
            log.warning("member_died", member=member.name, code=code, restarts=member.restarts)
        if now >= member.due_at and not self.stopping.is_set():
            member.restarts += 1
            self.start(member)

    def stop(self) -> None:
        """Ends every member: TERM, then KILL to its process id after a while."""
        self.stopping.set()
        running = [member.process for member in self.members if member.process and member.process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()

    def wait_ready(self, member: Member) -> None:
        """Waits until a member answers /readyz. Raises ClickException with the end of its log."""
        deadline = time.monotonic() + READY_S
        pool = urllib3.PoolManager(retries=False, timeout=2.0)
        while time.monotonic() < deadline and not self.stopping.is_set():
            try:
                if pool.request("GET", f"http://{INTERNAL}:{member.port}/healthz").status == 200:
                    return
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(0.1)
        raise click.ClickException(
            f"{member.name} 没有就绪 is not ready; end of {member.log_path}:\n{_tail(member.log_path)}"
        )

    def _write_state(self) -> None:
        state = {
            member.name: {"pid": member.process.pid, "port": member.port, "restarts": member.restarts}
            for member in self.members
            if member.process is not None
        }
        partial = self.home / "cluster.json.part"
        partial.write_text(json.dumps(state, indent=2), encoding="utf-8")
        partial.replace(self.home / "cluster.json")


def run_cluster(
    home: Path,
    env_file: Path | None,
    host: str,
    port: int,
    load_demo: Callable[[str, Path], None] | None,
    greet: Callable[[str, Path, dict[str, dict[str, str]] | None], None],
) -> None:
    """Runs the cluster in the foreground until a signal."""
    home.mkdir(parents=True, exist_ok=True)
    called = called_services()
    ports = dict(zip(called, free_ports(len(called)), strict=True))
    environment = cluster_environment(home, env_file, ports)
    credentials = _prepare(environment)
    supervisor = Supervisor(home, environment, members(host, port, ports))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stopping.set())
    try:
        for member in supervisor.members:
            supervisor.start(member)
        for member in supervisor.members:
            if member.port:
                supervisor.wait_ready(member)
        url = f"http://{INTERNAL if host == '0.0.0.0' else host}:{port}"  # noqa: S104 - compares, does not bind
        click.echo(f"ready {url}")
        sys.stdout.flush()
        threading.Thread(target=_after_ready, args=(url, home, credentials, load_demo, greet), daemon=True).start()
        supervisor.watch()
    finally:
        supervisor.stop()


def cluster_environment(home: Path, env_file: Path | None, ports: dict[str, int]) -> dict[str, str]:
    """The environment of every member: addresses of servers and services, and the secret that they share."""
    environment = dict(os.environ)
    if env_file is not None:
        environment |= read_env(env_file)
    secret_file = home / "service-secret"
    if not secret_file.exists():
        with os.fdopen(os.open(secret_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
    environment["BRAIN_HOME"] = str(home)
    environment["BRAIN_SERVICE_SECRET"] = secret_file.read_text().strip()
    environment["BRAIN_SERVICES"] = json.dumps({name: f"http://{INTERNAL}:{number}" for name, number in ports.items()})
    environment.setdefault("BRAIN_LOG_FORMAT", "json")
    return environment


def read_env(path: Path) -> dict[str, str]:
    """NAME=value lines of a file; blank lines and comments are skipped, `export ` and quotes are taken off."""
    values = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        name, sign, value = text.partition("=")
        if not sign:
            raise click.UsageError(f"{path} 第 {number} 行不是 NAME=value line {number} is not NAME=value")
        values[name.strip()] = value.strip().strip("'\"")
    return values


def free_ports(count: int) -> list[int]:
    """Free loopback ports, bound at the same time so that all differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]
    finally:
        for item in sockets:
            item.close()


def _prepare(environment: dict[str, str]) -> dict[str, dict[str, str]] | None:
    """Migrates every database and makes the operator, in a process of its own; returns first credentials, if new."""
    done = subprocess.run(
        [sys.executable, "-m", "industry_brain.prepare"], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise click.ClickException(f"准备失败 preparation failed:\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    credentials: dict[str, dict[str, str]] | None = answer["credentials"]
    return credentials


def _after_ready(
    url: str, home: Path, credentials: Any, load_demo: Callable[[str, Path], None] | None, greet: Callable[..., None]
) -> None:
    if load_demo is not None:
        load_demo(url, home)
    greet(url, home, credentials)


def _tail(path: Path, lines: int = 30) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""
