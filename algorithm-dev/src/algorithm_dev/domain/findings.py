"""What is wrong with a card, an input or a result: where, why, and what to do."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

SHOWN_CHARACTERS = 80


class Finding(NamedTuple):
    """One thing that is wrong. `row` counts from 1; None speaks of the whole."""

    row: int | None
    field: str
    reason: str
    remedy: str

    def as_dict(self) -> dict[str, Any]:
        """The finding as a member of a problem's `errors`."""
        return {"row": self.row, "field": self.field, "reason": self.reason, "what_to_do": self.remedy}


def named(name: Any) -> str:
    """A field's name as it stands in a message: cut, and without letters that cannot be written."""
    return str(name).encode("utf-8", "backslashreplace").decode()[:SHOWN_CHARACTERS]


def shown(value: Any) -> str:
    """A value as it stands in a message, cut where it is long."""
    text = repr(value) if isinstance(value, str) else _number(value)
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _number(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else f"{value:.15g}"
    if isinstance(value, int) and value.bit_length() > 256:
        return f"{value.bit_length()} 位二进制的整数"
    return str(value)[: 10 * SHOWN_CHARACTERS]
