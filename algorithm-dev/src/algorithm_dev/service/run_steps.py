"""The worker that takes runs from step to step.

Each step is idempotent by the run's id (files by digest, job and push by Idempotency-Key, contract by content), and
its outcome is written in one transaction that asks for the state it began with. So a crash at any point leads to the
same step done once more, never to a second job, a second push or a lost run. A step that meets an outage waits and
is tried again; one that is refused ends the run with the reason.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import structlog
from brain_contracts.events import LineageReported
from brain_contracts.odcs import to_yaml
from brain_kit import audit
from brain_kit.auth import principal_of
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.events import emit
from brain_kit.problems import Problem, RateLimited, TimedOut, Unavailable

from algorithm_dev.clients import Scheduler, Warehouse
from algorithm_dev.domain.card import Card, card_document, parse_card
from algorithm_dev.domain.lineage import run_event
from algorithm_dev.domain.metering import Meter
from algorithm_dev.domain.result_contract import result_contract, run_settings
from algorithm_dev.domain.states import FINAL_RUNS, RUN_WORDS, WAITING_FOR_JOB, may_follow
from algorithm_dev.runner import ARTEFACT, CARD, INPUT, REPORT, RESULT, SETTINGS
from algorithm_dev.service.access import found
from algorithm_dev.service.artefacts import ArtefactStore
from algorithm_dev.service.column_lineage import column_sources
from algorithm_dev.service.errors import VersionBroken
from algorithm_dev.service.run_pins import RunPins
from algorithm_dev.service.runs import needed_columns
from algorithm_dev.store import runs

RETRY_S = (0.5, 1, 2, 5, 10, 30)
POLL_S = 5.0
PUSH_POLL_S = 0.3
LABEL = "algorithm-dev/run"
JOB_MARGIN_MB = 512
log = structlog.get_logger()


class RunFailed(Exception):
    """The run cannot succeed any more; the text is its reason."""


@dataclass
class Outcome:
    """What a step leads to: the next state (the same one: look again in `wait_s`), its reason, facts to keep."""

    state: str
    reason: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    job_id: str | None = None
    wait_s: float = 0.0


@dataclass(frozen=True)
class RunLimits:
    """most_rows: of one run's input. lease_s: after which a step whose process died is taken again."""

    most_rows: int
    lease_s: float


class RunSteps:
    """Takes one run one step further. `before` is called with the name of each point between two effects."""

    def __init__(
        self, database: Database, warehouse: Warehouse, scheduler: Scheduler, artefacts: ArtefactStore, meter: Meter,
        folder: Path, limits: RunLimits,
    ) -> None:  # fmt: skip
        self.before: Callable[[str], None] = lambda point: None
        self._database = database
        self._warehouse = warehouse
        self._pins = RunPins(database, warehouse)
        self._scheduler = scheduler
        self._artefacts = artefacts
        self._meter = meter
        self._folder = folder
        self._limits = limits
        self._steps: dict[str, Callable[[Any, Card], Outcome]] = {
            "accepted": self._stage,
            "staged": self._submit,
            "queued": self._watch,
            "running": self._watch,
            "computed": self._register,
            "registered": self._push,
            "pushed": self._settle,
        }

    def step(self) -> bool:
        """Takes the run that has waited longest one step further; False when none waits."""
        now = utc_now()
        with self._database.transaction() as session:
            row = runs.claim(session, now, now + timedelta(seconds=self._limits.lease_s))
        if row is None:
            return False
        try:
            with _Lease(self._database, row, self._limits.lease_s):
                outcome = self._outcome(row)
                self._settle_pin(row, outcome)
        except (Unavailable, TimedOut, RateLimited) as problem:
            self._wait(row, problem)
            return True
        self._write(row, outcome)
        return True

    def _settle_pin(self, row: Any, outcome: Outcome) -> None:
        """Before the end is written, so that a crash in between repeats it."""
        if outcome.state == "succeeded":
            self._pins.succeed(row)
        elif outcome.state in FINAL_RUNS:
            self._pins.release(row)

    def _outcome(self, row: Any) -> Outcome:
        try:
            if row.cancel_asked and may_follow(row.state, "cancelled"):
                return self._cancel(row)
            with self._database.reading() as session:
                card = parse_card(found(session, row.component, row.version).card)
            return self._steps[row.state](row, card)
        except RunFailed as failure:
            return Outcome("failed", str(failure))
        except VersionBroken as problem:
            return Outcome("failed", problem.detail)
        except (Unavailable, TimedOut, RateLimited):
            raise
        except Problem as problem:
            if problem.status >= 500:
                raise Unavailable(problem.detail) from problem
            return Outcome("failed", problem.detail)

    def _stage(self, row: Any, card: Card) -> Outcome:
        """Rows of the version, card and files go to the store of jobs."""
        request = row.request
        pin = self._pins.keep(row)
        with _StepFolder(self._folder) as folder:
            dataset = self._warehouse.described(row.org, request["dataset"])
            columns = needed_columns(card, request["mapping"], [item["name"] for item in dataset["schema"]])
            source = folder / INPUT
            self._warehouse.download(
                row.org, request["dataset"], columns, request["filter"], request["dataset_version"], source
            )
            count = _rows_of(source)
            most = self._limits.most_rows
            if count > most:
                raise RunFailed(f"输入有 {count:,} 行，一次运行至多 {most:,} 行：请用 filter 缩小")
            self.before("stage")
            settings = run_settings(card, request["mapping"], request["parameters"]) | {"digest": row.digest}
            files: dict[str, Path | bytes] = {
                CARD: json.dumps(card_document(card), ensure_ascii=False).encode(),
                SETTINGS: json.dumps(settings, ensure_ascii=False).encode(),
                ARTEFACT: self._artefacts.path(card, card.entry),
                INPUT: source,
            }
            kept = {name: self._scheduler.keep(row.org, content) for name, content in files.items()}
        return Outcome("staged", facts={"files": kept, "rows_in": count, "pin": pin})

    def _submit(self, row: Any, card: Card) -> Outcome:
        self.before("submit")
        spec = {
            "name": f"{row.component} {row.version} → {row.request['into']}"[:100],
            "command": ["python3", "-m", "algorithm_dev.runner"],
            "resources": {"cores": 1, "memory_mb": card.limits.memory_mb + JOB_MARGIN_MB},
            "priority": row.request.get("priority", "normal"),
            "retries": 1,
            "time_limit_s": max(60, int(card.limits.time_s) * 10),
            # Its rows come as an input; the version only says where it had better run.
            "datasets": [
                {"dataset": row.request["dataset"], "version": row.request["dataset_version"], "files": False}
            ],
            "inputs": {name: {"sha256": digest} for name, digest in row.facts["files"].items()},
            "outputs": [RESULT, REPORT],
            "labels": {LABEL: row.id},
        }
        job = self._scheduler.submit(row.org, spec, row.id)
        return Outcome("queued", str(job["reason"]), {"job": _job_facts(job)}, str(job["id"]))

    def _watch(self, row: Any, card: Card) -> Outcome:
        job = self._scheduler.job(row.org, row.job_id)
        facts = {"job": _job_facts(job)}
        state = job["state"]
        if state == "succeeded":
            return Outcome("computed", facts=facts)
        if state == "cancelled":
            return Outcome("cancelled", f"作业已取消：{job['reason']}", facts)
        if state == "failed":
            return Outcome("failed", f"作业失败：{job['reason']}。原因见作业日志", facts)
        running = "running" if state in ("starting", "running") else "queued"
        return Outcome(running, str(job["reason"]), facts, wait_s=POLL_S)

    def _register(self, row: Any, card: Card) -> Outcome:
        with _StepFolder(self._folder) as folder:
            self._scheduler.fetch(row.org, _output(row, REPORT), folder / REPORT)
            report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        if report["state"] != "succeeded":
            raise RunFailed(f"组件运行失败：{report['reason']}")
        if report["digest"] != row.digest or report["result_sha256"] != _output(row, RESULT):
            raise RunFailed("结果的摘要与作业报告不符：结果不可信，没有写入")
        self.before("register")
        request = row.request
        contract = result_contract(card, request["into"], request["key"], request["dataset"])
        self._warehouse.register(row.org, request["into"], to_yaml(contract))
        return Outcome("registered", facts={"rows_in": report["rows_in"], "rows_out": report["rows_out"]})

    def _push(self, row: Any, card: Card) -> Outcome:
        with _StepFolder(self._folder) as folder:
            self._scheduler.fetch(row.org, _output(row, RESULT), folder / RESULT)
            self.before("push")
            mode = "upsert" if row.request["key"] else "append"
            receipt = self._warehouse.push(row.org, row.request["into"], mode, row.id, folder / RESULT)
        return Outcome("pushed", facts={"push_id": receipt["id"]}, wait_s=0.0)

    def _settle(self, row: Any, card: Card) -> Outcome:
        receipt = self._warehouse.receipt(row.org, row.facts["push_id"])
        if receipt["state"] == "refused":
            told = "；".join(f"{item['field']}：{item['reason']}" for item in receipt.get("rejects", [])[:3])
            raise RunFailed(f"结果没有一行能入仓：{told or '见推送回执'}")
        if receipt["state"] != "committed":
            return Outcome("pushed", wait_s=PUSH_POLL_S)
        rejected = int(receipt.get("rejected") or 0)
        reason = f"成功，{receipt['accepted']} 行已入仓" + (f"，{rejected} 行被退回（见推送回执）" if rejected else "")
        return Outcome("succeeded", reason, {"output_version": str(receipt["snapshot"])})

    def _cancel(self, row: Any) -> Outcome:
        job_id = row.job_id
        if job_id is None and row.state == "staged":
            # It may have been submitted by a process that died before it could say so.
            job = self._scheduler.job_of(row.org, f"{LABEL}={row.id}")
            job_id = str(job["id"]) if job else None
        if job_id is not None:
            self._scheduler.cancel(row.org, job_id)
        return Outcome("cancelled", "已按要求取消", job_id=job_id)

    def _wait(self, row: Any, problem: Problem) -> None:
        delay_s = RETRY_S[min(row.attempts, len(RETRY_S) - 1)]
        log.warning("run_waits", run=row.id, state=row.state, code=problem.code, detail=problem.detail)
        values = {
            "attempts": row.attempts + 1,
            "wake_at": utc_now() + timedelta(seconds=delay_s),
            "reason": f"{RUN_WORDS[row.state]}；暂时受阻，会自动重试：{problem.detail}",
            "changed_at": utc_now(),
        }
        with self._database.transaction() as session:
            runs.change(session, row.id, row.state, values)

    def _write(self, row: Any, outcome: Outcome) -> None:
        now = utc_now()
        moved = outcome.state != row.state
        if moved and not may_follow(row.state, outcome.state):
            raise RuntimeError(f"run {row.id}: {row.state} is not followed by {outcome.state}")
        reason = outcome.reason or RUN_WORDS[outcome.state]
        steps = list(row.facts.get("steps", []))
        if moved:
            steps.append({"state": outcome.state, "at": rfc3339(now), "reason": reason})
        values: dict[str, Any] = {
            "state": outcome.state,
            "reason": reason,
            "facts": row.facts | outcome.facts | {"steps": steps},
            "attempts": 0,
            "wake_at": now + timedelta(seconds=outcome.wait_s),
            "changed_at": now,
        }
        if outcome.job_id is not None:
            values["job_id"] = outcome.job_id
        if outcome.state in FINAL_RUNS:
            values["ended_at"] = now
        self.before(f"write-{outcome.state}")
        with self._database.transaction() as session:
            changed = runs.change(session, row.id, row.state, values)
            if changed and outcome.state in FINAL_RUNS:
                self._tell(session, runs.by_id(session, row.id), outcome)
        if changed and outcome.state in FINAL_RUNS:
            self._count(row, outcome)
        if not changed and outcome.state == "queued":
            # The run was cancelled while its job was on the way.
            self._scheduler.cancel(row.org, str(outcome.job_id))

    def _tell(self, session: Any, row: Any, outcome: Outcome) -> None:
        """Lineage and audit of a run that has ended, in the transaction that ends it."""
        who = principal_of(row.principal)
        ok = outcome.state == "succeeded"
        verdict: Any = "ok" if ok else "failed"
        audit.record(session, who, action=f"run.{outcome.state}", object=row.id, outcome=verdict)
        if outcome.state == "cancelled":
            return
        card = parse_card(found(session, row.component, row.version).card)
        content = self._artefacts.path(card, card.entry).read_bytes() if ok else b""
        sources = column_sources(card, content) if ok else {}
        event = run_event(row, card, sources, utc_now())
        emit(session, LineageReported(run_id=event["run"]["runId"], event=event, org=row.org))

    def _count(self, row: Any, outcome: Outcome) -> None:
        key = (utc_now().strftime("%Y-%m-%d"), row.component, row.version, row.org, "run")
        spent_ms = (utc_now() - row.created_at).total_seconds() * 1000
        rows = int((row.facts | outcome.facts).get("rows_in") or 0)
        self._meter.count(key, rows, spent_ms, failed=outcome.state != "succeeded")


def run(steps: RunSteps, woken: threading.Event, poll_s: float, stop: threading.Event) -> None:
    """Worker loop: takes steps until stopped; a step that crashes is taken again after its lease or a pause."""
    while not stop.is_set():
        try:
            if steps.step():
                continue
        except Exception:
            log.exception("run_step_failed")
            stop.wait(1.0)
        woken.wait(poll_s)
        woken.clear()


def job_changed(session: Any, run_id: str, job_id: str, state: str, reason: str) -> bool:
    """Notes what a job says, so that its run is looked at now; False when there is no such run."""
    row = runs.by_id(session, run_id, lock=True)
    if row is None or row.job_id not in (None, job_id) or row.state in FINAL_RUNS:
        return False
    values: dict[str, Any] = {"wake_at": utc_now()}
    if row.state in WAITING_FOR_JOB and state in ("queued", "starting", "running"):
        values |= {"reason": reason, "changed_at": utc_now()}
    return runs.change(session, run_id, row.state, values)


class _Lease:
    """Keeps a run leased while its step takes its time; ends with the process, so that another takes over."""

    def __init__(self, database: Database, row: Any, lease_s: float) -> None:
        self._database = database
        self._row = row
        self._lease_s = lease_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="run-lease", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._over.wait(self._lease_s / 3):
            try:
                with self._database.transaction() as session:
                    until = utc_now() + timedelta(seconds=self._lease_s)
                    runs.change(session, self._row.id, self._row.state, {"wake_at": until})
            except Problem as problem:
                log.warning("run_lease_not_renewed", run=self._row.id, code=problem.code)


class _StepFolder:
    """A folder for the files of one step, removed at its end."""

    def __init__(self, parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        self._path = Path(mkdtemp(dir=parent))

    def __enter__(self) -> Path:
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)


def _rows_of(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def _job_facts(job: dict[str, Any]) -> dict[str, Any]:
    return {name: job.get(name) for name in ("id", "state", "reason", "attempt", "exit_code", "outputs")}


def _output(row: Any, name: str) -> str:
    output = (row.facts["job"].get("outputs") or {}).get(name)
    if output is None:
        raise RunFailed(f"作业没有交出文件 {name}，见作业日志")
    return str(output["sha256"])
