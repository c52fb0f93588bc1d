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


def knows(viewer: Viewer, access: str, owner_org: str | None) -> bool:
    """Whether a viewer may know that a data set is there.

    Those of the platform everybody may; those of an organisation itself, whoever sees all rows, and everybody when its
    contract says `access: open`. For all others it is as if it did not exist.
    """
    return owner_org is None or viewer.sees_all or viewer.org == owner_org or access == "open"


# Which warehouses an organisation may make data sets in: the public one is for departments' own.
OWN_WAREHOUSES: dict[str, tuple[str, ...]] = {
    "enterprise": ("enterprise",),
    "provider": ("industry", "enterprise"),
    "department": ("public", "industry", "enterprise"),
    "operator": ("public", "industry", "enterprise"),
}


def knows_totals(viewer: Viewer, access: str, owner_org: str | None) -> bool:
    """Whether a viewer may know how much a data set holds in all, and when it last changed."""
    return viewer.sees_all or access == "open" or (owner_org is not None and viewer.org == owner_org)


def view_of(viewer: Viewer, access: str) -> str:
    """Which rows and columns a viewer's files of a data set hold, so that equal views may share a copy of them.

    `whole`: every row and column; `open`: every row without the system's columns; else the organisation whose rows.
    """
    if viewer.sees_all:
        return "whole"
    return "open" if access == "open" else viewer.org
