"""How evenly something is shared, and over which days work is spread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime


def jain_index(shares: Sequence[float]) -> float | None:
    """(sum x)^2 / (n sum x^2) (Jain, Chiu and Hawe 1984): 1 when all are equal, 1/n when one has all.

    None without shares or when nobody has any. Raises ValueError on a negative share.
    """
    if any(share < 0 for share in shares):
        raise ValueError("a share is never negative")
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else None


def spread(
    started_at: datetime, ended_at: datetime, amount: float, starts: Sequence[datetime], end: datetime
) -> Iterator[tuple[int, float]]:
    """(index, part) of an amount for each stretch between `starts` (ascending, the last one to `end`) that it touches.

    The amount is even over its time; what lies outside of all stretches is left out. An instant counts where it is.
    """
    length = (ended_at - started_at).total_seconds()
    edges = [*starts, end]
    for index, start in enumerate(starts):
        stop = edges[index + 1]
        if length <= 0:
            if start <= ended_at < stop:
                yield index, amount
            continue
        inside = (min(ended_at, stop) - max(started_at, start)).total_seconds()
        if inside > 0:
            yield index, amount * inside / length
