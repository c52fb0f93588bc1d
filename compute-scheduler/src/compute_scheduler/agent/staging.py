"""Files on their way into a job's folder and out of it."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from brain_kit.problems import Problem

from compute_scheduler.agent.held import Held
from compute_scheduler.agent.link import Link, is_passing
from compute_scheduler.engine.contract import Engine

TRIES = 6
CHUNK_BYTES = 1 << 20
log = structlog.get_logger()


@dataclass
class Staging:
    """Copies inputs and outputs beside the other work; `workers` is given when the agent runs."""

    link: Link
    engine: Engine
    workers: Executor | None = None

    def fetch(self, held: Held, done: Callable[[str | None], None]) -> None:
        """Brings an attempt's inputs, then calls `done` with None or with what went wrong."""
        assert self.workers is not None
        self.workers.submit(self._guarded, lambda: done(self._fetch(held)))

    def collect(self, held: Held, done: Callable[[], None]) -> None:
        """Takes an attempt's declared outputs, then calls `done`; those that are not there are in `missing`."""
        assert self.workers is not None

        def work() -> None:
            self._collect(held)
            done()

        self.workers.submit(self._guarded, work)

    @staticmethod
    def _guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            log.exception("staging_failed")

    def _fetch(self, held: Held) -> str | None:
        work = self.engine.work(held.attempt)
        for name, item in held.order["inputs"].items():
            target = work / name
            target.parent.mkdir(parents=True, exist_ok=True)
            for number in range(TRIES):
                try:
                    self.link.fetch_input(held.attempt, item["sha256"], target)
                    break
                except Problem as problem:
                    if not is_passing(problem) or number == TRIES - 1:
                        return f"{name}：{problem.detail}"
                    time.sleep(0.3 * 2**number)
                except OSError as error:
                    return f"{name}：{error.strerror}"
            if _digest(target) != item["sha256"]:
                return f"{name}：内容与 sha256 不符"
        return None

    def _collect(self, held: Held) -> None:
        work = self.engine.work(held.attempt)
        outputs: dict[str, Any] = {}
        missing = []
        for name in held.order["outputs"]:
            path = work / name
            if not _is_own_file(work, path):
                missing.append(name)
                continue
            outputs[name] = self._put(held, path)
        held.outputs = {name: item for name, item in outputs.items() if item is not None}
        held.missing = missing + [name for name, item in outputs.items() if item is None]

    def _put(self, held: Held, path: Path) -> dict[str, Any] | None:
        number = 0
        while True:
            try:
                return self.link.put_output(held.attempt, path)
            except Problem as problem:
                if not is_passing(problem):
                    log.warning("output_refused", attempt=held.attempt, file=path.name, code=problem.code)
                    return None
            except OSError:
                return None
            # The work is done: its result is worth waiting for the service.
            time.sleep(min(0.3 * 2**number, 10.0))
            number += 1


def _is_own_file(work: Path, path: Path) -> bool:
    """Whether the path is a plain file inside the working folder, reached without links out of it."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and path.resolve().is_relative_to(work.resolve())


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
