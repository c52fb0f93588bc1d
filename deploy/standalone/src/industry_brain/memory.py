"""How a process of the platform asks the C library and Python to hold memory: sixty threads, one heap."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import sys
from typing import NoReturn

# <malloc.h> of glibc.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
ARENAS = 2
# Bodies come in pieces of 256 KB. With glibc's own limits each of them was memory asked from the kernel and given back.
PIECE_BYTES, KEPT_BYTES = 1 << 20, 32 << 20
# A request makes some thousand objects that live a few milliseconds; with Python's threshold of 700 the collector
# looked through them while they were alive, a seventh of the processor's time under load.
THRESHOLDS = (10_000, 10, 20)


def prepare_memory() -> None:
    """Makes the garbage collector's rounds rarer and bounds the heaps of glibc; to be called before threads start.

    glibc would make a heap for each thread, which holds on to what the busiest moment of each took. Other C libraries
    have no such heaps and are left alone.
    """
    gc.set_threshold(*THRESHOLDS)
    try:
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_ARENA_MAX, ARENAS)
        mallopt(M_MMAP_THRESHOLD, PIECE_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    except (AttributeError, OSError):
        return


def freeze_started() -> None:
    """Takes what a started process holds for good out of the garbage collector's rounds.

    A full round over modules, routes and mappers takes 0.1 s and would find nothing, while requests wait for it.
    """
    gc.collect()
    gc.freeze()


def end_process() -> NoReturn:
    """Ends a process whose parts are closed, without taking Python apart.

    That takes most of a second, and DuckDB would report everything that was frozen as leaked.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
