"""Approved ONNX models loaded in this process, the least recently used given up, and calls of them.

A call that is known to be quick runs where it stands, on the event loop: a thread would cost more than the model. How
long a model takes is measured when it is loaded; models whose time depends on values (loops) and large inputs always
run in a thread, and are stopped there when they take longer than a call may.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algorithm_dev.domain.card import Card
from algorithm_dev.domain.onnx_file import read_model
from algorithm_dev.engine import onnx

QUICK_MS = 0.5
QUICK_GROWTH = 4
PROFILE_RUNS = 5


@dataclass
class Served:
    """A loaded model. quick_elements: inputs of at most so many elements run on the event loop; 0: none do."""

    card: Card
    session: Any
    output_names: list[str]
    quick_elements: int

    def is_quick(self, feed: onnx.Arrays) -> bool:
        """Whether a call with these arrays may run on the event loop."""
        size = 0
        for array in feed.values():
            size += array.size
        return size <= self.quick_elements

    def run(self, feed: onnx.Arrays, inputs: Any) -> Any:
        """The outputs as values for orjson."""
        # The session's Python side costs as much again as a small model; what it looks after are GPUs.
        native = getattr(self.session, "_sess", self.session)
        return onnx.written_outputs(self.card, self.output_names, native.run(self.output_names, feed, None), inputs)

    def run_limited(self, feed: onnx.Arrays, inputs: Any, limit_s: float) -> Any:
        """The outputs, or TimeoutError when the model was stopped after so many seconds."""
        options = onnx.runtime().RunOptions()
        late = threading.Event()

        def stop() -> None:
            late.set()
            options.terminate = True

        timer = threading.Timer(limit_s, stop)
        timer.start()
        try:
            arrays = self.session.run(self.output_names, feed, options)
        except Exception as error:
            if late.is_set():
                raise TimeoutError from error
            raise
        finally:
            timer.cancel()
        return onnx.outputs_of(self.card, self.output_names, arrays, inputs)


class ServedModels:
    """Loaded models by digest; safe among threads. A model is loaded once, whoever asks at the same time waits."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._models: OrderedDict[str, Served] = OrderedDict()
        self._loading: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def known(self, digest: str) -> Served | None:
        """The loaded model of a digest."""
        with self._lock:
            found = self._models.get(digest)
            if found is not None:
                self._models.move_to_end(digest)
            return found

    def load(self, digest: str, card: Card, path: Path) -> Served:
        """The model of a digest, loaded from a verified file when it is not there."""
        with self._lock:
            turn = self._loading.setdefault(digest, threading.Lock())
        with turn:
            found = self.known(digest)
            if found is None:
                found = _opened(card, path.read_bytes())
                with self._lock:
                    self._models[digest] = found
                    while len(self._models) > self._most:
                        self._models.popitem(last=False)
        with self._lock:
            self._loading.pop(digest, None)
        return found

    def forget(self, digest: str) -> None:
        """Drops a model."""
        with self._lock:
            self._models.pop(digest, None)


def _opened(card: Card, content: bytes) -> Served:
    session = onnx.open_session(content, threads=1)
    served = Served(card, session, [item.name for item in session.get_outputs()], 0)
    if card.golden and not read_model(content, most_bytes=len(content)).has_loop:
        vector = card.golden[0]
        feed = onnx.feed_of(card, vector.inputs, card.signature.settled(vector.parameters))
        if min(_timed(served, feed) for _ in range(PROFILE_RUNS)) <= QUICK_MS:
            served.quick_elements = QUICK_GROWTH * sum(array.size for array in feed.values())
    return served


def _timed(served: Served, feed: onnx.Arrays) -> float:
    started = time.perf_counter()
    served.session.run(served.output_names, feed)
    return (time.perf_counter() - started) * 1000
