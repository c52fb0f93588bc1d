"""Identifiers: a short prefix that names the kind, then a ULID."""

from __future__ import annotations

import secrets
import threading
import time
from functools import cache

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_RANDOM_BITS = 80
_lock = threading.Lock()
_last = 0


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
            value = (millis << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
        else:
            # Same millisecond, or a clock that stepped back: count on from the last one. The step is random
            # so that an id does not betray its neighbour.
            value = _last + 1 + secrets.randbits(32)
        _last = value
        return value


def _encode(value: int) -> str:
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])
