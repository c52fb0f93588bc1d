"""How a process of the platform asks the C library and Python to hold memory: sixty threads, one heap."""

from __future__ import annotations

import ctypes
import gc

M_ARENA_MAX = -8  # <malloc.h> of glibc
ARENAS = 2


def bound_arenas() -> None:
    """Keeps glibc from making a heap for each thread, which would hold on to what the busiest moment of each took.

    To be called before threads start. Other C libraries have no such heaps and are left alone.
    """
    try:
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
    except (AttributeError, OSError):
        return


def freeze_started() -> None:
    """Takes what a started process holds for good out of the garbage collector's rounds.

    A full round over modules, routes and mappers takes 0.1 s and would find nothing, while requests wait for it.
    """
    gc.collect()
    gc.freeze()
