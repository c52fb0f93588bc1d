"""Backup of a platform that works, restoration elsewhere, comparison, and what must be refused."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from brain_testing.process import PlatformProcess
from industry_brain.cli import main

from tests.e2e.journey import Journey
from tests.e2e.test_faults import DATASET, Pusher, prepare, stored

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
BRAIN = [sys.executable, "-m", "industry_brain"]
# Copying and hashing it takes a good while longer than seeing that a twentieth of it is written.
BIG_MIB, SOON_MIB = 160, 8


@dataclass(frozen=True)
class Ended:
    """What a command left: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def brain(*words: object, **environment: str) -> Ended:
    """Runs the command line from its entry point, in this process: a new one would import for seconds each time."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["brain", *map(str, words)])
        for name, value in environment.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
    return Ended(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def process(*words: object) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own, as people do."""
    return subprocess.run([*BRAIN, *map(str, words)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with some committed pushes; the platform has ended."""
    folder = tmp_path_factory.mktemp("backup") / "home"
    with PlatformProcess(folder) as running:
        journey = prepare(Journey(running.url, running.home))
        for batch in range(3):
            body = "\n".join(json.dumps({"id": f"r-{batch}-{n}", "n": n}) for n in range(50)).encode()
            journey.push(journey.as_("pusher"), DATASET, body, "application/x-ndjson")
    return folder


@pytest.fixture(scope="module")
def archive(home: Path) -> Path:
    """A backup of it."""
    target = home.parent / "one.tar"
    result = process("backup", "--home", home, "--to", target)
    assert result.returncode == 0, result.stderr
    return target


def test_a_restored_home_differs_in_nothing_and_serves(home: Path, archive: Path, tmp_path: Path) -> None:
    """Restored at another path it verifies, starts there, answers the same rows and takes new ones."""
    restored = tmp_path / "elsewhere" / "new"

    assert process("restore", "--from", archive, "--home", restored).returncode == 0
    verdict = process("verify", "--home", restored, "--against", archive, "--json")

    assert verdict.returncode == 0, verdict.stdout
    report = json.loads(verdict.stdout)
    assert (report["same"], report["dataset_rows"]) == (True, 150)
    assert report["databases"] >= 4
    home.rename(home.with_name("away"))  # so that nothing can be read from the old place
    try:
        with PlatformProcess(restored) as running:
            journey = Journey(running.url, restored)
            ids, total, counted = stored(journey.operator)
            assert (len(set(ids)), total, counted) == (150, 150, 150)
            journey.push(journey.operator, DATASET, b'{"id": "after", "n": 1}', "application/x-ndjson")
            assert stored(journey.operator)[1] == 151
            assert journey.operator.get("/api/identity/v1/audit/verify")["ok"]
    finally:
        home.with_name("away").rename(home)
    after = brain("verify", "--home", restored, "--against", archive)
    assert after.returncode == 7
    assert f"warehouse {DATASET}: 备份 150 行" in after.stdout


def test_an_archive_is_secret(archive: Path) -> None:
    """It holds keys, so only its owner may read it."""
    assert archive.stat().st_mode & 0o777 == 0o600


def _change_row(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "identity.db")) as database, database:
        database.execute("UPDATE organisation SET name = name || '!' WHERE rowid = 1")
    return "database identity.db/organisation: 内容不同"


def _drop_row(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "data_hub.db")) as database, database:
        database.execute("DELETE FROM push WHERE rowid = (SELECT min(rowid) FROM push)")
    return "database data_hub.db/push: 备份 3 行，目录 2 行"


def _flip_byte(folder: Path) -> str:
    path = next((folder / "objects/tables").rglob("*.parquet"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return f"file {path.relative_to(folder)}: 内容不同"


def _lose_object(folder: Path) -> str:
    path = next((folder / "objects/tables").rglob("*.parquet"))
    path.unlink()
    return f"warehouse {path.relative_to(folder / 'objects')}: 表引用的文件缺失或大小不符"


def _open_secret(folder: Path) -> str:
    (folder / "service-secret").chmod(0o644)
    return "file service-secret: 权限不同：备份 600"


def _change_secret(folder: Path) -> str:
    (folder / "service-secret").write_text("another")
    return "file service-secret: 内容不同"


def _add_file(folder: Path) -> str:
    (folder / "objects/tables/extra").write_text("x")
    return "file objects/tables/extra: 只在目录中"


@pytest.mark.parametrize(
    "damage", [_change_row, _drop_row, _flip_byte, _lose_object, _open_secret, _change_secret, _add_file]
)
def test_every_kind_of_difference_is_found(damage: Callable[[Path], str], archive: Path, tmp_path: Path) -> None:
    """One changed thing gives exit code 7 and a line that names it."""
    restored = tmp_path / "new"
    assert brain("restore", "--from", archive, "--home", restored).returncode == 0
    expected = damage(restored)

    result = brain("verify", "--home", restored, "--against", archive)

    assert result.returncode == 7
    assert expected in result.stdout


@pytest.mark.fault
def test_a_backup_taken_while_pushes_go_on_is_one_moment(tmp_path: Path) -> None:
    """Restored, every row acknowledged before the backup is there once, and what waited is committed."""
    home = tmp_path / "home"
    archives: list[tuple[Path, set[str]]] = []
    with PlatformProcess(home) as running:
        journey = prepare(Journey(running.url, running.home))
        pushers = [Pusher(journey, f"p{number}") for number in range(3)]
        for pusher in pushers:
            pusher.start()
        for number in range(2):
            _wait(lambda number=number: sum(len(one.acknowledged) for one in pushers) > 300 * (number + 1), 120)
            before = {row for pusher in pushers for row in list(pusher.acknowledged)}
            target = tmp_path / f"{number}.tar"
            result = brain("backup", "--home", home, "--to", target)
            assert result.returncode == 0, result.stderr + result.stdout
            archives.append((target, before))
        for pusher in pushers:
            pusher.ended.set()
        for pusher in pushers:
            pusher.join(60)
            assert pusher.unexpected == []
    assert len(archives[-1][1]) > len(archives[0][1]) > 0
    for target, before in archives:
        restored = tmp_path / f"restored-{target.stem}"
        assert brain("restore", "--from", target, "--home", restored).returncode == 0
        verdict = brain("verify", "--home", restored, "--against", target)
        assert verdict.returncode == 0, verdict.stdout
        with PlatformProcess(restored) as running:
            api = Journey(running.url, restored).operator
            _wait(lambda api=api: not api.get("/api/data-hub/v1/pushes", state="validated")["items"])
            ids, total, counted = stored(api)
            assert before <= set(ids)
            assert len(ids) == len(set(ids)) == total == counted
            assert api.get("/api/identity/v1/audit/verify")["ok"]


def _wait(is_done: Callable[[], bool], limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not is_done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.fault
def test_an_interrupted_backup_or_restoration_leaves_nothing_that_looks_whole(home: Path, tmp_path: Path) -> None:
    """Killed in the middle: no archive, no folder; the next try works and clears what the dead one left."""
    big = home / "objects" / "big"
    with big.open("wb") as out:
        for _ in range(BIG_MIB):
            out.write(os.urandom(1 << 20))
    try:
        target, restored = tmp_path / "big.tar", tmp_path / "new"
        draft = tmp_path / "big.tar.part"
        _kill_when(["backup", "--home", home, "--to", target], lambda: _size(draft) > SOON_MIB << 20)
        assert not target.exists()
        assert brain("backup", "--home", home, "--to", target).returncode == 0
        assert not (home / ".backup").exists()
        partial = tmp_path / "new.restoring" / "objects" / "big"
        _kill_when(["restore", "--from", target, "--home", restored], lambda: _size(partial) > SOON_MIB << 20)
        assert not restored.exists()
        assert brain("restore", "--from", target, "--home", restored).returncode == 0
        assert brain("verify", "--home", restored, "--against", target).returncode == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == ["big.tar", "new"]
    finally:
        big.unlink()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _kill_when(words: list[object], is_time: Callable[[], bool]) -> None:
    process = subprocess.Popen([*BRAIN, *map(str, words)], stdout=subprocess.DEVNULL)
    try:
        while not is_time():
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("full_at", ["a copied database", "the archive"])
def test_a_full_disk_is_told_and_nothing_is_left(full_at: str, home: Path, tmp_path: Path) -> None:
    """The limit of the file size stands in for the disk: under a copied database, and under the archive."""
    sizes = [path.stat().st_size >> 10 for path in home.glob("*.db")]
    kilobytes = max(sizes) // 2 if full_at == "a copied database" else max(sizes) + 20
    assert sum(sizes) > kilobytes
    target = tmp_path / "small.tar"
    limited = f'ulimit -f {kilobytes}; exec "$@" --home {home} --to {target}'
    result = subprocess.run(
        ["bash", "-c", limited, "bash", *BRAIN, "backup"], capture_output=True, text=True, check=False
    )

    assert result.returncode == 6
    assert "备份没有写完" in result.stderr
    assert list(tmp_path.iterdir()) == []
    assert not (home / ".backup").exists()


def test_nothing_is_overwritten(home: Path, archive: Path, tmp_path: Path) -> None:
    """An archive of the same name, a used folder, a target inside the home: refused, and as they were."""
    used = tmp_path / "used"
    used.mkdir()
    (used / "mine").write_text("precious")
    before = archive.read_bytes()

    refusals = [
        brain("backup", "--home", home, "--to", archive),
        brain("restore", "--from", archive, "--home", used),
        brain("backup", "--home", home, "--to", home / "in.tar"),
        brain("backup", "--home", tmp_path / "none", "--to", tmp_path / "x.tar"),
    ]

    assert [one.returncode for one in refusals] == [6, 6, 6, 6]
    for refusal, words in zip(refusals, ["已存在", "已有内容", "备份会包含自己", "不是平台的数据目录"], strict=True):
        assert words in refusal.stderr
    assert (used / "mine").read_text() == "precious"
    assert archive.read_bytes() == before


def rewritten(archive: Path, target: Path, name: str, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of an archive with one JSON member changed."""
    with tarfile.open(archive) as old, tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as new:
        for member in old.getmembers():
            stream = old.extractfile(member)
            assert stream is not None
            data = stream.read()
            if member.name == name:
                body = json.loads(data)
                change(body)
                data = json.dumps(body).encode()
                member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return target


def _truncate(archive: Path, target: Path) -> Path:
    target.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    return target


def _corrupt(archive: Path, target: Path) -> Path:
    with tarfile.open(archive) as tar:
        member = max((item for item in tar.getmembers() if item.name.endswith(".parquet")), key=lambda item: item.size)
    data = bytearray(archive.read_bytes())
    data[member.offset_data + member.size // 2] ^= 1
    target.write_bytes(data)
    return target


def _no_tar(archive: Path, target: Path) -> Path:
    target.write_bytes(b"PK\x03\x04" + os.urandom(4000))
    return target


def _newer_format(archive: Path, target: Path) -> Path:
    return rewritten(archive, target, "brain-backup.json", lambda body: body.update(format=2))


def _newer_schema(archive: Path, target: Path) -> Path:
    return rewritten(
        archive, target, "manifest.json", lambda body: body["migrations"].update({"data-hub": "9999_future"})
    )


def _unlisted(archive: Path, target: Path) -> Path:
    return rewritten(archive, target, "manifest.json", lambda body: body["files"].pop())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_truncate, "损坏|截断|完整"),
        (_corrupt, "与清单不符"),
        (_no_tar, "不是备份文件"),
        (_newer_format, "备份格式是 2"),
        (_newer_schema, "data-hub 的数据库结构 9999_future"),
        (_unlisted, "与清单不符"),
    ],
)
def test_a_spoilt_archive_is_refused_with_the_reason(
    spoil: Callable[[Path, Path], Path], words: str, archive: Path, tmp_path: Path
) -> None:
    """No folder appears."""
    spoilt = spoil(archive, tmp_path / "spoilt.tar")

    result = brain("restore", "--from", spoilt, "--home", tmp_path / "new")

    assert result.returncode == 6, result.stderr
    assert re.search(words, result.stderr), result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spoilt.tar"]


def test_data_on_servers_are_pointed_to_their_own_backup(home: Path, tmp_path: Path) -> None:
    """The home folder of a cluster holds neither databases nor objects."""
    servers = {"BRAIN_DATABASE_URL": "postgresql://brain@127.0.0.1:1/{service}"}

    result = brain("backup", "--home", home, "--to", tmp_path / "x.tar", **servers)

    assert result.returncode == 6
    assert "docs/runbooks/backup.md" in result.stderr
