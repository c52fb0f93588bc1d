"""The script that runs on a node, run by bash for real, with a desk that answers it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from compute_scheduler.engine.copy import Copied, script
from compute_scheduler.engine.desk import Desk, Question
from compute_scheduler.engine.rules import REFUSED_CODE
from compute_scheduler.engine.shared import SharedFolder

from tests.compute_scheduler.clusters import until

ATTEMPT = "job_00000000000000000000000001.1"
Asked = list[Question]


def run(
    folder: Path,
    answer: Callable[[Asked], int],
    command: list[str],
    env: dict[str, str],
    places: Mapping[str, str] | None = None,
    **options: float,
) -> tuple[int, Asked, SharedFolder]:
    """Runs one copy to its end: (exit code, what it asked, its folders). places: what comes with the grant."""
    asked: Asked = []

    def answering(question: Question) -> tuple[int, Mapping[str, str]]:
        asked.append(question)
        return (204, {}) if question.kind == "ended" else (answer(asked), places or {})

    shared = SharedFolder(folder / "own", folder / "shared", ATTEMPT)
    shared.take({"nonce": "", "token": ""})
    desk = Desk(folder, folder / "desk", ("127.0.0.1", 0), "", answering)
    try:
        limits = {"time_limit_s": 60.0, "log_bytes": 1000, "beat_s": 0.1, "grace_s": 0.2} | options
        copied = Copied(ATTEMPT, shared.shared, folder / "desk", "secret", command, env, **limits)  # type: ignore[arg-type]
        path = shared.write_script(script(copied))
        done = subprocess.run(
            ["bash", str(path)], timeout=60, check=False, env={"PATH": "/usr/bin:/bin", "SLURM_JOB_ID": "7"}
        )
    finally:
        desk.close()
    return done.returncode, asked, shared


@pytest.mark.parametrize(
    "words",
    [["plain"], ["two words", "'", '"', "$HOME `id` $(id)", "\\", "*", "", "中文", "a\nb\n", "-n", "!x", "~"]],
)
def test_a_command_and_its_environment_arrive_as_they_were(tmp_path: Path, words: list[str]) -> None:
    """Byte for byte, and names of the script's own variables are no exception."""
    text = (
        "import json,os,sys; open('out','w').write(json.dumps([sys.argv[1:], os.environ['child'], os.environ['PATH']]))"
    )
    env = {"child": "'x' $y \n z", "PATH": "/usr/local/bin:/usr/bin:/bin", "UID": "5"}
    code, asked, shared = run(tmp_path, lambda _: 204, ["/usr/bin/env", "python3", "-c", text, *words], env)
    assert code == 0
    assert json.loads(Path(shared.work, "out").read_text()) == [words, env["child"], env["PATH"]]
    assert [(item.kind, item.attempt, item.token, item.remote, item.address) for item in asked] == [
        ("claims", ATTEMPT, "secret", "7", "127.0.0.1"),
        ("ended", ATTEMPT, "secret", "7", "127.0.0.1"),
    ]


def test_a_member_of_a_gang_learns_with_its_grant_where_the_others_are(tmp_path: Path) -> None:
    """What the desk says stands before what the plan thought; a value of any form arrives whole."""
    env = {"MASTER_ADDR": "planned", "RANK": "1"}
    places = {"MASTER_ADDR": "10.1.0.7", "BRAIN_MEMBERS": "10.1.0.7,fe80::1", "ODD": "a 'b' $c"}
    text = "import json,os; open('out','w').write(json.dumps(dict(os.environ)))"
    code, _, shared = run(tmp_path, lambda _: 204, ["/usr/bin/env", "python3", "-c", text], env, places)
    assert code == 0
    known = json.loads(Path(shared.work, "out").read_text())
    assert {name: known[name] for name in (*places, "RANK")} == places | {"RANK": "1"}


def test_a_copy_that_is_refused_runs_nothing(tmp_path: Path) -> None:
    """It leaves with its own exit code, without marker, log or beat."""
    code, asked, shared = run(tmp_path, lambda _: 409, ["touch", "ran"], {})
    assert (code, len(asked)) == (REFUSED_CODE, 1)
    assert sorted(path.name for path in shared.shared.iterdir()) == ["run", "work"]
    assert not Path(shared.work, "ran").exists()


def test_a_copy_asks_until_it_is_answered_and_keeps_its_nonce(tmp_path: Path) -> None:
    """503 twice, then yes: the same nonce each time, and one run."""
    code, asked, shared = run(
        tmp_path, lambda seen: 204 if len(seen) > 2 else 503, ["sh", "-c", "echo ran; exit 4"], {"A": "1"}
    )
    nonces = {item.nonce for item in asked}
    assert (code, len(nonces)) == (4, 1)
    marker = shared.marker(nonces.pop())
    assert marker is not None
    assert (marker["cause"], marker["exit_code"], marker["log_bytes"]) == ("exit", 4, 4)
    assert shared.marker("0" * 32) is None


def test_a_copy_keeps_its_time_limit_and_kills_what_ignores_it(tmp_path: Path) -> None:
    """SIGTERM, then SIGKILL; never before its seconds are over."""
    _, asked, shared = run(
        tmp_path, lambda _: 204, ["sh", "-c", "trap '' TERM; sleep 30; sleep 30"], {}, time_limit_s=1.0
    )
    marker = shared.marker(asked[0].nonce)
    assert marker is not None
    assert (marker["cause"], marker["signal"]) == ("time_limit", 9)
    assert 1.0 <= marker["run_s"] < 10


def test_a_copy_that_is_killed_takes_its_command_along_and_says_so(tmp_path: Path) -> None:
    """Also what the command started; nobody counted its processor time."""
    beats = "while :; do echo x >>beats; sleep 0.05; done"
    killing = f"({beats}) & kill -KILL $(ps -o ppid= -p $$); {beats}"
    code, asked, shared = run(tmp_path, lambda _: 204, ["sh", "-c", killing], {"PATH": "/usr/bin:/bin"})
    assert code == -9
    nonce = asked[0].nonce
    marker = until(lambda: shared.marker(nonce), lambda seen: seen is not None)
    assert marker is not None
    assert (marker["cause"], marker["signal"], marker["cpu_s"]) == ("killed", 9, None)
    size = Path(shared.work, "beats").stat().st_size
    time.sleep(0.3)
    assert Path(shared.work, "beats").stat().st_size == size


def test_a_desk_refuses_what_is_not_a_claim(tmp_path: Path) -> None:
    """Other paths, nonces and methods get no further."""
    import urllib3

    asked: list[object] = []
    desk = Desk(tmp_path, tmp_path / "desk", ("127.0.0.1", 0), "", lambda question: asked.append(question) or (204, {}))
    try:
        with urllib3.PoolManager(retries=False) as pool:
            base = f"http://127.0.0.1:{desk.port}/v1"
            for path, nonce in (
                (f"/claims/{ATTEMPT}/..", "0" * 32),
                (f"/claims/{ATTEMPT}", "x"),
                ("/claims/x", "0" * 32),
            ):
                answer = pool.request("POST", base + path, headers={"X-Nonce": nonce})
                assert answer.status == 403
            assert pool.request("GET", f"{base}/claims/{ATTEMPT}").status == 501
    finally:
        desk.close()
    assert asked == []
