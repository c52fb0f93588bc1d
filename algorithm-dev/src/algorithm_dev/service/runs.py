"""Batch runs: a component over a fixed version of a data set, as a job, into a new data set."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from brain_contracts.contract import NAME, ContractInvalid
from brain_kit import audit
from brain_kit.auth import Principal, claims_of
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.ids import new_id
from brain_kit.problems import NotFound
from sqlalchemy.exc import IntegrityError

from algorithm_dev.clients import Warehouse
from algorithm_dev.domain.card import Card, parse_card
from algorithm_dev.domain.check import check_parameters
from algorithm_dev.domain.result_contract import input_columns, result_contract
from algorithm_dev.domain.signature import Rows
from algorithm_dev.domain.states import FINAL_RUNS, RUN_MOVES, RUN_WORDS
from algorithm_dev.service.access import resolved
from algorithm_dev.service.errors import KeyReused, NotCallable, RunFinal, RunRefused, RunUnknown, VersionBroken
from algorithm_dev.store import runs


@dataclass(frozen=True)
class RunRequest:
    """What is asked for; dataset_version None: the newest, which is then fixed."""

    dataset: str
    into: str
    dataset_version: str | None = None
    filter: str = ""
    mapping: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    key: list[str] = field(default_factory=list)
    priority: str = "normal"


class Runs:
    """Use cases of runs."""

    def __init__(self, database: Database, warehouse: Warehouse, wake: Any) -> None:
        self._database = database
        self._warehouse = warehouse
        self._wake = wake

    def create(
        self, caller: Principal, token: str, name: str, version: str, asked: RunRequest, key: str | None
    ) -> tuple[dict[str, Any], bool]:
        """Accepts a run: (run, is new). Everything that can be known to be wrong is said here.

        Raises ComponentUnknown, NotCallable, VersionBroken, RunRefused, KeyReused, and what the data hub says.
        """
        digest = _digest(name, version, asked)
        repeated = self._repeated(caller, key, digest)
        if repeated is not None:
            return repeated, False
        with self._database.reading() as session:
            row = resolved(session, caller, name, version)
        _check_callable(row)
        card = parse_card(row.card)
        fixed = self._checked(token, card, asked)
        now, run_id = utc_now(), new_id("run")
        values = {
            "id": run_id,
            "org": caller.org,
            "state": "accepted",
            "reason": RUN_WORDS["accepted"],
            "component": row.component,
            "version": row.version,
            "digest": row.digest,
            "request": asdict(asked) | {"dataset_version": fixed, "digest": digest},
            "facts": {},
            "job_id": None,
            "principal": claims_of(caller),
            "idempotency_key": key,
            "cancel_asked": False,
            "attempts": 0,
            "wake_at": now,
            "created_at": now,
            "changed_at": now,
        }
        try:
            with self._database.transaction() as session:
                runs.add(session, values)
                detail = {"component": f"{row.component}@{row.version}", "dataset": asked.dataset, "version": fixed}
                audit.record(session, caller, action="run.create", object=run_id, detail=detail)
                made = runs.by_id(session, run_id)
        except IntegrityError:
            # The same request came twice and was checked at the same time: the other one was first.
            repeated = self._repeated(caller, key, digest)
            if repeated is None:
                raise
            return repeated, False
        self._wake()
        return shown(made), True

    def read(self, caller: Principal, run_id: str) -> dict[str, Any]:
        """A run with its progress. Raises RunUnknown."""
        return shown(self._found(caller, run_id))

    def page(
        self, caller: Principal, *, state: str | None, component: str | None, after: str | None, limit: int
    ) -> dict[str, Any]:
        """Runs, newest first: one's own organisation's, for operators everybody's."""
        org = None if caller.is_operator else caller.org
        with self._database.reading() as session:
            rows = runs.listed(session, org=org, state=state, component=component, after=after, limit=limit + 1)
        items = [shown(row) for row in rows[:limit]]
        return {"items": items, "next": items[-1]["id"] if len(rows) > limit else None}

    def cancel(self, caller: Principal, run_id: str) -> dict[str, Any]:
        """Asks a run to stop; its job is cancelled with it. Raises RunUnknown, RunFinal."""
        self._found(caller, run_id)
        with self._database.transaction() as session:
            row = runs.by_id(session, run_id, lock=True)
            assert row is not None
            if "cancelled" not in RUN_MOVES[row.state]:
                raise RunFinal(f"运行现在是{RUN_WORDS[row.state]}，不能再取消", state=row.state)
            runs.change(session, run_id, row.state, {"cancel_asked": True, "wake_at": utc_now()})
            audit.record(session, caller, action="run.cancel", object=run_id)
            made = runs.by_id(session, run_id)
        self._wake()
        return shown(made)

    def _found(self, caller: Principal, run_id: str) -> Any:
        with self._database.reading() as session:
            row = runs.by_id(session, run_id)
        if row is None or not (caller.is_operator or row.org == caller.org):
            raise RunUnknown(f"没有运行 {run_id[:60]}")
        return row

    def _repeated(self, caller: Principal, key: str | None, digest: str) -> dict[str, Any] | None:
        if key is None:
            return None
        with self._database.reading() as session:
            row = runs.by_key(session, caller.org, key)
        if row is None:
            return None
        if row.request["digest"] != digest:
            raise KeyReused("这个 Idempotency-Key 已用于另一次运行；请换一个键，或重发原来的内容", run=row.id)
        return shown(row)

    def _checked(self, token: str, card: Card, asked: RunRequest) -> str:
        """The version of the data set, after every check. Raises RunRefused."""
        errors = _own_errors(card, asked)
        if errors:
            raise _refused(errors)
        dataset = self._warehouse.dataset(token, asked.dataset)
        columns = needed_columns(card, asked.mapping, [item["name"] for item in dataset["schema"]])
        version = asked.dataset_version or self._warehouse.newest_version(token, asked.dataset)
        if version is None:
            raise _refused([{"field": "dataset", "reason": f"{asked.dataset} 还没有数据"}])
        self._warehouse.probe(token, asked.dataset, columns, asked.filter, version)
        self._check_target(token, asked)
        return version

    def _check_target(self, token: str, asked: RunRequest) -> None:
        """A data set of the platform's own is no place for a result."""
        try:
            known = self._warehouse.dataset(token, asked.into)
        except NotFound:
            return
        if known.get("owner_org") is None:
            reason = f"{asked.into} 是平台的数据集，不能写入运行结果：请换一个名称"
            raise _refused([{"field": "into", "reason": reason}])


def needed_columns(card: Card, mapping: dict[str, str], have: list[str]) -> list[str]:
    """Columns of the data set that a run reads. Raises RunRefused naming those that it lacks."""
    side = card.signature.inputs
    required = set(side.row_schema.required) if isinstance(side, Rows) else set(input_columns(card))
    columns: list[str] = []
    errors = []
    for name in input_columns(card):
        source = mapping.get(name, name)
        if source in have:
            columns.append(source)
        elif name in mapping or name in required:
            reason = f"数据集没有列 {source}：请在 mapping 中写明由哪一列填入；有：{'、'.join(have[:30])}"
            errors.append({"field": f"mapping.{name}", "reason": reason})
    if errors:
        raise _refused(errors)
    return list(dict.fromkeys(columns))


def _own_errors(card: Card, asked: RunRequest) -> list[dict[str, Any]]:
    errors = []
    if not NAME.fullmatch(asked.into):
        errors.append({"field": "into", "reason": "应为 <仓>.<数据集>，如 enterprise.furnace_oee"})
    if asked.into == asked.dataset:
        errors.append({"field": "into", "reason": "不能与输入数据集相同"})
    for finding in check_parameters(card.signature, asked.parameters):
        errors.append({"field": f"parameters.{finding.field}", "reason": f"{finding.reason}；{finding.remedy}"})
    if errors:
        return errors
    try:
        known = set(input_columns(card))
        result_contract(card, asked.into, asked.key, asked.dataset)
    except ContractInvalid as error:
        return [{"field": f"into.{name}", "reason": reason} for name, reason in error.errors]
    except ValueError as error:
        return [{"field": "key" if "主键" in str(error) else "component", "reason": str(error)}]
    surplus = [name for name in asked.mapping if name not in known]
    reason = f"不是组件的输入列；可选：{'、'.join(sorted(known))}"
    return [{"field": f"mapping.{name}", "reason": reason} for name in surplus]


def _refused(errors: list[dict[str, Any]]) -> RunRefused:
    return RunRefused(f"运行不能受理：{errors[0]['field']} {errors[0]['reason']}", errors=errors)


def _check_callable(row: Any) -> None:
    if row.broken:
        raise VersionBroken(row.broken, component=row.component, version=row.version)
    if row.state != "published":
        raise NotCallable(f"{row.component} {row.version} 不是已发布版本，不能作为批量任务运行", state=row.state)


def _digest(name: str, version: str, asked: RunRequest) -> str:
    document = {"name": name, "version": version} | asdict(asked)
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def shown(row: Any) -> dict[str, Any]:
    """A run as the API shows it."""
    facts, request = row.facts, row.request
    return {
        "id": row.id,
        "org": row.org,
        "state": row.state,
        "state_words": RUN_WORDS[row.state],
        "is_final": row.state in FINAL_RUNS,
        "reason": row.reason,
        "cancel_asked": row.cancel_asked,
        "component": row.component,
        "version": row.version,
        "digest": row.digest,
        "dataset": request["dataset"],
        "dataset_version": request["dataset_version"],
        "filter": request["filter"],
        "mapping": request["mapping"],
        "parameters": request["parameters"],
        "into": request["into"],
        "key": request["key"],
        "job_id": row.job_id,
        "job": facts.get("job"),
        "rows_in": facts.get("rows_in"),
        "rows_out": facts.get("rows_out"),
        "push_id": facts.get("push_id"),
        "output_version": facts.get("output_version"),
        "steps": facts.get("steps", []),
        "created_by": row.principal.get("name") or row.principal["sub"],
        "created_at": rfc3339(row.created_at),
        "changed_at": rfc3339(row.changed_at),
        "ended_at": None if row.ended_at is None else rfc3339(row.ended_at),
    }
