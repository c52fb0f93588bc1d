"""Counting what a stretch of NDJSON holds, byte by byte, to know that a typed read missed nothing.

DuckDB's typed JSON reader is the fastest way in, but it passes over keys that the contract lacks, takes `true` for 1
and 12 for '12', all in silence. So the keys in the bytes are counted by the kind of their values: when there are as
many texts, numbers and booleans as the typed columns hold, nothing was passed over and nothing was bent. Any
difference, also a harmless one such as a space before a colon, sends the stretch to the row checker, which decides.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

BLOCK = 1 << 19
# Pages of a file that have been read are let go in such stretches, so that they do not count as memory in use.
LET_GO = 16 * BLOCK
QUOTE, COLON, SPACE, LINE_END = 34, 58, 32, 10
SPACES = np.full(2, SPACE, np.uint8)
NUMBER_STARTS = tuple(b"-0123456789")


@dataclass(frozen=True)
class Census:
    """Values after a key, by kind."""

    texts: int
    numbers: int
    booleans: int
    nulls: int
    others: int


def census_of_file(path: Path, limit: int) -> Census | None:
    """The census of a file; None when one of its lines may be longer than the limit."""
    with path.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        data = np.frombuffer(mapped, np.uint8)

        def let_go(until: int) -> None:
            if until % LET_GO == 0 and until:
                mapped.madvise(mmap.MADV_DONTNEED, until - LET_GO, LET_GO)

        try:
            return take_census(data, let_go) if lines_within(data, limit) else None
        finally:
            del data  # the mapping cannot be closed before


def take_census(data: npt.NDArray[np.uint8], passed: Callable[[int], None] = lambda _: None) -> Census:
    """Counts the values that follow `":` or `": ` by their first byte. passed: told how far the count has come."""
    counts: npt.NDArray[np.int64] = np.zeros(256, np.int64)
    for start in range(0, len(data), BLOCK):
        # One byte before the block and two behind it, or spaces where there are none.
        block = data[max(start - 1, 0) : start + BLOCK + 2]
        if start == 0 or len(block) < BLOCK + 3:
            block = np.concatenate([SPACES[:1] if start == 0 else SPACES[:0], block, SPACES])[: BLOCK + 3]
        places = np.flatnonzero(block[1:-2] == COLON)
        is_key = block.take(places) == QUOTE
        if not is_key.all():
            places = places[is_key]
        firsts = block[2:].take(places)
        spaced = firsts == SPACE
        if spaced.any():
            firsts = np.where(spaced, block[3:].take(places), firsts)
        counts += np.bincount(firsts, minlength=256)
        passed(start)
    texts, booleans, nulls = int(counts[QUOTE]), int(counts[ord("t")] + counts[ord("f")]), int(counts[ord("n")])
    numbers = int(sum(counts[first] for first in NUMBER_STARTS))
    return Census(texts, numbers, booleans, nulls, int(counts.sum()) - texts - numbers - booleans - nulls)


def lines_within(data: npt.NDArray[np.uint8], limit: int) -> bool:
    """Whether every line is surely no longer than the limit: each half of it has a line end."""
    half = limit // 2
    return all(_has_line_end(data[start : start + half]) for start in range(0, len(data) - half, half))


def _has_line_end(window: npt.NDArray[np.uint8]) -> bool:
    """Looks at the beginning first: most lines are short."""
    return bool((window[:4096] == LINE_END).any() or (window == LINE_END).any())


def agrees(census: Census, filled: dict[str, int]) -> bool:
    """Whether the typed columns hold what the bytes do. filled: values that are not null by DuckDB type."""
    texts = sum(filled.get(kind, 0) for kind in ("VARCHAR", "DATE", "TIMESTAMP WITH TIME ZONE"))
    return (
        census.others == 0
        and census.texts == texts
        and census.booleans == filled.get("BOOLEAN", 0)
        and census.numbers == filled.get("BIGINT", 0) + filled.get("DOUBLE", 0)
    )
