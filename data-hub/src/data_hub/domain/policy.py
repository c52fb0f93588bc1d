"""Who may see which rows and columns of a data set.

Operators, departments and the platform's own services see every row. Everybody else sees the rows that their
organisation owns, and all rows of data sets whose contract says `access: open`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Access = Literal["open", "government", "owner"]

OWNER_COLUMN = "_owner"
SYSTEM_PREFIX = "_"


@dataclass(frozen=True)
class Viewer:
    """Who reads: the credential, the organisation it acts for, and whether it may see all rows."""

    subject: str
    org: str
    sees_all: bool


@dataclass(frozen=True)
class TablePolicy:
    """What one viewer sees of one table: the columns, in order, and the owner whose rows they are (None: all rows)."""

    columns: tuple[str, ...]
    owner: str | None

    @property
    def all_rows(self) -> bool:
        """Whether no row is hidden."""
        return self.owner is None


def policy_of(viewer: Viewer, access: str, columns: Sequence[str]) -> TablePolicy:
    """The policy of a viewer for a table with these columns and this `access`.

    An unknown value of `access` is read as `owner`, the strictest. System columns start with `_`; only `_owner` is
    shown to those who do not see all rows.
    """
    if viewer.sees_all:
        return TablePolicy(tuple(columns), None)
    shown = tuple(name for name in columns if not name.startswith(SYSTEM_PREFIX) or name == OWNER_COLUMN)
    return TablePolicy(shown, None if access == "open" else viewer.org)
