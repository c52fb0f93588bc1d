"""Runs queued simulations one at a time, each in a process of its own with a time limit."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.objects import ObjectStore
from sqlalchemy.orm import Session

from compute_scheduler.domain.simulation.costs import as_json, costs_of
from compute_scheduler.service.costs import Told, centre_of
from compute_scheduler.service.simulations import schedule_key
from compute_scheduler.settings import Settings
from compute_scheduler.store import centres
from compute_scheduler.store import simulations as store

Row = dict[str, Any]
LOOK_EVERY_S = 1.0
MOST_TRIES = 3
BAD_TRACE = 3
log = structlog.get_logger()


class Simulator:
    """The worker; among all processes one runs simulations at a time."""

    def __init__(self, database: Database, objects: ObjectStore, settings: Settings) -> None:
        self._database = database
        self._objects = objects
        self._settings = settings
        self._spool = settings.home / "spool" / "simulations"

    def run(self, stop: threading.Event) -> None:
        """Works until stopped; what was running then is queued again."""
        while not stop.wait(LOOK_EVERY_S):
            with self._database.reading() as session:
                idle = not (store.in_state(session, "queued") or store.in_state(session, "running"))
            if idle:
                continue
            with self._database.exclusive("simulations") as held:
                if held:
                    self._take_back()
                    while not stop.is_set() and self._next(stop):
                        pass

    def _take_back(self) -> None:
        """What a process that died was running is queued again, a few times."""
        with self._database.transaction() as session:
            for row in store.in_state(session, "running"):
                if row["cancel"]:
                    self._end(session, row, "cancelled", "已按要求取消")
                elif row["tries"] >= MOST_TRIES:
                    self._end(session, row, "failed", f"试算进程 {row['tries']} 次意外结束，已放弃")
                else:
                    store.update(session, row["id"], state="queued", reason="试算进程重启，重新排队", done=0)

    def _next(self, stop: threading.Event) -> bool:
        """Runs the oldest that waits; False when none does."""
        with self._database.transaction() as session:
            queued = store.in_state(session, "queued")
            if not queued:
                return False
            row = queued[0]
            store.update(
                session, row["id"], state="running", reason="正在试算", started_at=utc_now(), tries=row["tries"] + 1
            )
        self._spool.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{row['id']}-", dir=self._spool))
        try:
            self._prepare(row, folder)
            self._finish(row, folder, self._replay(row, folder, stop))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return True

    def _prepare(self, row: Row, folder: Path) -> None:
        trace = row["trace"]
        request = {**trace, "policy": row["policy"], "name": row["title"]}
        if trace["format"] == "platform":
            since, until = (datetime.fromisoformat(trace[name]) for name in ("since", "until"))
            with self._database.reading() as session:
                runs = [_past_run(run) for run in store.past_runs(session, since, until)]
                cores: dict[str, float] = {}
                for node in centres.all_nodes(session):
                    cores[node["centre"]] = cores.get(node["centre"], 0.0) + node["cores"]
                request["costs"] = _costs(session, utc_now())
            request["centres"] = cores
            (folder / "runs.json").write_text(json.dumps(runs), encoding="utf-8")
        for name, files in (("trace", trace["files"]), ("nodes", trace.get("nodes", {}))):
            for number, digest in enumerate(files.values()):
                with self._objects.open(f"compute/files/{digest[:2]}/{digest}") as stream:
                    (folder / f"{name}-{number}").write_bytes(stream.read())
        (folder / "request.json").write_text(json.dumps(request, ensure_ascii=False), encoding="utf-8")

    def _replay(self, row: Row, folder: Path, stop: threading.Event) -> str:
        """Runs the process and tells how far it is; returns why it was ended early, or nothing."""
        deadline = time.monotonic() + self._settings.compute_scheduler_simulation_limit_s
        with (folder / "progress").open("wb") as output, (folder / "faults").open("wb") as faults:
            process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "compute_scheduler.replay", str(folder)],
                stdout=output,
                stderr=faults,
                stdin=subprocess.DEVNULL,
                env={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"},
            )
        try:
            while process.poll() is None:
                if stop.wait(0.3):
                    return "stopped"
                if time.monotonic() > deadline:
                    return "time"
                if self._tell(row["id"], folder):
                    return "cancelled"
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        return "" if process.returncode == 0 else ("trace" if process.returncode == BAD_TRACE else "fault")

    def _tell(self, simulation: str, folder: Path) -> bool:
        """Keeps how far it is; whether somebody wants it stopped."""
        lines = (folder / "progress").read_text(encoding="utf-8").splitlines()
        with self._database.transaction() as session:
            row = store.get(session, simulation, lock=True)
            if row is None:
                return True
            numbers = lines[-1].split() if lines else []
            if len(numbers) == 2 and (int(numbers[0]), int(numbers[1])) != (row["done"], row["total"]):
                store.update(session, simulation, done=int(numbers[0]), total=int(numbers[1]))
            return bool(row["cancel"])

    def _finish(self, row: Row, folder: Path, ended: str) -> None:
        if not ended:
            content = gzip.compress((folder / "schedule.json").read_bytes(), 6)
            self._objects.put(schedule_key(row["id"]), io.BytesIO(content))
            result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            with self._database.transaction() as session:
                jobs = result["jobs"]
                self._end(session, row, "succeeded", f"{jobs} 个作业", result=result, done=jobs, total=jobs)
            return
        limit_s = self._settings.compute_scheduler_simulation_limit_s
        words = {
            "cancelled": "已按要求取消",
            "time": f"超过试算时限 {limit_s:g} 秒，请用 limit 少取一些作业",
            "trace": "日志无法使用：" + _text(folder / "error.txt"),
            "fault": "试算进程意外结束，已记录",
        }
        if ended == "stopped":
            with self._database.transaction() as session:
                store.update(
                    session, row["id"], state="queued", reason="平台重启，重新排队", tries=row["tries"], done=0
                )
            return
        if ended == "fault":
            log.warning("simulation_failed", simulation=row["id"], faults=_text(folder / "faults")[-2000:])
        with self._database.transaction() as session:
            self._end(session, row, "cancelled" if ended == "cancelled" else "failed", words[ended])

    @staticmethod
    def _end(session: Any, row: Row, state: str, reason: str, **values: Any) -> None:
        store.update(session, row["id"], state=state, reason=reason[:500], ended_at=utc_now(), **values)


def _past_run(run: Row) -> Row:
    return {
        "job": run["job"],
        "tenant": run["org"],
        "centre": run["centre"],
        "submitted_at": run["submitted_at"].timestamp(),
        "started_at": run["started_at"].timestamp(),
        "run_s": run["wall_s"],
        "time_limit_s": float(run["spec"]["time_limit_s"]),
        "cores": run["core_s"] / run["wall_s"],
    }


def _costs(session: Session, now: datetime) -> Row:
    """What a core costs at each centre by the price lists, tariffs and series that are in force now."""
    told = Told.load(session)
    found = {row["id"]: costs_of(centre_of(row, "open", told, now)) for row in centres.all_centres(session)}
    return {centre: as_json(costs) for centre, costs in found.items()}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
