"""Identifiers."""

import subprocess
import sys
import threading
import time

import pytest
from brain_kit import ids
from hypothesis import given
from hypothesis import strategies as st

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def milliseconds_of(identifier: str) -> int:
    """The time of a ULID, read as its specification says: the first ten characters, five bits each."""
    value = 0
    for character in identifier.rpartition("_")[2][:10]:
        value = value * 32 + CROCKFORD.index(character)
    return value


def test_an_id_is_its_prefix_and_a_ulid_of_the_present_millisecond() -> None:
    """The ULID specification: 48 bits of time, 80 of chance, Crockford's letters."""
    before = time.time_ns() // 1_000_000
    identifier = ids.new_id("psh")
    after = time.time_ns() // 1_000_000
    prefix, _, ulid = identifier.partition("_")
    assert prefix == "psh"
    assert len(ulid) == 26
    assert set(ulid) <= set(CROCKFORD)
    # Ids of the same millisecond count on, which may carry into the next millisecond once in 2**48 cases.
    assert before <= milliseconds_of(identifier) <= after + 1


def test_ids_of_one_process_sort_by_creation_across_threads() -> None:
    """Also thousands in the same millisecond."""
    made: list[str] = []
    lock = threading.Lock()

    def work() -> None:
        for _ in range(2000):
            with lock:
                made.append(ids.new_id("evt"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == sorted(made)
    assert len(set(made)) == 8000


def test_ids_stay_unique_and_ordered_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A corrected clock does not break the order."""
    first = ids.new_id("x")
    hour_ago = time.time_ns() - 3_600_000_000_000
    monkeypatch.setattr("brain_kit.ids.time.time_ns", lambda: hour_ago)
    later = [ids.new_id("x") for _ in range(100)]
    assert [first, *later] == sorted({first, *later})


def test_parent_and_child_of_a_fork_make_different_ids() -> None:
    """Chance that was fetched before the fork is not used by both."""
    script = """
import os
from brain_kit import ids
ids.new_id("x")
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, str(ids._random(10)).encode())
    os._exit(0)
os.wait()
print(os.read(read, 100).decode(), ids._random(10))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    child, parent = ran.stdout.split()
    assert child != parent


@given(st.text(max_size=8))
def test_only_plain_prefixes_are_taken(prefix: str) -> None:
    """A prefix cannot smuggle in what breaks URLs or logs."""
    plain = bool(prefix) and all(c in "abcdefghijklmnopqrstuvwxyz0123456789_" for c in prefix)
    if plain:
        assert ids.new_id(prefix).startswith(prefix + "_")
    else:
        with pytest.raises(ValueError, match="prefix"):
            ids.new_id(prefix)
