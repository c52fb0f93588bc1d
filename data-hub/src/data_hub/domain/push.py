"""A push and its life: which states there are, which follow which, what each mode asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from brain_contracts.contract import DatasetContract

Mode = Literal["append", "upsert", "delete"]
State = Literal["received", "validated", "committed", "refused"]

MODES: tuple[Mode, ...] = ("append", "upsert", "delete")
# received: the body comes in. validated: typed rows are stored for good and wait for the committer. committed: in the
# table. refused: nothing of it is or will be in the table.
TRANSITIONS: dict[State, frozenset[State]] = {
    "received": frozenset({"validated", "refused"}),
    "validated": frozenset({"committed", "refused"}),
    "committed": frozenset(),
    "refused": frozenset(),
}
FINAL: frozenset[State] = frozenset(state for state, following in TRANSITIONS.items() if not following)
SHOWN_REJECTS = 20


def sources_of(state: State) -> tuple[State, ...]:
    """The states from which a push may come into this one."""
    return tuple(source for source, following in TRANSITIONS.items() if state in following)


@dataclass(frozen=True)
class Reject:
    """Why a row did not get in: row from 1 (blank lines and header not counted), stable code, reason, what to do."""

    row: int
    field: str
    value: str | None
    code: str
    reason: str
    fix: str
    original: str = ""

    def shown(self) -> dict[str, object]:
        """The form in receipts and pages."""
        return {
            "row": self.row,
            "field": self.field,
            "value": self.value,
            "code": self.code,
            "reason": self.reason,
            "fix": self.fix,
        }


@dataclass(frozen=True)
class Columns:
    """Which columns a push in a mode must and may bring."""

    required: tuple[str, ...]
    used: tuple[str, ...]
    known: tuple[str, ...]


def columns_of(contract: DatasetContract, mode: Mode) -> Columns:
    """A deletion needs the key only; the owner column is looked at when it is there."""
    known = contract.column_names
    if mode != "delete":
        return Columns(tuple(column.name for column in contract.columns if column.required), known, known)
    return Columns(contract.key, contract.key, known)
