"""What is lent when, in which shapes, what is over it, which way a job came; what the borrower's engine does next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from compute_scheduler.domain.lending import LentRun, availability, differences, excess, hop_objection, lent_nodes
from compute_scheduler.domain.outcomes import ending_of, next_of
from compute_scheduler.engine.borrowing import Seen, next_step, record_of
from hypothesis import given
from hypothesis import strategies as st

# 2026-11-30 08:00 in China.
MORNING = datetime(2026, 11, 30, 0, 0, tzinfo=UTC)
LOAN = {"state": "open", "from_at": None, "until_at": None, "hours": []}


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({}, ""),
        ({"state": "recalled"}, "loan_recalled"),
        ({"from_at": MORNING + timedelta(seconds=1)}, "loan_not_begun"),
        ({"until_at": MORNING}, "loan_over"),
        ({"hours": [("08:00", "18:00")]}, ""),
        ({"hours": [("08:01", "18:00")]}, "loan_outside_hours"),
        ({"hours": [("22:00", "08:00")]}, "loan_outside_hours"),
        ({"hours": [("22:00", "08:01")]}, ""),
        ({"hours": [("01:00", "02:00"), ("07:59", "08:01")]}, ""),
    ],
)
def test_a_loan_gives_within_its_terms(terms: dict[str, Any], code: str) -> None:
    """Times of day are those of China; the last minute is not part of a window, and one may lead over midnight."""
    assert availability(LOAN | terms, MORNING).code == code


def _node(name: str, cores: float, own: float = 0.0, gpus: int = 0) -> dict[str, Any]:
    accelerators = {"A100": gpus} if gpus else {}
    return {"id": name, "cores": cores, "memory_mb": 1000, "accelerators": accelerators, "own": {"cores": own}}


def test_what_is_lent_has_the_shapes_of_the_lenders_nodes() -> None:
    """24 of 40 cores over nodes of 8, 16 and 16: a job of 16 fits, none of 24; own work is kept off, names are new."""
    nodes = [_node("a", 8), _node("b", 16, own=12, gpus=2), _node("c", 16)]
    told = lent_nodes(nodes, {"cores": 24, "memory_mb": 1500, "A100": 1})
    assert [(node["name"], node["cores"], node["memory_mb"]) for node in told] == [
        ("lent-1", 16, 1000),
        ("lent-2", 8, 500),
    ]
    assert told[0]["accelerators"] == {"A100": 1}
    assert told[0]["load"] == {"foreign_cores": 12}  # 16 of node b are lent, 4 are free
    assert lent_nodes(nodes, {}) == []


@given(
    st.lists(st.tuples(st.integers(0, 64), st.integers(0, 64)), max_size=8), st.integers(0, 200), st.integers(0, 9000)
)
def test_never_more_than_is_lent_is_offered(sizes: list[tuple[int, int]], cores: int, memory_mb: int) -> None:
    """The sum of the offered nodes is at most what is lent, and no node is larger than one of the lender's."""
    nodes = [_node(str(number), size, own) for number, (size, own) in enumerate(sizes)]
    told = lent_nodes(nodes, {"cores": cores, "memory_mb": memory_mb})
    assert sum(node["cores"] for node in told) <= cores
    assert sum(node["memory_mb"] for node in told) <= memory_mb
    assert max((node["cores"] for node in told), default=0) <= max((size for size, _ in sizes), default=0)


def test_what_began_last_is_over_what_is_lent() -> None:
    """Of three jobs of 2 cores, 4 lent: the youngest goes; with 3 lent two go, and a small one that fits stays."""
    runs = [LentRun(name, {"cores": 2.0, "memory_mb": 10.0}, at) for name, at in (("b", 2), ("c", 3), ("a", 1))]
    assert excess(runs, {"cores": 4, "memory_mb": 100}) == ["c"]
    small = LentRun("d", {"cores": 1.0, "memory_mb": 10.0}, 4)
    assert excess([*runs, small], {"cores": 3, "memory_mb": 100}) == ["b", "c"]
    assert excess(runs, {}) == ["a", "b", "c"]


def test_a_job_takes_one_step_from_its_home() -> None:
    """Back home is a loop, a second brain on the way is lending on."""
    assert hop_objection(["brn_p"], "brn_a") is None
    assert hop_objection(["brn_p", "brn_x"], "brn_a") == ("lent_twice", hop_objection(["brn_p", "brn_x"], "brn_a")[1])  # type: ignore[index]
    assert hop_objection(["brn_a", "brn_p"], "brn_a")[0] == "lending_loop"  # type: ignore[index]


def test_what_two_brains_say_is_compared_field_by_field() -> None:
    """Rounding is no difference; seconds, devices and ends are, but for the two words for what was taken back."""
    here = {"wall_s": 10.0, "core_s": 20.0, "memory_mb_s": 1e9, "accelerator_s": {"A100": 10.0}, "outcome": "preempted"}
    there = here | {"wall_s": 10.004, "memory_mb_s": 1e9 + 500, "outcome": "cancelled"}
    assert differences(here, there) == []
    found = differences(here, there | {"wall_s": 11.0, "accelerator_s": {}, "outcome": "failed"})
    assert [(item.field, item.here, item.there) for item in found] == [
        ("wall_s", 10.0, 11.0),
        ("accelerator_s.A100", 10.0, 0.0),
        ("outcome", "preempted", "failed"),
    ]


def _told(**told: Any) -> dict[str, Any]:
    return {"job": "j", "state": "queued", "reason": "words", "asks": None, "granted": False, "end": None} | told


END = {"began": True, "outcome": "succeeded", "exit_code": 0, "reclaimed": False, "run_s": 2.0}


@pytest.mark.parametrize(
    ("end", "ending", "outcome", "follows"),
    [
        (END, "", "succeeded", "succeeded"),
        (END | {"outcome": "failed", "exit_code": 3}, "", "failed", "failed"),
        (END | {"outcome": "cancelled", "reclaimed": True}, "", "preempted", "queued"),
        (END | {"outcome": "preempted", "reclaimed": True}, "", "preempted", "queued"),
        (END | {"outcome": "cancelled"}, "cancelled", "cancelled", "cancelled"),
        (END | {"outcome": "cancelled"}, "", "failed", "failed"),
        (END | {"outcome": "lost", "exit_code": None}, "", "lost", "failed"),
        (END | {"outcome": "failed", "exit_code": None}, "", "failed", "failed"),
        ({"began": False}, "", "returned", "queued"),
    ],
)
def test_an_end_there_is_an_end_here(end: dict[str, Any], ending: str, outcome: str, follows: str) -> None:
    """What was taken back or never began queues again without counting as a failure; the calendar plays no part."""
    record = record_of(_told(end=end), 7, ending)
    found = ending_of(record, [], {})
    assert found.outcome == outcome
    assert next_of(found, failures=0, returns=0, retries=0, is_cancelled=False).state == follows
    assert record.get("run_s") == end.get("run_s")


class Lender:
    """The other brain as the borrower may rely on it: one job an attempt, which begins once, after `begin`."""

    def __init__(self) -> None:
        self.is_there = self.is_granted = self.is_over = False
        self.begun = 0

    def told(self) -> dict[str, Any] | None:
        """What a look answers."""
        if not self.is_there:
            return None
        end = {"began": bool(self.begun), "outcome": "succeeded"} if self.is_over else None
        asks = None if self.is_granted or self.is_over else "its.1"
        return _told(asks=asks, granted=self.is_granted, end=end)

    def work(self) -> None:
        """Time passes there."""
        if self.is_there and self.is_granted and not self.is_over and not self.begun:
            self.begun += 1
        elif self.begun:
            self.is_over = True


class Borrower:
    """The agent and its engine: what they keep, and one step after another as `next_step` says."""

    def __init__(self, lender: Lender) -> None:
        self.lender = lender
        self.granted = self.ending = False
        self.record: dict[str, Any] | None = None

    def cancel(self) -> None:
        """Without a grant an attempt has ended at once."""
        self.ending = True
        if self.record is None and not self.granted:
            self.record = {"cause": "cancelled"}

    def crash(self) -> None:
        """What is in memory alone is gone; the service asks for the end again when the agent is back."""
        self.ending = False

    def step(self, *, arrives: bool, answered: bool) -> None:
        """Looks and acts; a request may not arrive, or its answer be lost."""
        told = self.lender.told()
        step = next_step(Seen(told, True, True, self.granted, self.ending, self.record is not None), 60.0)
        if step == "claim":
            self.granted = True  # the service grants the only nonce that there is
        elif step == "collect" and answered:
            assert told is not None
            self.record = record_of({**told, "end": END | told["end"]}, 0, "cancelled" if self.ending else "")
        elif step == "submit" and arrives:
            self.lender.is_there = True
        elif step == "begin" and arrives:
            self.lender.is_granted = True
        elif step == "cancel" and arrives:
            self.lender.is_over = True


HAPPENINGS = ("step", "step", "unsent", "unanswered", "crash", "cancel", "time")


@given(st.lists(st.sampled_from(HAPPENINGS), max_size=60))
def test_whatever_is_lost_a_job_runs_once_and_ends(happenings: list[str]) -> None:
    """Requests and answers are lost, the agent dies, somebody cancels: one granted run at most, and in peace an end."""
    lender = Lender()
    borrower = Borrower(lender)
    for happening in [*happenings, *["step", "time"] * 8]:
        match happening:
            case "time":
                lender.work()
            case "cancel":
                borrower.cancel()
            case "crash":
                borrower.crash()
            case _:
                borrower.step(arrives=happening != "unsent", answered=happening == "step")
        assert lender.begun <= int(borrower.granted)
    assert borrower.record is not None
    assert lender.is_over or not lender.is_there
