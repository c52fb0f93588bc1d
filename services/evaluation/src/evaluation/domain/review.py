"""How a reported value or a factory assessment moves: draft, submitted, confirmed or returned, by two people.

| from | submit | withdraw | confirm | return | edit | discard |
| --- | --- | --- | --- | --- | --- | --- |
| draft | submitted | | | | draft | discarded |
| submitted | | draft | confirmed | returned | | |
| returned | submitted | | | | draft | discarded |
| confirmed, discarded | | | | | | |
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

State = Literal["draft", "submitted", "returned", "confirmed", "discarded"]
Action = Literal["edit", "submit", "withdraw", "confirm", "return", "discard"]

TRANSITIONS: dict[tuple[State, Action], State] = {
    ("draft", "edit"): "draft",
    ("draft", "submit"): "submitted",
    ("draft", "discard"): "discarded",
    ("submitted", "withdraw"): "draft",
    ("submitted", "confirm"): "confirmed",
    ("submitted", "return"): "returned",
    ("returned", "edit"): "draft",
    ("returned", "submit"): "submitted",
    ("returned", "discard"): "discarded",
}
STATES: tuple[State, ...] = ("draft", "submitted", "returned", "confirmed", "discarded")
OPEN: tuple[State, ...] = ("draft", "submitted", "returned")
# What only somebody else than the authors may do, and what needs a word of explanation.
BY_ANOTHER: frozenset[Action] = frozenset({"confirm", "return"})
NEEDS_NOTE: frozenset[Action] = frozenset({"return"})
WORDS: dict[State, str] = {
    "draft": "草稿",
    "submitted": "待审核",
    "returned": "已退回",
    "confirmed": "已确认",
    "discarded": "已作废",
}


class ActionRefused(ValueError):
    """The action is not allowed from this state."""

    def __init__(self, state: State, action: Action) -> None:
        self.state, self.action = state, action
        self.possible = actions_from(state)
        super().__init__(f"{action} is not allowed in state {state}")


class SamePerson(ValueError):
    """The reviewer is one of those who wrote or submitted what is reviewed."""


def next_state(state: State, action: Action) -> State:
    """The state after an action. Raises ActionRefused naming what is possible."""
    after = TRANSITIONS.get((state, action))
    if after is None:
        raise ActionRefused(state, action)
    return after


def actions_from(state: State) -> list[Action]:
    """What may be done in a state, in the order of the table."""
    return [action for before, action in TRANSITIONS if before == state]


def check_second_person(action: Action, subject: str, authors: Iterable[str]) -> None:
    """Two people: who wrote, edited or submitted may neither confirm nor return. Raises SamePerson."""
    if action in BY_ANOTHER and subject in set(authors):
        raise SamePerson(subject)
