"""The table of states, the answers, the evidence kinds and the periods of figures, without any I/O."""

from __future__ import annotations

from datetime import date

import pytest
from evaluation.domain.computations import computations
from evaluation.domain.evidence import EvidenceRefused, checked_name, media_type_of
from evaluation.domain.figures import CURRENT, default_months, figure_period, figure_periods
from evaluation.domain.periods import parse_period
from evaluation.domain.review import (
    BY_ANOTHER,
    OPEN,
    STATES,
    TRANSITIONS,
    ActionRefused,
    SamePerson,
    State,
    actions_from,
    check_second_person,
    next_state,
)
from hypothesis import given
from hypothesis import strategies as st

FINAL = {"confirmed", "discarded"}
ACTIONS = sorted({action for _, action in TRANSITIONS})


def test_every_state_is_reached_and_only_final_ones_are_dead_ends() -> None:
    """From draft every state can be reached; a final one allows nothing."""
    seen: set[State] = {"draft"}
    while grown := {after for (before, _), after in TRANSITIONS.items() if before in seen} - seen:
        seen |= grown
    assert seen == set(STATES)
    assert {state for state in STATES if not actions_from(state)} == FINAL
    assert set(OPEN) == set(STATES) - FINAL


@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from("abc")), max_size=30))
def test_nothing_is_confirmed_by_its_authors(steps: list[tuple[str, str]]) -> None:
    """In any order of actions by three people: what is confirmed was submitted before, and by somebody else."""
    state: State = "draft"
    authors, submitted = {"a"}, False
    for action, who in steps:
        try:
            after = next_state(state, action)  # type: ignore[arg-type]
            check_second_person(action, who, authors)  # type: ignore[arg-type]
        except (ActionRefused, SamePerson):
            continue
        if action in ("edit", "submit"):
            authors.add(who)
        submitted = submitted or action == "submit"
        if after == "confirmed":
            assert submitted
            assert who not in authors
        if state in FINAL:
            raise AssertionError("a final state was left")
        state = after


def test_a_refusal_names_what_is_possible() -> None:
    """So that the answer can say it."""
    with pytest.raises(ActionRefused) as refused:
        next_state("submitted", "edit")
    assert refused.value.possible == ["withdraw", "confirm", "return"]
    assert set(refused.value.possible) & BY_ANOTHER == BY_ANOTHER


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("a.pdf", "a.pdf"),
        ("C:\\files\\批复.pdf", "批复.pdf"),
        ("../../etc/passwd.txt", "passwd.txt"),
        (" b.png ", "b.png"),
    ],
)
def test_a_file_name_loses_its_folders(given_name: str, kept: str) -> None:
    """Whatever the browser sends, no path comes in."""
    assert checked_name(given_name) == kept


@pytest.mark.parametrize("name", ["", "/", "a\x00.pdf", "x" * 300 + ".pdf"])
def test_a_bad_file_name_is_refused(name: str) -> None:
    """Empty, with control characters, too long."""
    with pytest.raises(EvidenceRefused):
        checked_name(name)


@pytest.mark.parametrize("text", ["合计,1".encode(), "合计,1".encode("gb18030"), "合计".encode()[:-1]])
def test_texts_are_read_in_both_chinese_encodings(text: bytes) -> None:
    """UTF-8 and GB18030; a head may end within a character."""
    assert media_type_of("a.csv", "text/csv; charset=gbk", text) == "text/csv"


def test_a_figure_is_kept_once_for_a_months_end() -> None:
    """A stock of the year is that of December; a yearly sum for a month is the twelve months up to it."""
    stock, flow = computations()["enterprises"], computations()["revenue"]
    now = computations()["stored_total"]
    assert figure_period(stock, parse_period("2025")) == "2025-12"
    assert figure_period(stock, parse_period("2025Q3")) == "2025-09"
    assert figure_period(flow, parse_period("2025")) == "2025"
    assert figure_period(flow, parse_period("2025-12")) == "2025"
    assert figure_period(flow, parse_period("2025-10")) == "2024-11..2025-10"
    assert figure_period(now, parse_period("2025")) == CURRENT
    periods = [parse_period(text) for text in ("2025", "2025Q4", "2025-12")]
    assert figure_periods(stock, periods) == ["2025-12"]


def test_the_month_ends_kept_up_to_date() -> None:
    """At the end of January 2026: December and November 2025, and December of the two years before 2026."""
    assert default_months(date(2026, 1, 31), 2) == ["2024-12", "2025-11", "2025-12"]
    assert len(default_months(date(2026, 11, 29), 12)) == 13
