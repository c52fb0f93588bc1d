"""What an agent knows of its attempts; all of it can be read again from the engine's folders."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from compute_scheduler.engine.contract import Engine

Json = dict[str, Any]


@dataclass
class Held:
    """One attempt of this agent.

    stage: taken (its inputs come), waiting (for a copy that claims), claiming, granted, running, ended.
    """

    attempt: str
    nonce: str
    order: Json
    stage: str = "taken"
    record: Json | None = None
    outputs: dict[str, Json] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    is_ending: bool = False
    log_sent: int = 0
    has_output: bool = False
    claims: int = 0


class News:
    """What the engine has said of itself and of what waits in it, until the service has been told."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._reasons: dict[str, tuple[str, bool]] = {}
        self.state = False

    def waits(self, reasons: dict[str, str], *, is_notice: bool = False) -> None:
        """Attempts that wait in the engine, and why, or what will become of those that run; the last word stands."""
        with self._guard:
            self._reasons |= {attempt: (words, is_notice) for attempt, words in reasons.items()}

    def take(self, engine: Engine) -> tuple[Json | None, list[Json]]:
        """Nodes and health when they have changed, and why attempts wait: what a report carries."""
        with self._guard:
            changed, self.state = self.state, False
            reasons, self._reasons = self._reasons, {}
        state = {"nodes": engine.nodes(), "health": engine.health().document()} if changed else None
        return state, [
            {"attempt": attempt, "reason": words[:300], "notice": is_notice}
            for attempt, (words, is_notice) in reasons.items()
        ]

    @contextlib.contextmanager
    def given_back(self, state: Json | None, waits: list[Json]) -> Iterator[None]:
        """Keeps what a report carried that did not arrive."""
        try:
            yield
        except BaseException:
            with self._guard:
                self.state = self.state or state is not None
                untold = {item["attempt"]: (item["reason"], item["notice"]) for item in waits}
                self._reasons = untold | self._reasons
            raise


class Shelf:
    """All attempts of an agent, safe among its threads; `changed` is set when there is something to report."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held: dict[str, Held] = {}
        self.changed = threading.Event()
        self._is_taking = False

    @contextlib.contextmanager
    def claims_together(self) -> Iterator[None]:
        """Claims that come within this go into one report, not the first of them alone and the others after it."""
        self._is_taking = True
        try:
            yield
        finally:
            self._is_taking = False
            self.changed.set()

    def claimed(self) -> None:
        """There is a claim to report."""
        if not self._is_taking:
            self.changed.set()

    def add(self, held: Held) -> bool:
        """False when it is there already."""
        with self._guard:
            if held.attempt in self._held:
                return False
            self._held[held.attempt] = held
            return True

    def get(self, attempt: str) -> Held | None:
        """An attempt."""
        with self._guard:
            return self._held.get(attempt)

    def drop(self, attempt: str) -> None:
        """Forgets an attempt."""
        with self._guard:
            self._held.pop(attempt, None)

    def in_stage(self, *stages: str) -> list[Held]:
        """Attempts in these stages."""
        with self._guard:
            return [held for held in self._held.values() if held.stage in stages]

    def has_ended(self) -> bool:
        """Whether there is something here, and all of it has ended."""
        with self._guard:
            return bool(self._held) and all(held.stage == "ended" for held in self._held.values())

    def claiming(self, most: int) -> list[Held]:
        """Attempts that ask for their epoch, those that asked least often first: members of a gang ask again."""
        chosen = sorted(self.in_stage("claiming"), key=lambda held: held.claims)[:most]
        for held in chosen:
            held.claims += 1
        return chosen

    def ending(self) -> list[str]:
        """Attempts that are being ended."""
        with self._guard:
            return [held.attempt for held in self._held.values() if held.is_ending]

    def advance(self, held: Held, stage: str) -> None:
        """Moves an attempt on and lets the reporter know; what has ended stays ended.

        A short command ends, told from another thread, before the one that started it gets on.
        """
        with self._guard:
            if held.stage != "ended":
                held.stage = stage
        self.changed.set()

    def step(self, held: Held, before: str, after: str) -> bool:
        """Moves an attempt from one stage to another, without news; False when another thread has moved it."""
        with self._guard:
            if held.stage != before:
                return False
            held.stage = after
            return True
