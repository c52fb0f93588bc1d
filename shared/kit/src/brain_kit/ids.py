"""Identifiers: a short prefix that names the kind, then a ULID."""

from __future__ import annotations

import os
import threading
import time
from functools import cache

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_RANDOM_BITS = 80
_lock = threading.Lock()
_last = 0
_CHANCE_BYTES = 512
_chance = b""


def new_id(prefix: str) -> str:
    """A new identifier, `<prefix>_` and 26 characters of Crockford base 32 (ULID).

    Sorts by creation time in milliseconds, and strictly by creation order inside one process, also when the
    clock steps back. Raises ValueError when the prefix is not made of lower-case letters, digits and `_`.
    """
    _check_prefix(prefix)
    return f"{prefix}_{_encode(_next_value())}"


@cache
def _check_prefix(prefix: str) -> None:
    if not prefix or not all(c.isascii() and (c.islower() or c.isdigit() or c == "_") for c in prefix):
        raise ValueError(f"bad id prefix {prefix!r}: lower-case letters, digits and _ only")


def _next_value() -> int:
    global _last
    with _lock:
        millis = time.time_ns() // 1_000_000
        if millis > _last >> _RANDOM_BITS:
            value = (millis << _RANDOM_BITS) | _random(_RANDOM_BITS // 8)
        else:
            # Same millisecond, or a clock that stepped back: count on from the last one. The step is random
            # so that an id does not betray its neighbour.
            value = _last + 1 + _random(4)
        _last = value
        return value


def _random(size: int) -> int:
    """So many bytes of chance; the kernel is asked for those of many ids at once, for asking costs as much as an id."""
    global _chance
    if len(_chance) < size:
        _chance = os.urandom(_CHANCE_BYTES)
    taken, _chance = _chance[:size], _chance[size:]
    return int.from_bytes(taken)


def _forget_chance() -> None:
    # Parent and child of a fork would make the same ids.
    global _chance
    _chance = b""


os.register_at_fork(after_in_child=_forget_chance)


def _encode(value: int) -> str:
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])
