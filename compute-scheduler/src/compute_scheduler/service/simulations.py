"""Simulations: a policy tried on last month's jobs or on an uploaded log, run beside the service, result kept."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.ids import new_id
from brain_kit.objects import ObjectStore

from compute_scheduler.domain.simulation.policies import POLICIES
from compute_scheduler.service.errors import SimulationInvalid, SimulationNotReady, SimulationUnknown, StateConflict
from compute_scheduler.settings import Settings
from compute_scheduler.store import accounts
from compute_scheduler.store import simulations as store

Row = dict[str, Any]
FINAL = frozenset({"succeeded", "failed", "cancelled"})
COLUMNS = (
    "job", "tenant", "home", "processors", "submitted_at", "run_s", "start_at", "centre", "wait_s",
    "reference_start_at", "reference_centre", "reference_wait_s",
)  # fmt: skip


PODS = ("pod", "milli_cores", "memory_mib", "gpus", "gpu_milli", "models", "placed", "reference_placed")
_FILES = {
    "swf": "swf 需要一个日志文件",
    "elasticflow": "elasticflow 需要每个集群一个 CSV，或它们的 tar",
    "openb": "openb 需要一个 pod 表（列 name, cpu_milli, memory_mib, num_gpu, gpu_milli, gpu_spec）",
}


def make_simulation(database: Database, settings: Settings, principal: Principal, body: Mapping[str, Any]) -> Row:
    """Queues a simulation. Raises SimulationInvalid.

    body: title, policy, format, since, until, files and nodes (name to digest), seed, limit, processors, load,
    staging_s, values (weights of the policy that are not its own; pods are placed without).
    """
    trace = {name: body[name] for name in ("format", "files", "nodes", "seed", "processors", "load", "staging_s")}
    most = settings.compute_scheduler_simulation_most_jobs
    trace["values"] = body["values"]
    trace["limit"] = min(body["limit"] or most, most)
    for name in ("since", "until"):
        trace[name] = body[name].astimezone(UTC).isoformat() if body[name] else None
    with database.transaction() as session:
        digests = [*body["files"].values(), *body["nodes"].values()]
        known = {digest: accounts.file(session, principal.org, digest) for digest in digests}
        errors = _objections(body, known, settings.compute_scheduler_simulation_trace_bytes)
        if errors:
            raise SimulationInvalid("试算无法进行；每处问题见 errors", errors=errors)
        row = {
            "id": new_id("sim"),
            "title": body["title"] or _title(body),
            "policy": body["policy"],
            "trace": trace,
            "state": "queued",
            "reason": "等待试算进程",
            "cancel": False,
            "tries": 0,
            "done": 0,
            "org": principal.org,
            "created_by": principal.subject,
            "created_at": utc_now(),
        }
        store.insert(session, row)
        detail = {"policy": body["policy"], "format": body["format"]}
        audit.record(session, principal, action="simulation.make", object=row["id"], detail=detail)
    return get_simulation(database, row["id"])


def _objections(body: Mapping[str, Any], files: Mapping[str, Row | None], most_bytes: int) -> list[Row]:
    errors: list[Row] = []
    if body["policy"] not in POLICIES:
        words = f"没有这个策略，可用：{'、'.join(sorted(POLICIES))}"
        errors.append({"field": "policy", "value": body["policy"], "reason": words})
    if body["nodes"] and body["format"] != "openb":
        errors.append({"field": "nodes", "reason": "节点表只用于 openb"})
    if body["format"] == "platform":
        if body["files"]:
            errors.append({"field": "files", "reason": "用本平台的作业时不需要文件"})
        if body["since"] is None or body["until"] is None or body["since"] >= body["until"]:
            errors.append({"field": "since", "reason": "请给出 since 和 until，since 应早于 until"})
        return errors
    return errors + _file_objections(body, files, most_bytes)


def _file_objections(body: Mapping[str, Any], files: Mapping[str, Row | None], most_bytes: int) -> list[Row]:
    errors: list[Row] = []
    if not body["files"] or (body["format"] != "elasticflow" and len(body["files"]) > 1):
        errors.append({"field": "files", "reason": _FILES[body["format"]]})
    if body["format"] == "openb" and not body["nodes"]:
        errors.append({"field": "nodes", "reason": "openb 还需要节点表（列 sn, cpu_milli, memory_mib, gpu, model）"})
    for field in ("files", "nodes"):
        for name, digest in body[field].items():
            file = files[digest]
            if file is None:
                errors.append({"field": f"{field}.{name}", "value": digest, "reason": "请先用 PUT /v1/files 上传"})
            elif file["size"] > most_bytes:
                words = f"文件上限 {most_bytes} 字节"
                errors.append({"field": f"{field}.{name}", "value": file["size"], "reason": words})
    return errors


def _title(body: Mapping[str, Any]) -> str:
    if body["format"] == "platform":
        return f"{body['since']:%Y-%m-%d} 至 {body['until']:%Y-%m-%d} 的作业"
    return "、".join(body["files"])[:100]


def list_simulations(database: Database, before: str, limit: int) -> Row:
    """A page of simulations, the newest first, without their results' details."""
    with database.reading() as session:
        rows = store.page(session, before, limit + 1)
    more = len(rows) > limit
    return {"items": [shown(row) for row in rows[:limit]], "next": rows[limit - 1]["id"] if more else None}


def get_simulation(database: Database, simulation: str) -> Row:
    """A simulation with its result, once there is one. Raises SimulationUnknown."""
    with database.reading() as session:
        row = store.get(session, simulation)
    if row is None:
        raise _unknown(simulation)
    return shown(row)


def cancel_simulation(database: Database, principal: Principal, simulation: str) -> Row:
    """Stops a simulation that has not ended. Raises SimulationUnknown, StateConflict."""
    with database.transaction() as session:
        row = store.get(session, simulation, lock=True)
        if row is None:
            raise _unknown(simulation)
        if row["state"] in FINAL:
            raise StateConflict("这次试算已经结束")
        if row["state"] == "queued":
            store.update(session, simulation, state="cancelled", reason="已按要求取消", ended_at=utc_now())
        else:
            store.update(session, simulation, cancel=True, reason="正在停止")
        audit.record(session, principal, action="simulation.cancel", object=simulation)
    return get_simulation(database, simulation)


def remove_simulation(database: Database, objects: ObjectStore, principal: Principal, simulation: str) -> None:
    """Forgets a simulation that has ended, and its schedule. Raises SimulationUnknown, StateConflict."""
    with database.transaction() as session:
        row = store.get(session, simulation, lock=True)
        if row is None:
            raise _unknown(simulation)
        if row["state"] not in FINAL:
            raise StateConflict("先取消，再删除")
        store.remove(session, simulation)
        audit.record(session, principal, action="simulation.remove", object=simulation)
    objects.delete(schedule_key(simulation))


def read_schedule(database: Database, objects: ObjectStore, simulation: str, offset: int, limit: int) -> Row:
    """When and where each job ran, by the policy and by the reference, in order of submission; times from the first.

    Of a pod list, which knows no times: what each pod asked for and whether it found a place, in order of arrival.
    Raises SimulationUnknown, SimulationNotReady.
    """
    names, rows = _rows(database, objects, simulation)
    first = rows[0][4] if rows and names is COLUMNS else 0.0
    part = rows[offset : offset + limit]
    if names is PODS:
        items = [_pod_shown(number, row) for number, row in enumerate(part, offset)]
    else:
        items = [_job_shown(row, first) for row in part]
    more = offset + limit < len(rows)
    return {"items": items, "next": str(offset + limit) if more else None, "jobs": len(rows), "first_at": first}


def schedule_csv(database: Database, objects: ObjectStore, simulation: str) -> Iterator[bytes]:
    """The whole schedule as CSV in UTF-8 with a mark. Raises SimulationUnknown, SimulationNotReady."""
    # Read here, not when the answer is sent: what cannot be read is a problem, not a broken file.
    return _csv(*_rows(database, objects, simulation))


def _csv(names: Sequence[str], rows: list[Any]) -> Iterator[bytes]:
    first = rows[0][4] if rows and names is COLUMNS else 0.0
    yield "\ufeff".encode() + (",".join(names) + "\r\n").encode()
    for start in range(0, len(rows), 1000):
        text = io.StringIO()
        writer = csv.writer(text)
        for number, row in enumerate(rows[start : start + 1000], start):
            shown_row = _pod_shown(number, row) if names is PODS else _job_shown(row, first)
            writer.writerow([shown_row[name] for name in names])
        yield text.getvalue().encode()


def schedule_key(simulation: str) -> str:
    """Where the schedule of a simulation lies."""
    return f"compute/simulations/{simulation}.json.gz"


def _rows(database: Database, objects: ObjectStore, simulation: str) -> tuple[Sequence[str], list[Any]]:
    found = get_simulation(database, simulation)
    if found["state"] != "succeeded":
        raise SimulationNotReady("试算还没有结果")
    with objects.open(schedule_key(simulation)) as stream:
        rows: list[Any] = json.loads(gzip.decompress(stream.read()))
    return PODS if found["trace"]["format"] == "openb" else COLUMNS, rows


def _pod_shown(number: int, row: list[Any]) -> Row:
    return dict(zip(PODS, (number, *row), strict=True))


def _job_shown(row: list[Any], first: float) -> Row:
    job, tenant, home, processors, submitted, run_s, start, centre, plain_start, plain_centre = row
    return {
        "job": job,
        "tenant": tenant,
        "home": home,
        "processors": processors,
        "submitted_at": round(submitted - first, 3),
        "run_s": round(run_s, 3),
        "start_at": round(start - first, 3),
        "centre": centre,
        "wait_s": round(start - submitted, 3),
        "reference_start_at": round(plain_start - first, 3),
        "reference_centre": plain_centre,
        "reference_wait_s": round(plain_start - submitted, 3),
    }


def shown(row: Row) -> Row:
    """A simulation as the API gives it."""
    return {
        "id": row["id"],
        "title": row["title"],
        "policy": row["policy"],
        "trace": row["trace"],
        "state": row["state"],
        "reason": row["reason"],
        "done": row["done"],
        "total": row["total"],
        "result": row["result"],
        "created_by": row["created_by"],
        "created_at": rfc3339(row["created_at"]),
        "started_at": _time(row["started_at"]),
        "ended_at": _time(row["ended_at"]),
    }


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None


def _unknown(simulation: str) -> SimulationUnknown:
    return SimulationUnknown(f"没有试算 {simulation[:40]}")
