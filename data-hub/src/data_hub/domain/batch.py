"""Which validated pushes one commit takes, and which files of a table it should fold together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from data_hub.domain.tables import DataFileRef

BATCH_ROWS = 200_000
REPLACE = "replace"
TIER_FACTOR = 8
SMALLEST_TIER_BYTES = 64 << 10
FOLDED_BELOW_BYTES = 32 << 20
FOLDED_FROM_FILES = 16
# Pushes wait for a commit, so none of them folds more than takes about a second.
FOLDED_ROWS = 1_000_000


class Sized(Protocol):
    """A push with its number of good rows."""

    @property
    def accepted(self) -> int:
        """Rows that are right."""

    @property
    def mode(self) -> str:
        """What it does with the rows that are there."""


AnyPush = TypeVar("AnyPush", bound=Sized)


def take_batch(queue: Sequence[AnyPush]) -> list[AnyPush]:
    """The first pushes of the queue, up to BATCH_ROWS rows together.

    A larger push goes alone, and so does one that replaces the whole table.
    """
    taken: list[AnyPush] = []
    rows = 0
    for push in queue:
        rows += push.accepted
        if taken and (rows > BATCH_ROWS or REPLACE in (push.mode, taken[-1].mode)):
            break
        taken.append(push)
    return taken


def files_to_fold(files: Sequence[DataFileRef]) -> list[DataFileRef]:
    """Small files worth writing into one, so that a table fed by many small pushes stays quick to read.

    Files fall into tiers by size, each TIER_FACTOR times the one below; a tier that has FOLDED_FROM_FILES files is
    folded. So each row is rewritten once a tier, a handful of times in all, however many pushes there are. One commit
    folds FOLDED_ROWS rows at most, the smallest files first; the next one goes on.
    """
    tiers: dict[int, list[DataFileRef]] = {}
    for file in files:
        if file.bytes < FOLDED_BELOW_BYTES:
            tiers.setdefault(_tier(file.bytes), []).append(file)
    chosen, rows = [], 0
    for _, tier in sorted(tiers.items()):
        if len(tier) < FOLDED_FROM_FILES:
            continue
        for file in sorted(tier, key=lambda file: file.rows):
            rows += file.rows
            if rows > FOLDED_ROWS:
                break
            chosen.append(file)
    # One file alone would only be written again.
    return chosen if len(chosen) > 1 else []


def _tier(size: int) -> int:
    tier, bound = 0, SMALLEST_TIER_BYTES
    while size >= bound:
        tier, bound = tier + 1, bound * TIER_FACTOR
    return tier
