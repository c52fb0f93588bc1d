"""The queue of the writers of one SQLite file."""

from __future__ import annotations

import threading
import time

import pytest
from brain_kit.database.locks import WriterLock


def queue_up(lock: WriterLock, name: str, order: list[str], timeout_s: float = 10.0) -> threading.Thread:
    """A thread that waits for the lock, notes when it has it, and gives it back."""

    def work() -> None:
        if lock.acquire(timeout_s):
            order.append(name)
            lock.release()
        else:
            order.append(f"{name} gave up")

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.05)
    return thread


def test_whoever_writes_again_and_again_lets_those_who_wait_write_in_between() -> None:
    """First come, first served, and the one that gives the lock back stands behind all others."""
    lock, order = WriterLock(), list[str]()
    assert lock.acquire(1.0)
    threads = [queue_up(lock, name, order) for name in "abc"]
    lock.release()
    assert lock.acquire(1.0)
    order.append("me")
    lock.release()
    for thread in threads:
        thread.join()
    assert order == ["a", "b", "c", "me"]


def test_one_that_gives_up_is_passed_over() -> None:
    """The lock goes to the next in the queue."""
    lock, order = WriterLock(), list[str]()
    assert lock.acquire(1.0)
    early = queue_up(lock, "a", order, timeout_s=0.01)
    late = queue_up(lock, "b", order)
    early.join()
    lock.release()
    late.join()
    assert order == ["a gave up", "b"]
    assert lock.acquire(0.1)
    with pytest.raises(RuntimeError, match="a transaction is open in this thread"):
        lock.acquire(0.1)
    lock.release()


def test_of_many_one_holds_it_at_a_time() -> None:
    """Also while some give up at the very moment in which it would be theirs."""
    lock, holders, most, taken = WriterLock(), 0, 0, 0

    def work(timeout_s: float) -> None:
        nonlocal holders, most, taken
        for _ in range(200):
            if lock.acquire(timeout_s):
                holders += 1
                most = max(most, holders)
                taken += 1
                time.sleep(0.0001)
                holders -= 1
                lock.release()

    threads = [threading.Thread(target=work, args=(0.001 * (number % 2) or 10.0,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert taken >= 600
    assert lock.acquire(0.1)
