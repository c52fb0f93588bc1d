"""Slurm: a whole cluster of virtual nodes with its REST daemon, beside whatever Slurm the machine has."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3

from brain_testing.ports import free_ports
from brain_testing.servers.child import Child, started_at
from brain_testing.servers.debian import MissingServer, run_quietly
from brain_testing.servers.packages import ensure_slurm
from brain_testing.servers.server import ServerFailed

_POLL_S = 0.02
_READY_S = 30.0
_TOKEN_S = 3600
API = "v0.0.38"

_CONF = """
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={dir}/m/munge.sock
CredType=cred/munge
AuthAltTypes=auth/jwt
AuthAltParameters=jwt_key={dir}/jwt.key
StateSaveLocation={dir}/state
SlurmctldPidFile={dir}/slurmctld.pid
SlurmctldLogFile={dir}/log/slurmctld.log
SlurmdPidFile={dir}/slurmd.%n.pid
SlurmdSpoolDir={dir}/spool/%n
SlurmdLogFile={dir}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu,shard
PriorityType=priority/multifactor
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0,sched_min_interval=20000,default_queue_depth=1000
JobRequeue=1
MinJobAge={min_job_age}
MaxJobCount=100000
SlurmdTimeout={node_timeout}
KillWait=2
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
"""


class Slurm:
    """A Slurm cluster on loopback: munged, slurmctld, a slurmd for each virtual node, slurmrestd with JWT.

    Needs root (munged and slurmrestd are given to other users). nodes: how many; each has `cpus`, `memory_mb` and
    `gpus` (empty files that are counted), each cut into `shards`. min_job_age: seconds after which records of ended
    jobs are purged.
    """

    def __init__(
        self,
        name: str = "test",
        *,
        nodes: int = 2,
        cpus: int = 8,
        memory_mb: int = 16_000,
        gpus: int = 2,
        shards: int = 4,
        min_job_age: int = 600,
        node_timeout: int = 10,
    ) -> None:
        self.name = name
        self.node_names = [f"n{number}" for number in range(1, nodes + 1)]
        self._shape = {"cpus": cpus, "memory_mb": memory_mb, "gpus": gpus, "shards": gpus * shards}
        self._times = {"min_job_age": min_job_age, "node_timeout": node_timeout}
        self.folder = Path(tempfile.mkdtemp(prefix=f"brain-slurm-{name}-"))
        self.ports: tuple[int, ...] = ()
        self.children: dict[str, Child] = {}
        self.start_s = 0.0

    @property
    def url(self) -> str:
        """The address of slurmrestd."""
        return f"http://127.0.0.1:{self.ports[0]}"

    def start(self) -> Self:
        """Starts everything; returns when all nodes are idle and a call with a token succeeds.

        Raises ServerFailed, MissingServer.
        """
        began = time.monotonic()
        ensure_slurm()
        if os.geteuid() != 0:
            raise MissingServer("a Slurm cluster of the tests needs root: munged and slurmrestd run as other users")
        self.ports = free_ports(2 + len(self.node_names))
        self._write()
        self._start("munged", self._munged(), lambda: self._call("munge", "-n", f"--socket={self.folder}/m/munge.sock"))
        self.start_controller()
        for name in self.node_names:
            self.start_node(name)
        self._await("nodes", self._all_idle)
        self.start_rest()
        self.start_s = time.monotonic() - began
        return self

    def stop(self) -> None:
        """Ends daemons, steps and scripts by process id, then removes the folder."""
        for name in ("slurmrestd", *(f"slurmd.{node}" for node in self.node_names), "slurmctld", "munged"):
            child = self.children.pop(name, None)
            if child is not None:
                child.kill()
        self.end_leftovers()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    # parts --------------------------------------------------------------------------------------------------------

    def is_up(self, daemon: str) -> bool:
        """Whether `slurmctld`, `slurmd.<node>` or `slurmrestd` lives."""
        child = self.children.get(daemon)
        return child is not None and child.exit_code is None

    def start_controller(self) -> None:
        """Starts slurmctld on the state that it saved."""
        self._start("slurmctld", ["slurmctld", "-D"], lambda: self._says(b"is UP", "scontrol", "ping"))

    def forget_jobs(self) -> None:
        """A planned restart of the controller without its records, as if all had been purged; ids do not come again."""
        self.stop_controller()
        with (self.folder / "slurm.conf").open("a") as file:
            file.write("FirstJobId=1000\n")
        for path in (self.folder / "state").glob("job_state*"):
            path.unlink()
        self.start_controller()

    def kill_controller(self) -> None:
        """SIGKILL: what the controller had not yet saved is lost."""
        self.children.pop("slurmctld").kill()

    def stop_controller(self) -> None:
        """A planned end: the state is saved."""
        self.children.pop("slurmctld").stop()

    def start_node(self, name: str) -> None:
        """Starts the slurmd of a node."""
        self._start(f"slurmd.{name}", ["slurmd", "-D", "-N", name], lambda: None)

    def kill_node(self, name: str) -> None:
        """SIGKILL to the slurmd alone, as when it crashes; steps and scripts of its jobs go on."""
        child = self.children.pop(f"slurmd.{name}")
        child.send(signal.SIGKILL)
        while child.exit_code is None:
            time.sleep(_POLL_S)

    def start_rest(self) -> None:
        """Starts slurmrestd."""
        user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        line = [*user, "slurmrestd", "-t", "20", "-a", "rest_auth/jwt", "-s", f"openapi/{API}"]
        environment = self.environment() | {"SLURM_JWT": "daemon"}
        self._start("slurmrestd", [*line, f"127.0.0.1:{self.ports[0]}"], lambda: self.rest("GET", "/ping"), environment)

    # clients ------------------------------------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """For Slurm's own commands."""
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def command(self, *line: str) -> str:
        """What one of Slurm's commands prints. Raises RuntimeError when it fails."""
        done = subprocess.run(line, env=self.environment(), capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            raise RuntimeError(f"{line[0]} ended with {done.returncode}: {done.stderr[-500:]}")
        return done.stdout

    def token(self, lifespan_s: int = _TOKEN_S) -> str:
        """A fresh token of root."""
        return self.command("scontrol", "token", f"lifespan={lifespan_s}", "username=root").partition("=")[2].strip()

    def rest(self, method: str, path: str, body: Any = None) -> Any:
        """A call of slurmrestd from outside the code under test. Raises RuntimeError on another status than 200."""
        headers = {"X-SLURM-USER-NAME": "root", "X-SLURM-USER-TOKEN": self.token()}
        with urllib3.PoolManager(timeout=10.0, retries=False) as pool:
            answer = pool.request(method, f"{self.url}/slurm/{API}{path}", headers=headers, json=body)
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {answer.data[:500]!r}")
        return answer.json()

    def jobs(self) -> list[dict[str, str]]:
        """All jobs that the controller knows: id, name, state, comment."""
        rows = self.command("squeue", "-h", "-t", "all", "-o", "%A|%j|%T|%k").splitlines()
        return [dict(zip(("id", "name", "state", "comment"), row.split("|"), strict=True)) for row in rows]

    def end_leftovers(self) -> None:
        """Ends steps and scripts of this cluster that are still there."""
        for _ in range(100):
            found = [pid for pid in _processes() if self._is_mine(pid)]
            if not found:
                return
            for pid in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)

    # inside -------------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        folder, shape = self.folder, self._shape
        folder.chmod(0o755)
        for name in ("m", "state", "log", *(f"spool/{node}" for node in self.node_names)):
            (folder / name).mkdir(parents=True, exist_ok=True)
        _private(folder / "m/munge.key", secrets.token_bytes(128), 0o400)
        _private(folder / "jwt.key", secrets.token_bytes(32), 0o600)
        for path in (folder / "m", folder / "m/munge.key"):
            shutil.chown(path, "munge", "munge")
        host = socket.gethostname().partition(".")[0]
        text = _CONF.format(name=self.name, host=host, dir=folder, controller=self.ports[1], **self._times)
        for name, port in zip(self.node_names, self.ports[2:], strict=True):
            amounts = f"CPUs={shape['cpus']} RealMemory={shape['memory_mb']} "
            amounts += f"Gres=gpu:{shape['gpus']},shard:{shape['shards']}"
            text += f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} {amounts} State=UNKNOWN\n"
        text += "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
        (folder / "slurm.conf").write_text(text)
        (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        for number in range(shape["gpus"]):
            (folder / f"gpu{number}").touch()
        nodes = f"n[1-{len(self.node_names)}]"
        files = f"{folder}/gpu[0-{shape['gpus'] - 1}]"
        cards = f"NodeName={nodes} Name=gpu Count={shape['gpus']} File={files}\n"
        (folder / "gres.conf").write_text(cards + f"NodeName={nodes} Name=shard Count={shape['shards']}\n")

    def _munged(self) -> list[str]:
        place = self.folder / "m"
        user = ["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups"]
        files = [f"--socket={place}/munge.sock", f"--key-file={place}/munge.key", f"--pid-file={place}/munged.pid"]
        logs = [f"--log-file={place}/munged.log", f"--seed-file={place}/seed", "--num-threads=2"]
        return [*user, "munged", "--foreground", "--force", *files, *logs]

    def _start(
        self, name: str, line: list[str], probe: Callable[[], Any], environment: dict[str, str] | None = None
    ) -> None:
        log = self.folder / "log" / f"{name}.out"
        child = Child(line, folder=self.folder, log=log, env=environment or self.environment())
        self.children[name] = child
        self._await(name, probe, child)

    def _await(self, what: str, probe: Callable[[], Any], child: Child | None = None) -> None:
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                probe()
                return
            except (RuntimeError, OSError, subprocess.SubprocessError, urllib3.exceptions.HTTPError) as error:
                if child is not None and child.exit_code is not None:
                    raise ServerFailed(f"{what} ended with {child.exit_code}:\n{child.output()}") from error
                if time.monotonic() > deadline:
                    said = child.output() if child else ""
                    raise ServerFailed(
                        f"{what} of Slurm was not ready after {_READY_S:g} s ({error}):\n{said}"
                    ) from error
            time.sleep(_POLL_S)

    def _call(self, *line: str) -> None:
        run_quietly(list(line), cwd=self.folder, env=self.environment(), timeout_s=10)

    def _says(self, text: bytes, *line: str) -> None:
        if text.decode() not in self.command(*line):
            raise RuntimeError(f"{line[0]} does not say {text!r} yet")

    def _all_idle(self) -> None:
        states = self.command("sinfo", "-h", "-N", "-o", "%T").split()
        if states != ["idle"] * len(self.node_names):
            raise RuntimeError(f"nodes are {states}")

    def _is_mine(self, pid: int) -> bool:
        mark = str(self.folder).encode()
        for name in ("cmdline", "environ"):
            try:
                if mark in Path(f"/proc/{pid}/{name}").read_bytes():
                    return started_at(pid) is not None
            except OSError:
                return False
        return False


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def _private(path: Path, content: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
