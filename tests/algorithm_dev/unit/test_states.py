"""The tables of states: no dead ends, no way back; versions in their order."""

from __future__ import annotations

import pytest
from algorithm_dev.domain.states import (
    FINAL_RUNS,
    RUN_MOVES,
    RUN_WORDS,
    VERSION_MOVES,
    VERSION_WORDS,
    MoveRefused,
    may_follow,
    version_after,
)
from algorithm_dev.domain.versions import is_alias, matches, precedence


def test_every_state_is_reached_and_has_words() -> None:
    """From draft, and from accepted."""
    reached = {"draft"} | set(VERSION_MOVES.values())
    assert reached == set(VERSION_WORDS)
    reached, edge = {"accepted"}, {"accepted"}
    while edge:
        edge = set().union(*(RUN_MOVES[state] for state in edge)) - reached
        reached |= edge
    assert reached == set(RUN_MOVES) == set(RUN_WORDS)


def test_every_run_can_end() -> None:
    """In success or failure, from any state."""
    assert {"succeeded", "failed", "cancelled"} == FINAL_RUNS
    for state in RUN_MOVES.keys() - FINAL_RUNS:
        assert may_follow(state, "failed")


def test_a_run_whose_rows_may_be_written_is_not_cancelled() -> None:
    """Cancelling would leave rows that nobody speaks of."""
    assert not may_follow("registered", "cancelled")
    assert not may_follow("pushed", "cancelled")


def test_versions_never_go_back() -> None:
    """Published and rejected ones are never drafts again."""
    for state in ("published", "rejected", "withdrawn"):
        for action in ("submit", "approve", "reject"):
            with pytest.raises(MoveRefused):
                version_after(state, action)


def test_versions_sort_as_the_specification_says() -> None:
    """The example of semver.org section 11."""
    listed = [
        "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
        "1.0.0-rc.1", "1.0.0", "2.0.0", "2.1.0", "2.1.1",
    ]  # fmt: skip
    assert sorted(listed, key=precedence) == listed
    assert precedence("1.0.0+a") == precedence("1.0.0+b")


def test_an_alias_is_no_version() -> None:
    """Letters first."""
    assert is_alias("production")
    assert not any(map(is_alias, ("1.0.0", "Production", "a" * 41, "1st", "", "生产")))


def test_a_query_matches_by_all_its_words() -> None:
    """In any order, Chinese without borders."""
    text = "oee 设备综合效率 overall equipment effectiveness"
    assert matches(text, "综合 OEE")
    assert not matches(text, "综合 carbon")
