"""Room on a machine: never more than fits runs, everybody gets in turn, and what waits too long is given back."""

from __future__ import annotations

import pytest
from compute_scheduler.engine import room as module
from compute_scheduler.engine.room import Gate, Room, amounts, capacity
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

CAPACITY = {"cores": 4.0, "memory_mb": 1000.0}


def test_amounts_name_every_resource() -> None:
    """Cores, memory and each kind of accelerator."""
    asked = {"cores": 2, "memory_mb": 300, "accelerators": {"A100": 1}}
    assert amounts(asked) == {"cores": 2.0, "memory_mb": 300.0, "accelerator A100": 1.0}


def test_a_device_is_waited_for_though_another_is_free() -> None:
    """Parts of device 0 until it is full; the third waits for it, the whole device 1 does not."""
    asked = {"cores": 0.1, "memory_mb": 10}
    part = amounts(asked | {"accelerators": {"A": 0.5}, "devices": {"A": [0]}})
    whole = amounts(asked | {"accelerators": {"A": 1}, "devices": {"A": [1]}})
    room = Room(lambda: capacity({"cores": 4, "memory_mb": 1000, "accelerators": {"A": 2}}))
    assert [room.ask(name, part) for name in "abc"] == [["a"], ["b"], []]
    assert room.leave("a") == ([], ["c"])
    assert room.ask("w", whole) == ["w"]


def test_what_has_no_room_claims_when_there_is_some() -> None:
    """Four cores: the fifth attempt of one core waits for an end."""
    room = Room(lambda: CAPACITY)
    one = {"cores": 1.0, "memory_mb": 10.0}
    assert [room.ask(name, one) for name in "abcd"] == [["a"], ["b"], ["c"], ["d"]]
    assert room.ask("e", one) == []
    assert all(room.begin(name, one) for name in "abcd")
    assert room.leave("b", run_s=100.0) == ([], ["e"])


def test_a_large_one_is_not_passed_by_small_ones() -> None:
    """First come, first served: else a large one would wait as long as small ones come."""
    room = Room(lambda: CAPACITY)
    small, large = {"cores": 1.0}, {"cores": 4.0}
    assert room.ask("a", small) == ["a"]
    assert room.ask("large", large) == []
    assert room.ask("b", small) == []
    assert room.leave("a") == ([], ["large"])
    assert room.leave("large") == ([], ["b"])


def test_one_that_never_fits_gets_the_whole_machine() -> None:
    """The scheduler may know more of the machine than the engine: nothing waits for ever."""
    room = Room(lambda: CAPACITY)
    assert room.ask("a", {"cores": 1.0}) == ["a"]
    assert room.ask("huge", {"cores": 64.0}) == []
    assert room.leave("a") == ([], ["huge"])
    assert room.begin("huge", {"cores": 64.0})


def test_very_short_jobs_are_followed_by_several_each() -> None:
    """Jobs of 0.1 s: five end one after another in half a second; of 1 ms five hundred do, so eight for each follow."""
    one = {"cores": 1.0}
    for run_s, ahead in ((0.1, 5), (0.001, 8)):
        room = Room(lambda: {"cores": 1.0})
        for number in range(20):
            room.ask(str(number), one)
        assert room.begin("0", one)
        assert room.leave("0", run_s=run_s) == ([], [str(number) for number in range(1, 2 + ahead)])


def test_on_a_large_machine_as_many_follow_as_end_beside_each_other() -> None:
    """Four that run side by side and take 0.4 s: five end in half a second, and not one after another."""
    one = {"cores": 1.0}
    room = Room(lambda: {"cores": 4.0})
    for number in range(20):
        room.ask(str(number), one)
    assert all(room.begin(str(number), one) for number in range(4))
    assert room.leave("0", run_s=0.4) == ([], ["4", "5", "6", "7"])  # one in its place, three at this pace


def test_a_gate_lets_in_what_fits_in_the_order_in_which_it_came() -> None:
    """Two cores: the third waits for an end, a large one is not passed, and to ask or leave twice changes nothing."""
    gate = Gate()
    gate.capacity = {"cores": 2.0}
    for name, cores in (("a", 1.0), ("b", 1.0), ("large", 2.0), ("c", 1.0), ("a", 1.0), ("c", 1.0)):
        gate.ask(name, {"cores": cores})
    assert [gate.enter() for _ in range(3)] == ["a", "b", None]
    gate.leave("a")
    gate.leave("a")
    assert gate.enter() is None
    gate.leave("b")
    assert [gate.enter(), gate.enter()] == ["large", None]
    gate.ask("large", {"cores": 2.0})
    gate.leave("large")
    assert [gate.enter(), gate.enter()] == ["c", None]
    gate.leave("c")
    gate.ask("huge", {"cores": 64.0})
    assert gate.enter() == "huge"


def test_after_short_jobs_some_claim_ahead_and_begin_when_another_ends() -> None:
    """As many as have ended lately; one begins in the moment in which another leaves."""
    room = Room(lambda: {"cores": 2.0})
    one = {"cores": 1.0}
    for name in "abcdefg":
        room.ask(name, one)
    assert room.begin("a", one)
    assert room.begin("b", one)
    assert room.leave("a", run_s=0.4) == ([], ["c", "d"])  # c in a's place, d ahead
    assert room.leave("b", run_s=0.4) == ([], ["e"])  # d and e ahead
    assert [room.begin(name, one) for name in "cde"] == [True, True, False]
    assert room.leave("c", run_s=100.0) == (["e"], ["f", "g"])


def test_long_jobs_let_nobody_claim_ahead() -> None:
    """Who claims is said to run, so it should begin soon."""
    room = Room(lambda: {"cores": 1.0})
    one = {"cores": 1.0}
    for name in "abc":
        room.ask(name, one)
    assert room.begin("a", one)
    assert room.leave("a", run_s=5.0) == ([], ["b"])


def test_what_waits_too_long_is_given_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves the room, so it can never begin afterwards."""
    room = Room(lambda: {"cores": 1.0})
    one = {"cores": 1.0}
    for name in "abc":
        room.ask(name, one)
    room.begin("a", one)
    assert room.late() == []
    monkeypatch.setattr(module, "PATIENCE_S", -1.0)
    assert room.late() == ["b", "c"]
    assert room.late() == []
    assert room.leave("a") == ([], [])


def test_what_ran_before_a_restart_takes_its_room() -> None:
    """Restored attempts count, and free their room when they leave."""
    room = Room(lambda: {"cores": 1.0})
    room.restore("old", {"cores": 1.0})
    assert room.ask("new", {"cores": 1.0}) == []
    assert room.leave("old") == ([], ["new"])


class RoomMachine(RuleBasedStateMachine):
    """Attempts that come, claim, begin and leave in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.room = Room(lambda: CAPACITY)
        self.wanted: dict[str, dict[str, float]] = {}
        self.claimed: set[str] = set()
        self.granted: set[str] = set()
        self.running: set[str] = set()
        self.count = 0

    @rule(cores=st.sampled_from([0.5, 1.0, 3.0, 4.0]), memory=st.sampled_from([10.0, 500.0]))
    def come(self, cores: float, memory: float) -> None:
        """A new attempt asks."""
        self.count += 1
        name = f"{self.count:03}"
        self.wanted[name] = {"cores": cores, "memory_mb": memory}
        self.claimed |= set(self.room.ask(name, self.wanted[name]))

    @precondition(lambda self: self.claimed - self.granted)
    @rule(pick=st.integers(0, 99))
    def grant(self, pick: int) -> None:
        """The service grants a claim."""
        names = sorted(self.claimed - self.granted)
        name = names[pick % len(names)]
        self.granted.add(name)
        if self.room.begin(name, self.wanted[name]):
            self.running.add(name)

    @precondition(lambda self: self.wanted)
    @rule(pick=st.integers(0, 99), run_s=st.sampled_from([None, 0.01, 9.0]))
    def go(self, pick: int, run_s: float | None) -> None:
        """Any attempt leaves, at whatever stage."""
        name = sorted(self.wanted)[pick % len(self.wanted)]
        for known in (self.wanted, self.claimed, self.granted, self.running):
            known.pop(name, None) if isinstance(known, dict) else known.discard(name)
        begun, claim = self.room.leave(name, run_s)
        assert set(begun) <= self.granted - self.running
        assert not set(claim) & self.claimed
        self.running |= set(begun)
        self.claimed |= set(claim)

    @invariant()
    def never_more_runs_than_fits(self) -> None:
        """Alone everything may run."""
        if len(self.running) > 1:
            for name, most in CAPACITY.items():
                assert sum(self.wanted[each][name] for each in self.running) <= most

    @invariant()
    def nothing_waits_while_all_is_free(self) -> None:
        """Somebody claims or runs as long as somebody is there."""
        assert not self.wanted or self.claimed

    @invariant()
    def granted_ones_run_while_all_is_free(self) -> None:
        """A granted attempt waits only for one that runs."""
        assert not self.granted or self.running


TestRoomMachine = RoomMachine.TestCase
TestRoomMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
