"""The local copies of remote objects: bounded, complete, fetched once."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest
from brain_kit.objects.cache import LocalCopies


def gives(content: bytes) -> Callable[[BinaryIO], None]:
    """A fetch that writes `content`."""

    def fetch(out: BinaryIO) -> None:
        out.write(content)

    return fetch


def aged(path: Path, seconds: float) -> Path:
    """The file as if it had been used that long ago."""
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


def test_least_recently_used_copies_go_first(tmp_path: Path) -> None:
    """Above the capacity the oldest use goes, whenever the copy was made."""
    copies = LocalCopies(tmp_path, capacity_bytes=250, grace_s=60)
    first, second = (aged(copies.path(key, gives(bytes(100))), 900) for key in ("first", "second"))
    copies.path("first", gives(b"never fetched again"))

    third = copies.path("third", gives(bytes(100)))

    assert (first.exists(), second.exists(), third.exists()) == (True, False, True)
    assert copies.size_bytes() == 200


def test_copies_in_use_outlive_the_capacity(tmp_path: Path) -> None:
    """What was handed out a moment ago stays although the sum is above the capacity."""
    copies = LocalCopies(tmp_path, capacity_bytes=250, grace_s=60)
    paths = [copies.path(str(number), gives(bytes(100))) for number in range(4)]

    assert all(path.exists() for path in paths)
    for path in paths:
        aged(path, 61)
    copies.path("new", gives(bytes(100)))
    assert copies.size_bytes() == 200


def test_copy_larger_than_the_capacity_is_usable(tmp_path: Path) -> None:
    """The bound never makes an object unreadable."""
    copies = LocalCopies(tmp_path, capacity_bytes=10, grace_s=60)

    assert copies.path("k", gives(bytes(100))).stat().st_size == 100


def test_simultaneous_readers_fetch_once(tmp_path: Path) -> None:
    """Eight threads over two instances wait for one fetch and never see a part of it."""
    fetched = []
    begun = threading.Barrier(8)
    instances = [LocalCopies(tmp_path, capacity_bytes=10**9) for _ in range(2)]

    def slow(out: BinaryIO) -> None:
        fetched.append(1)
        for _ in range(10):
            out.write(bytes(1000))
            time.sleep(0.01)

    def read(number: int) -> int:
        begun.wait()
        return instances[number % 2].path("k", slow).stat().st_size

    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(read, range(8)))

    assert sizes == [10_000] * 8
    assert len(fetched) == 1


def test_failed_fetch_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    """An error of the fetch reaches the caller; the next call tries again."""
    copies = LocalCopies(tmp_path, capacity_bytes=10**9)

    def broken(out: BinaryIO) -> None:
        out.write(b"half")
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        copies.path("k", broken)
    assert copies.size_bytes() == 0
    assert list((tmp_path / "tmp").iterdir()) == []
    assert copies.path("k", gives(b"whole")).read_bytes() == b"whole"


FETCHER = """
import sys, time
from pathlib import Path
from brain_kit.objects.cache import LocalCopies
copies = LocalCopies(Path(sys.argv[1]), capacity_bytes=40_000, grace_s=1)
end = time.monotonic() + 3
while (now := time.monotonic()) < end:
    for number in range(12):
        key = f"{int(now * 10)}-{number}"
        content = key.encode() * 1000
        path = copies.path(key, lambda out: out.write(content))
        assert path.read_bytes() == content
"""


def test_processes_share_the_folder(tmp_path: Path) -> None:
    """Three processes that fetch and evict the same keys all the time always read whole, right copies."""
    processes = [
        subprocess.Popen([sys.executable, "-c", FETCHER, str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    told = [process.communicate(timeout=60)[1] for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0], told
    # Three seconds bring about 30 * 12 copies of 12 kB; those of the last second may stay.
    assert 0 < LocalCopies(tmp_path, capacity_bytes=40_000).size_bytes() < 2_500_000
