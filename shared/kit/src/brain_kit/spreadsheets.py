"""What files for spreadsheets need, whoever writes them."""

from __future__ import annotations

from typing import TypeVar

# A spreadsheet would run a text that begins with one of these.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
Cell = TypeVar("Cell")


def harmless(cell: Cell) -> Cell | str:
    """The value of a CSV cell; a text that a spreadsheet would run as a formula gets a `'` in front."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell
