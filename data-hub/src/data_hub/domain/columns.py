"""Comparing the columns that came with those of the contract."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from data_hub.domain.push import Columns


@dataclass(frozen=True)
class ColumnMismatch:
    """What does not fit: names that the contract lacks, each with the nearest known one, and required ones missing."""

    got: tuple[str, ...]
    expected: tuple[str, ...]
    unknown: tuple[tuple[str, str | None], ...]
    missing: tuple[str, ...]
    repeated: tuple[str, ...]

    def sentence(self) -> str:
        """One sentence that names everything and says what to do."""
        parts = []
        if self.unknown:
            named = "、".join(f"{name}（是否为 {near}？）" if near else name for name, near in self.unknown)
            parts.append(f"合同中没有列 {named}")
        if self.missing:
            parts.append(f"缺少必填列 {'、'.join(self.missing)}")
        if self.repeated:
            parts.append(f"列重复 {'、'.join(self.repeated)}")
        return f"{'；'.join(parts)}。请按合同改正表头后重新推送，可用的列见 expected"


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name that is most like this one, None when none is near."""
    folded = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.strip().lower(), list(folded), n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def unknown_hint(name: str, known: Sequence[str]) -> str:
    """What to do about a column that the contract lacks."""
    near = nearest(name, known)
    return f"是否为 {near}？请改名或删去" if near else "请删去这一列，或请运营方在合同中增加"


def compare_columns(got: Sequence[str], wanted: Columns) -> ColumnMismatch | None:
    """What does not fit between the columns that came and the contract; None when all fits."""
    known = set(wanted.known)
    unknown = tuple((name, nearest(name, wanted.known)) for name in dict.fromkeys(got) if name not in known)
    missing = tuple(name for name in wanted.required if name not in set(got))
    repeated = tuple(name for name in dict.fromkeys(got) if list(got).count(name) > 1)
    if not (unknown or missing or repeated):
        return None
    return ColumnMismatch(tuple(got), wanted.known, unknown, missing, repeated)
