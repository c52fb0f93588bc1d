"""Single calls: one request, checked inputs, a component's outputs, counted.

Approved ONNX models run in this process; everything else (SQL, drafts under trial) in a sandbox process.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import anyio.to_thread
import orjson
from brain_kit.auth import Principal
from brain_kit.database import Database
from brain_kit.problems import Unavailable

from algorithm_dev.domain.card import Card, parse_card
from algorithm_dev.domain.check import check_parameters, check_signature
from algorithm_dev.domain.findings import Finding
from algorithm_dev.domain.metering import Meter
from algorithm_dev.domain.signature import Tensors
from algorithm_dev.domain.tensor_check import TensorInvalid, fitting_arrays, to_array
from algorithm_dev.engine.boxed import BoxedRunner, ComponentFailed, ComponentTime
from algorithm_dev.engine.onnx import feed_of
from algorithm_dev.engine.serving import Served, ServedModels
from algorithm_dev.service.access import found, owns, reviews, sees, unknown
from algorithm_dev.service.artefacts import ArtefactStore
from algorithm_dev.service.errors import BodyUnreadable, InputInvalid, NotCallable, TooManyRows, VersionBroken
from algorithm_dev.store import aliases, registry

CALL, RUN = "call", "run"
ELEMENT_BYTES = 64  # of a value and its name in JSON, hardly more: what is longer is not quick, and not read twice
MEMBERS = frozenset({"inputs", "parameters"})


@dataclass(frozen=True)
class CallableVersion:
    """A version as calls see it."""

    component: str
    version: str
    state: str
    owner: str
    digest: str
    broken: str | None
    card: Card
    entry_digest: str

    @property
    def is_served(self) -> bool:
        """Whether it runs in this process."""
        return self.state == "published" and self.card.runtime == "onnx"


@dataclass(frozen=True)
class CallLimits:
    """most_rows: of one call. seconds: that it may compute. boxes: sandbox processes at once."""

    most_rows: int
    seconds: float
    boxes: int


class Invoker:
    """Answers calls; safe between the event loop and threads.

    broken: called with component, version and what was found when a file is damaged. first_call: called once.
    """

    def __init__(
        self,
        database: Database,
        artefacts: ArtefactStore,
        boxes: BoxedRunner,
        models: ServedModels,
        meter: Meter,
        limits: CallLimits,
        refresh_s: float,
    ) -> None:
        self.broken: Callable[[str, str, str], None] = lambda component, version, told: None
        self.first_call: Callable[[], None] | None = None
        self._database = database
        self._artefacts = artefacts
        self._boxes = boxes
        self._models = models
        self._meter = meter
        self._limits = limits
        self._refresh_s = refresh_s
        self._known: dict[tuple[str, str], CallableVersion] = {}
        self._looked = float("-inf")
        self._seen: tuple[int, ...] = ()
        self._places = threading.Semaphore(limits.boxes)
        self._today = ("", 0.0)

    def forget(self) -> None:
        """Looks everything up anew: a version or an alias was changed."""
        self._known = {}

    async def invoke(self, caller: Principal, name: str, version: str, body: bytes) -> bytes:
        """The JSON answer of a call: {component, version, digest, outputs, elapsed_ms}.

        Raises ComponentUnknown, NotCallable, VersionBroken, BodyUnreadable, TooManyRows, InputInvalid,
        ComponentFailed, ComponentTime.
        """
        if self.first_call is not None:
            begin, self.first_call = self.first_call, None
            begin()
        called = self._at_hand(name, version)
        if called is None:
            called = await anyio.to_thread.run_sync(self._look_up, name, version)
        self._check_caller(caller, called, name, version)
        started = time.perf_counter()
        rows, failed = 0, True
        try:
            inputs, parameters = self._read(called, body)
            rows = _rows_of(inputs)
            outputs, elapsed_ms = await self._run(called, inputs, called.card.signature.settled(parameters))
            failed = False
        finally:
            self._count(called, caller, rows, started, failed=failed)
        return _answer(called, outputs, elapsed_ms)

    def at_once(self, caller: Principal, name: str, version: str, body: bytes) -> bytes | None:
        """The answer of `invoke` where that needs not wait: a version looked up lately, its model loaded and quick.

        None, and nothing counted, where it would. Raises as `invoke`.
        """
        called = self._at_hand(name, version)
        if called is None or self.first_call is not None or not called.is_served:
            return None
        served = self._models.known(called.digest)
        if served is None or len(body) > served.quick_elements * ELEMENT_BYTES:
            return None
        self._check_caller(caller, called, name, version)
        started = time.perf_counter()
        rows = 0
        try:
            inputs, parameters = self._read(called, body)
            rows = _rows_of(inputs)
            signature = called.card.signature
            # Tensors that were read are arrays already.
            as_it_is = not signature.parameters and isinstance(signature.inputs, Tensors)
            feed = inputs if as_it_is else feed_of(called.card, inputs, signature.settled(parameters))
            if not served.is_quick(feed):
                return None
            outputs, elapsed_ms = _run_here(served, feed, inputs)
        except Exception:
            self._count(called, caller, rows, started, failed=True)
            raise
        self._count(called, caller, rows, started, failed=False)
        return _answer(called, outputs, elapsed_ms)

    def _at_hand(self, name: str, version: str) -> CallableVersion | None:
        return self._known.get((name, version)) if time.monotonic() - self._looked < self._refresh_s else None

    def _count(self, called: CallableVersion, caller: Principal, rows: int, started: float, *, failed: bool) -> None:
        key = (self._day(), called.component, called.version, caller.org, CALL)
        self._meter.count(key, rows, (time.perf_counter() - started) * 1000, failed=failed)

    def _check_caller(self, caller: Principal, called: CallableVersion, name: str, version: str) -> None:
        if not sees(caller, called.owner, called.state):
            raise unknown(name, version)
        if called.broken:
            raise VersionBroken(called.broken, component=called.component, version=called.version)
        if called.state in ("withdrawn", "rejected"):
            raise NotCallable(f"{called.component} {called.version} 已撤回或退回，不能再调用：请改用其他版本")
        if called.state != "published" and not (owns(caller, called.owner) or reviews(caller)):
            raise unknown(name, version)

    def _read(self, called: CallableVersion, body: bytes) -> tuple[Any, dict[str, Any]]:
        document = _document(body)
        inputs, parameters = document.get("inputs"), document.get("parameters") or {}
        side = called.card.signature.inputs
        if isinstance(inputs, list) and len(inputs) > self._limits.most_rows:
            raise TooManyRows(
                f"一次调用至多 {self._limits.most_rows:,} 行，收到 {len(inputs):,} 行：请分批调用，或作为批量任务运行",
                errors=[{"row": None, "field": "inputs", "reason": f"{len(inputs)} 行"}],
                limit_rows=self._limits.most_rows,
            )
        if isinstance(inputs, dict) and isinstance(side, Tensors):
            fitting = fitting_arrays(side, inputs) if not parameters else None
            if fitting is not None:
                return fitting, parameters
            inputs = _arrays(side, inputs)
        findings = check_parameters(called.card.signature, parameters) if parameters else []
        findings += check_signature(side, inputs)
        if findings:
            raise _invalid(findings)
        return inputs, parameters

    async def _run(self, called: CallableVersion, inputs: Any, settled: dict[str, Any]) -> tuple[Any, float]:
        if not called.is_served:
            return await anyio.to_thread.run_sync(self._boxed, called, inputs, settled)
        served = self._models.known(called.digest)
        if served is None:
            served = await anyio.to_thread.run_sync(self._load, called)
        feed = feed_of(called.card, inputs, settled)
        if served.is_quick(feed):
            return _run_here(served, feed, inputs)
        return await anyio.to_thread.run_sync(self._patiently, served, feed, inputs)

    def _patiently(self, served: Served, feed: Any, inputs: Any) -> tuple[Any, float]:
        limit_s = min(self._limits.seconds, served.card.limits.time_s)
        started = time.perf_counter()
        try:
            outputs = served.run_limited(feed, inputs, limit_s)
        except TimeoutError as error:
            raise ComponentTime(f"组件运行超过 {limit_s:g} 秒，已停止：减少输入，或作为批量任务运行") from error
        except Exception as error:
            raise _engine_failed(error) from error
        return outputs, (time.perf_counter() - started) * 1000

    def _load(self, called: CallableVersion) -> Served:
        path = self._verified(called)
        try:
            return self._models.load(called.digest, called.card, path)
        except Exception as error:
            raise ComponentFailed(f"模型无法载入：{str(error)[:500]}", engine_error=type(error).__name__) from error

    def _boxed(self, called: CallableVersion, inputs: Any, settled: dict[str, Any]) -> tuple[Any, float]:
        path = self._verified(called)
        if not self._places.acquire(timeout=self._limits.seconds):
            raise Unavailable("运行组件的进程都在忙，请稍后重试", retry_after_s=2)
        try:
            plain = inputs if isinstance(inputs, list) else {name: array.tolist() for name, array in inputs.items()}
            return self._boxes.run(called.card, path, plain, settled)
        finally:
            self._places.release()

    def _verified(self, called: CallableVersion) -> Any:
        try:
            return self._artefacts.path(called.card, called.card.entry)
        except VersionBroken as problem:
            self.broken(called.component, called.version, problem.detail)
            raise

    def _look_up(self, name: str, version: str) -> CallableVersion:
        with self._database.reading() as session:
            seen = (*registry.changes(session), aliases.edits(session))
            if seen != self._seen:
                self._known, self._seen = {}, seen
            self._looked = time.monotonic()
            known = self._known.get((name, version))
            if known is not None:
                return known
            row = found(session, name, version)
        card = parse_card(row.card)
        entry = card.artefact(card.entry).sha256
        made = CallableVersion(name, row.version, row.state, row.owner, row.digest, row.broken, card, entry)
        if row.state == "published":
            self._known[name, version] = made
        return made

    def _day(self) -> str:
        day, until = self._today
        now = time.time()
        if now >= until:
            moment = datetime.now(UTC)
            day = moment.strftime("%Y-%m-%d")
            self._today = (day, (now // 86_400 + 1) * 86_400)
        return day


def _run_here(served: Served, feed: Any, inputs: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    try:
        outputs = served.run(feed, inputs)
    except Exception as error:
        raise _engine_failed(error) from error
    return outputs, (time.perf_counter() - started) * 1000


def _engine_failed(error: Exception) -> ComponentFailed:
    return ComponentFailed(f"组件运行失败：{str(error)[:500]}", engine_error=type(error).__name__)


def _answer(called: CallableVersion, outputs: Any, elapsed_ms: float) -> bytes:
    answer = {
        "component": called.component,
        "version": called.version,
        "digest": called.digest,
        "outputs": outputs,
        "elapsed_ms": int(elapsed_ms * 1000 + 0.5) / 1000,  # `round` costs a fifth of a small model
    }
    return orjson.dumps(answer)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        # NaN and numbers out of range are no JSON for orjson; the check of the inputs says where they stand.
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise BodyUnreadable(f"请求体不是 JSON：{str(error)[:200]}") from error
    if not isinstance(document, dict) or "inputs" not in document or not document.keys() <= MEMBERS:
        raise BodyUnreadable(
            '请求体应为 {"inputs": …, "parameters": {…}}',
            errors=[{"row": None, "field": "inputs", "reason": "缺少，或有多余的字段"}],
        )
    return document


def _arrays(side: Tensors, inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs whose tensors are arrays where they can be; the check says what is wrong with the others."""
    found = dict(inputs)
    for tensor in side.tensors:
        with contextlib.suppress(TensorInvalid, KeyError):
            found[tensor.name] = to_array(tensor, inputs[tensor.name])
    return found


def _rows_of(inputs: Any) -> int:
    """How many rows a call gives: those of a list, or the first size of the first tensor."""
    if isinstance(inputs, list):
        return len(inputs)
    first = next(iter(inputs.values()), None)
    return 1 if first is None or not first.shape else int(first.shape[0])


def _invalid(findings: list[Finding]) -> InputInvalid:
    first = findings[0]
    place = f"第 {first.row} 行 {first.field}" if first.row is not None else first.field
    return InputInvalid(
        f"输入有 {len(findings)} 处不合要求：{place} {first.reason}。{first.remedy}",
        errors=[finding.as_dict() for finding in findings],
    )
