"""Counting what a stretch of NDJSON holds, byte by byte, to know that a typed read missed nothing.

DuckDB's typed JSON reader is the fastest way in, but it passes over keys that the contract lacks, takes `true` for 1
and 12 for '12', all in silence. So the keys in the bytes are counted by the kind of their values: when there are as
many texts, numbers and booleans as the typed columns hold, nothing was passed over and nothing was bent. Any
difference, also a harmless one such as a space before a colon, sends the stretch to the row checker, which decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BLOCK = 1 << 18
LOOK_AHEAD = 3
QUOTE, COLON, SPACE, LINE_END = 34, 58, 32, 10
NUMBER_STARTS = tuple(b"-0123456789")


@dataclass(frozen=True)
class Census:
    """Values after a key, by kind; and the bytes of the longest line."""

    texts: int
    numbers: int
    booleans: int
    nulls: int
    others: int
    longest_line: int


def take_census(data: bytes) -> Census:
    """Counts the values that follow `":` or `": ` by their first byte."""
    counts: npt.NDArray[np.int64] = np.zeros(256, np.int64)
    whole = np.frombuffer(data + b"   ", np.uint8)
    line_start = longest = 0
    for start in range(0, len(data), BLOCK):
        block = whole[start : start + BLOCK + LOOK_AHEAD]
        places = np.flatnonzero((block[:-LOOK_AHEAD] == QUOTE) & (block[1 : 1 - LOOK_AHEAD] == COLON)) + 2
        firsts = block[places]
        spaced = firsts == SPACE
        if spaced.any():
            firsts = np.where(spaced, block[places + 1], firsts)
        counts += np.bincount(firsts, minlength=256)
        ends = np.flatnonzero(block[:BLOCK] == LINE_END)
        if len(ends):
            first, last = start + int(ends[0]), start + int(ends[-1])
            longest = max(longest, first - line_start, int(np.diff(ends).max(initial=0)) - 1)
            line_start = last + 1
    longest = max(longest, len(data) - line_start)
    texts, booleans, nulls = int(counts[QUOTE]), int(counts[ord("t")] + counts[ord("f")]), int(counts[ord("n")])
    numbers = int(sum(counts[first] for first in NUMBER_STARTS))
    return Census(texts, numbers, booleans, nulls, int(counts.sum()) - texts - numbers - booleans - nulls, longest)


def agrees(census: Census, filled: dict[str, int], longest_line: int) -> bool:
    """Whether the typed columns hold what the bytes do, and no line is too long.

    filled: values that are not null by DuckDB type. longest_line: most bytes of a line; DuckDB bounds them loosely.
    """
    texts = sum(filled.get(kind, 0) for kind in ("VARCHAR", "DATE", "TIMESTAMP WITH TIME ZONE"))
    return (
        census.others == 0
        and census.longest_line <= longest_line
        and census.texts == texts
        and census.booleans == filled.get("BOOLEAN", 0)
        and census.numbers == filled.get("BIGINT", 0) + filled.get("DOUBLE", 0)
    )
