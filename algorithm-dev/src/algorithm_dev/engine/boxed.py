"""Runs components in sandbox processes: drafts, SQL, and every model before it is trusted."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from brain_kit.problems import InvalidInput, TimedOut, Unavailable
from brain_kit.sandbox import SandboxDied, SandboxLimits, SandboxPool, frames

from algorithm_dev.domain.card import Card, card_document

WORKER = "algorithm_dev.engine.worker"
TICK_S = 0.5
_PATHS = re.compile(r"(?:[a-z0-9]+://|/)[^\s\"',;()]*/[^\s\"',;()]*")
_MEMORY = frozenset({"OutOfMemoryException", "MemoryError", "ArrowMemoryError", "ArrowCapacityError"})


class ComponentFailed(InvalidInput):
    """The component could not compute this; the detail says why."""

    code, title = "component_failed", "Component failed"


class ComponentMemory(ComponentFailed):
    """The component needed more memory than it may use."""

    code, title = "component_memory_limit", "Memory limit reached"


class ComponentTime(TimedOut):
    """The component ran longer than it may."""

    code, title = "component_time_limit", "Time limit reached"


class RuntimesUnavailable(Unavailable):
    """No process for components can be started."""

    code, title = "runtimes_unavailable", "Runtimes unavailable"


class BoxedRunner:
    """Runs one component at a time in each child process; safe for several threads."""

    def __init__(self, folder: Path, limits: SandboxLimits, *, most_s: float, idle_limit_s: float) -> None:
        self.pool = SandboxPool(WORKER, folder, limits, idle_limit_s=idle_limit_s, failure=RuntimesUnavailable)
        self._most_s = most_s

    def check(self, card: Card, path: Path) -> None:
        """Lets the runtime judge the file: one SELECT, or a model that loads. Raises ComponentFailed."""
        self._ask(frames.CHECK, card, {"card": card_document(card), "path": str(path)})

    def run(self, card: Card, path: Path, inputs: Any, settled: dict[str, Any]) -> tuple[Any, float]:
        """(outputs, milliseconds) of checked inputs. Raises ComponentFailed, ComponentMemory, ComponentTime."""
        request = {"card": card_document(card), "path": str(path), "inputs": inputs, "parameters": settled}
        answer = self._ask(frames.RUN, card, request)
        return answer["result"], float(answer["elapsed_ms"])

    def close(self) -> None:
        """Ends the child processes."""
        self.pool.close()

    def _ask(self, kind: bytes, card: Card, request: dict[str, Any]) -> dict[str, Any]:
        limit_s = min(card.limits.time_s, self._most_s)
        digest = card.artefact(card.entry).sha256
        try:
            with self.pool.lease(digest) as process:
                deadline = time.monotonic() + limit_s
                process.send(kind, request)
                while (frame := process.receive(TICK_S)) is None:
                    if time.monotonic() >= deadline:
                        raise ComponentTime(f"组件运行超过 {limit_s:g} 秒，已停止：减少输入，或作为批量任务运行")
                process.remember(digest)
        except SandboxDied as error:
            raise ComponentMemory("组件超出内存上限，已停止：减少输入，或作为批量任务运行") from error
        answer = frames.parse(frame[1])
        if frame[0] == frames.ERROR:
            raise _failure(answer)
        return answer


def _failure(answer: dict[str, Any]) -> ComponentFailed:
    kind, message = str(answer.get("kind", "")), str(answer.get("message", ""))
    is_memory = kind in _MEMORY or "Failed to allocate" in message or "bad allocation" in message
    if is_memory or "bad_alloc" in message or "failed to offload" in message:
        return ComponentMemory("组件超出内存上限，已停止：减少输入，或作为批量任务运行")
    return ComponentFailed(f"组件运行失败：{_PATHS.sub('…', message) or kind}", engine_error=kind)
