"""The local engine alone: limits, walls, and what is left when agent or supervisor die."""

from __future__ import annotations

import os
import queue
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compute_scheduler.engine import landlock, processes, room
from compute_scheduler.engine.contract import EngineInUse
from compute_scheduler.engine.local import EngineLimits, LocalEngine

LIMITS = EngineLimits(disk_mb=20, log_bytes=100_000, processes=20, grace_s=0.3, nice=0)


class Bench:
    """An engine and what its supervisor says."""

    def __init__(self, root: Path, limits: EngineLimits = LIMITS, cores: float = 0.0) -> None:
        self.root = root
        self.ended: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self.gone: queue.Queue[bool] = queue.Queue()
        self.claims: queue.Queue[str] = queue.Queue()
        self.engine = LocalEngine(root, limits, cores)
        self.engine.open(self._hear)

    def _hear(self, event: dict[str, Any]) -> None:
        if event["event"] == "ended":
            self.ended.put((event["attempt"], event["record"]))
        elif event["event"] == "gone":
            self.gone.put(True)
        elif event["event"] == "claim":
            self.claims.put(event["attempt"])

    def run(self, attempt: str, *command: str, memory_mb: int = 300, time_limit_s: float = 30) -> None:
        """Starts a command."""
        self.take(attempt, *command, memory_mb=memory_mb, time_limit_s=time_limit_s)
        self.engine.start(attempt)

    def take(self, attempt: str, *command: str, memory_mb: int = 300, time_limit_s: float = 30) -> None:
        """Takes an order."""
        order = {"resources": {"cores": 1, "memory_mb": memory_mb}, "time_limit_s": time_limit_s, "env": {}}
        self.engine.take(attempt, order | {"command": list(command)})

    def end_of(self, attempt: str, timeout_s: float = 30) -> dict[str, Any]:
        """How an attempt ended."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            record = self.engine.folder(attempt).exit()
            if record is not None:
                return record
            time.sleep(0.02)
        raise AssertionError(f"{attempt} has not ended")

    def log(self, attempt: str) -> str:
        """What it printed."""
        return Path(self.engine.folder(attempt).log).read_text(errors="replace")

    def supervisor(self) -> int:
        """The supervisor's process id."""
        mark = str(self.root).encode()
        for pid in processes.every():
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"compute_scheduler.engine.supervisor" in command and mark in command:
                return pid
        raise AssertionError("no supervisor")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An engine of this test alone."""
    made = Bench(tmp_path / "agent")
    yield made
    for attempt in made.engine.held():
        made.engine.end(attempt)
    made.engine.close()


def python(text: str) -> tuple[str, str, str]:
    """A command that runs Python text."""
    return sys.executable, "-c", text


def survivors(attempt: str) -> set[int]:
    """Processes of an attempt that live."""
    return processes.marked(processes.every(), attempt)


def test_a_job_that_breaks_a_limit_is_ended_and_its_neighbour_goes_on(bench: Bench) -> None:
    """Memory, processes, disk by many files, disk by one file: each is told; the neighbour ends by itself."""
    bench.run("neighbour.1", *python("import time; time.sleep(4); print('well')"))
    hog = python("x=[]\nwhile True: x.append(bytearray(5_000_000))")
    fork = python(
        "import os,time\nfor _ in range(200):\n"
        " if not os.fork(): os.setsid(); time.sleep(60); os._exit(0)\n"
        "time.sleep(60)"
    )
    fill = python(
        "import time\nfor n in range(60): open(str(n),'wb').write(b'x'*10**6); time.sleep(.02)\ntime.sleep(60)"
    )
    one = python(
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "f=open('big','wb')\nwhile True: f.write(b'x'*10**6)"
    )

    bench.run("hog.1", *hog, memory_mb=100)
    assert bench.end_of("hog.1")["cause"] == "memory"
    bench.run("fork.1", *fork, memory_mb=5000)
    assert bench.end_of("fork.1")["cause"] == "processes"
    assert survivors("fork.1") == set()
    bench.run("fill.1", *fill)
    assert bench.end_of("fill.1")["cause"] == "disk"
    bench.run("one.1", *one)
    assert bench.end_of("one.1")["cause"] == "disk"

    record = bench.end_of("neighbour.1")
    assert (record["cause"], record["exit_code"], bench.log("neighbour.1")) == ("exit", 0, "well\n")


def test_a_gigabyte_of_output_is_cut_and_the_log_says_so(bench: Bench) -> None:
    """The job goes on to its end; the log holds its first 100,000 bytes."""
    bench.run("loud.1", "head", "-c", "1000000000", "/dev/zero")
    record = bench.end_of("loud.1", 60)
    assert (record["exit_code"], record["log_dropped_bytes"]) == (0, 1_000_000_000 - 100_000)
    size = os.path.getsize(bench.engine.folder("loud.1").log)
    assert 100_000 < size < 100_200
    assert "日志达到上限 100000 字节" in bench.log("loud.1")[-120:]


def test_a_job_that_ignores_sigterm_is_killed_with_all_that_it_started(bench: Bench) -> None:
    """Also a child that left the session and lost its parent."""
    daemon = "import os,signal,time\nsignal.signal(15, signal.SIG_IGN)\n"
    daemon += (
        "if not os.fork():\n os.setsid()\n if not os.fork(): time.sleep(60)\n os._exit(0)\nos.wait()\ntime.sleep(60)"
    )
    bench.run("deaf.1", *python(daemon), time_limit_s=1)
    record = bench.end_of("deaf.1")
    assert (record["cause"], record["signal"]) == ("time_limit", 9)
    assert record["run_s"] >= 1.3
    assert survivors("deaf.1") == set()


def test_what_a_finished_command_leaves_running_is_ended(bench: Bench) -> None:
    """A job is over when its command is: nothing of it goes on unaccounted."""
    bench.run("parent.1", "sh", "-c", "setsid sleep 60 & sleep 0.3; exit 0")
    assert bench.end_of("parent.1")["exit_code"] == 0
    assert survivors("parent.1") == set()


@pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock; the centre's capabilities say so")
def test_a_job_writes_nowhere_but_into_its_folder(bench: Bench, tmp_path: Path) -> None:
    """Nor does it read the agent's folder, where the secret and the other jobs lie, or signal the platform."""
    outside = tmp_path / "outside"
    outside.mkdir()
    text = f"""
import os
for path in ({str(outside / "x")!r}, "/tmp/x-{os.getpid()}", "/etc/x", "/usr/x"):
    try: open(path, "w"); print("WROTE", path)
    except OSError: pass
try: print("READ", open({str(bench.root / "secret")!r}).read())
except OSError: pass
try: os.listdir({str(bench.root)!r}); print("LISTED")
except OSError: pass
try: os.kill({os.getpid()}, 0); print("SIGNALLED")
except OSError: pass
try: print("ENVIRON", open("/proc/{os.getpid()}/environ").read())
except OSError: pass
open("own", "w").write("x"); open(os.environ["TMPDIR"] + "/t", "w").write("x"); print("done")
"""
    bench.run("curious.1", *python(text))
    assert bench.end_of("curious.1")["exit_code"] == 0
    assert bench.log("curious.1") == "done\n"


def test_a_job_gets_no_environment_but_its_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the platform has in its environment, such as secrets, is not handed on."""
    monkeypatch.setenv("BRAIN_SERVICE_SECRET", "never")
    bench.run("env.1", "env")
    bench.end_of("env.1")
    names = {line.partition("=")[0] for line in bench.log("env.1").splitlines()}
    assert names == {"PATH", "HOME", "TMPDIR", "LANG", "OMP_NUM_THREADS", "BRAIN_ATTEMPT"}


def test_a_command_that_is_not_there_is_told_by_name(bench: Bench) -> None:
    """127, as a shell would say."""
    bench.run("none.1", "no-such-program")
    record = bench.end_of("none.1")
    assert (record["exit_code"], "no-such-program" in record["detail"]) == (127, True)


def test_an_attempt_starts_once_however_often_it_is_asked(bench: Bench) -> None:
    """Start, start again, start after the end: one line in the proof."""
    order = {"resources": {"cores": 1, "memory_mb": 100}, "time_limit_s": 30, "env": {}}
    order["command"] = ["sh", "-c", "echo ran >> proof; sleep 0.3"]
    nonces = {bench.engine.take("once.1", order) for _ in range(3)}
    for _ in range(3):
        bench.engine.start("once.1")
    bench.end_of("once.1")
    bench.engine.start("once.1")
    time.sleep(0.3)
    assert len(nonces) == 1
    assert Path(bench.engine.folder("once.1").work, "proof").read_text() == "ran\n"


def test_one_that_is_ended_before_it_began_never_begins(bench: Bench) -> None:
    """The end stands in its folder, so a start that comes late finds it."""
    order = {"resources": {"cores": 1, "memory_mb": 100}, "time_limit_s": 30, "env": {}, "command": ["touch", "proof"]}
    bench.engine.take("early.1", order)
    bench.engine.end("early.1", "refused")
    bench.engine.start("early.1")
    time.sleep(0.3)
    assert bench.end_of("early.1") == {"cause": "refused"}
    assert not Path(bench.engine.folder("early.1").work, "proof").exists()


@pytest.mark.fault
def test_what_has_no_room_waits_unclaimed_and_goes_back_when_that_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One core: the second claims when the first has ended; the third is given back and never begins."""
    bench = Bench(tmp_path / "agent", cores=1)
    for name, command in (("a", "sleep 0.5"), ("b", "sleep 30"), ("c", "true")):
        bench.take(f"job_{name}.1", "sh", "-c", command)
        bench.engine.prepare(f"job_{name}.1")
    assert bench.claims.get(timeout=10) == "job_a.1"
    assert bench.claims.empty()
    bench.engine.start("job_a.1")
    assert bench.ended.get(timeout=20)[0] == "job_a.1"
    assert bench.claims.get(timeout=10) == "job_b.1"
    bench.engine.start("job_b.1")
    monkeypatch.setattr(room, "PATIENCE_S", 0.0)
    attempt, record = bench.ended.get(timeout=20)
    assert (attempt, record["cause"]) == ("job_c.1", "never_began")
    bench.engine.start("job_c.1")
    bench.engine.end("job_b.1")
    assert bench.ended.get(timeout=20)[0] == "job_b.1"
    assert not bench.engine.folder("job_c.1").has_begun()
    bench.engine.close()


def test_jobs_outlive_their_agent_and_a_new_one_finds_them(tmp_path: Path) -> None:
    """An agent that is gone is no reason to end; its successor hears of the end that it missed and of the next."""
    first = Bench(tmp_path / "agent")
    first.run("short.1", "sh", "-c", "sleep 0.3; echo short")
    first.run("long.1", "sh", "-c", "sleep 1.5; echo long")
    with pytest.raises(EngineInUse):
        Bench(tmp_path / "agent")
    first.engine.close()
    time.sleep(0.8)

    second = Bench(tmp_path / "agent")
    second.engine.wake()
    assert second.engine.held() == ["long.1", "short.1"]
    assert second.end_of("short.1")["exit_code"] == 0
    assert second.ended.get(timeout=10)[0] == "long.1"
    assert second.log("long.1") == "long\n"
    second.engine.close()


@pytest.mark.fault
def test_a_new_supervisor_ends_what_a_killed_one_left(bench: Bench) -> None:
    """The commands have no watcher any more, so nobody could say how they end: they are ended, and that is told."""
    bench.run("left.1", "sh", "-c", "setsid sleep 60 & sleep 60")
    while len(survivors("left.1")) < 3:
        time.sleep(0.02)
    os.kill(bench.supervisor(), signal.SIGKILL)
    assert bench.gone.get(timeout=10)
    bench.engine.wake()
    assert bench.end_of("left.1")["cause"] == "supervisor_lost"
    assert survivors("left.1") == set()


def test_who_does_not_know_the_secret_commands_nothing(bench: Bench) -> None:
    """A job runs as the same user and may reach the socket where there are no walls."""
    import socket

    bench.run("sleeper.1", "sleep", "60")
    while not bench.engine.folder("sleeper.1").has_begun():
        time.sleep(0.02)
    with socket.socket(socket.AF_UNIX) as stranger:
        os.chdir(bench.root)
        stranger.connect("supervisor.sock")
        stranger.sendall(b'{"secret": "guess"}\n{"do": "end", "attempt": "sleeper.1"}\n')
        stranger.settimeout(5)
        assert stranger.recv(10) == b""
    assert bench.engine.folder("sleeper.1").exit() is None


def test_a_folder_passes_to_another_attempt_only_when_nothing_of_the_first_can_be_alive(bench: Bench) -> None:
    """A process that hid from the supervisor might still write where the next job works."""

    def had_before(attempt: str, *command: str) -> str:
        """The attempt that had the folder of this one, as far as it is marked."""
        bench.run(attempt, *command)
        bench.end_of(attempt)
        assert bench.ended.get(timeout=10)[0] == attempt
        mark = Path(bench.engine.folder(attempt).file("mark"))
        before = mark.read_text() if mark.exists() else ""
        mark.write_text(attempt)
        bench.engine.forget(attempt)
        time.sleep(0.5)
        return before

    assert had_before("a.1", "true") == ""
    assert had_before("b.1", "env", "-i", "setsid", "sh", "-c", "exec sleep 3 &") == "a.1"
    assert had_before("c.1", "true") == ""
