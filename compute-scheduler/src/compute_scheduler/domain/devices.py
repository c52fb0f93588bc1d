"""Devices of a node: which are whole, what shared ones have left, and what is left after a job takes some.

Whole devices are only counted. A shared one has a number while it is shared: the least that is free among the shared
ones of its kind on the node. Numbers are for the accounts; nothing here binds a process to a device.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping

from compute_scheduler.domain.futures import Lefts
from compute_scheduler.domain.resources import MILLI
from compute_scheduler.domain.shapes import Amounts

Parts = dict[tuple[str, int], int]
"""What shared devices have left, thousandths, by kind and number."""
NO_PARTS: Parts = {}


def shifted(whole: Amounts, devices: Iterable[tuple[str, int]], sign: int) -> Amounts:
    """Whole devices by kind after some are given back (sign 1) or taken (-1)."""
    free = dict(whole)
    for kind, number in devices:
        free[kind] = free.get(kind, 0) + sign * number
    return tuple(sorted((kind, number) for kind, number in free.items() if number))


def most(parts: Mapping[tuple[str, int], int]) -> Amounts:
    """The most that a shared device has left, by kind."""
    found: dict[str, int] = {}
    for (kind, _), left in parts.items():
        if left > found.get(kind, 0):
            found[kind] = left
    return tuple(sorted(found.items()))


def lefts_of(whole: Amounts, parts: Mapping[tuple[str, int], int]) -> Lefts:
    """What the devices have left, by kind in order, each in rising order and without zeros."""
    if not parts:
        return tuple((kind, (MILLI,) * number) for kind, number in whole if number > 0)
    found: dict[str, list[int]] = {kind: [MILLI] * number for kind, number in whole if number > 0}
    for (kind, _), left in parts.items():
        if left > 0:
            insort(found.setdefault(kind, []), left)
    return tuple((kind, tuple(found[kind])) for kind in sorted(found))


def after_whole(lefts: Lefts, devices: Amounts) -> Lefts:
    """What is left after whole devices are taken; there must be enough."""
    taken = dict(devices)
    rest = ((kind, have[: len(have) - taken.get(kind, 0)]) for kind, have in lefts)
    return tuple((kind, have) for kind, have in rest if have)


def after_share(lefts: Lefts, kind: str, left: int, share: int) -> Lefts:
    """What is left after part of a device that had so much left is taken."""
    found = []
    for name, have in lefts:
        devices = list(have)
        if name == kind:
            devices.pop(bisect_left(devices, left))
            if left > share:
                insort(devices, left - share)
        if devices:
            found.append((name, tuple(devices)))
    return tuple(found)


def sharing(lefts: Lefts, kind: str, share: int) -> list[int]:
    """What the devices that a part fits on have left, each once, the least first; a whole one is last."""
    have = next((have for name, have in lefts if name == kind), ())
    return sorted(set(have[bisect_left(have, share) :]))


def numbered(parts: Mapping[tuple[str, int], int], kind: str, left: int) -> int:
    """The device of a kind that has so much left: the first by number; for a whole one the least number free."""
    if left < MILLI:
        return min(number for (name, number), rest in parts.items() if name == kind and rest == left)
    number = 0
    while (kind, number) in parts:
        number += 1
    return number
