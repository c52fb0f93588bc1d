"""Taking OpenLineage events, from the API and from the platform's own services, into the graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from brain_contracts.contract import DatasetContract
from brain_contracts.events import LineageReported
from brain_kit.audit import record as record_audit
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339
from brain_kit.database import Database
from brain_kit.problems import Conflict, NotPermitted
from sqlalchemy.orm import Session

from data_hub import store
from data_hub.domain.lineage import nodes
from data_hub.domain.lineage.nodes import Edge
from data_hub.domain.lineage.openlineage import Dataset, EventInvalid, RunEvent, read_event
from data_hub.domain.lineage.runs import replaces
from data_hub.service.lineage import holding
from data_hub.service.readable import is_known_to
from data_hub.store import ColumnLink, RunRecord

REPORTING_ROLES = ("operator", "developer", "provider", "service")
PLATFORM = Principal("platform", "service", "", "operator", roles=frozenset({"service"}))


class RunTaken(Conflict):
    """The run's id is used by another organisation, or for another job."""

    code, title = "lineage_run_taken", "Run id taken"


def report(database: Database, caller: Principal, body: Any) -> dict[str, Any]:
    """Takes an event of the API; the run as it is now.

    Raises NotPermitted, EventInvalid, RunTaken.
    """
    if not caller.has(*REPORTING_ROLES):
        raise NotPermitted(f"上报血缘需要其中一个角色：{'、'.join(REPORTING_ROLES)}", required=list(REPORTING_ROLES))
    event = read_event(body)
    message = LineageReported(run_id=event.run_id, event=body, org=caller.org)
    with database.transaction() as session:
        record = take(session, caller, event, message.org)
        detail = {"run": event.run_id, "state": event.event_type, "job": f"{event.job.namespace}/{event.job.name}"}
        record_audit(session, caller, action="lineage.report", object=event.run_id, detail=detail)
    return {
        "run_id": record.run_id,
        "node": nodes.run_node(record.run_id),
        "state": record.state,
        "state_at": rfc3339(record.state_at),
    }


def reported(session: Session, message: LineageReported) -> None:
    """Takes an event that a service of the platform has emitted. Raises EventInvalid: a poison message."""
    event = read_event(message.event)
    if event.run_id != message.run_id.lower():
        raise EventInvalid(f"run_id {message.run_id} 与事件的 runId {event.run_id} 不同", errors=[])
    take(session, PLATFORM, event, message.org or _owner_of_outputs(session, event))


def take(session: Session, caller: Principal, event: RunEvent, org: str) -> RunRecord:
    """Keeps what an event tells, in the caller's transaction. Raises EventInvalid, RunTaken."""
    contracts = _contracts(session, event)
    _check(session, caller, event, contracts)
    record = _run(session, caller, event, org)
    inputs = {_key(item): _node(item, org) for item in event.inputs}
    outputs = [(item, _node(item, org)) for item in event.outputs]
    run = nodes.run_node(record.run_id)
    store.add_edges(session, org, _edges(event, run, inputs.values(), (node for _, node in outputs)))
    store.add_columns(session, _columns(record.run_id, inputs, outputs))
    if caller.kind == "service":
        # What others report is kept, but holds nothing: they pin what they need.
        results = [item.name for item, _ in outputs if item.namespace == nodes.BRAIN]
        holding.hold(session, record, event, results)
    return record


def _contracts(session: Session, event: RunEvent) -> dict[str, DatasetContract | None]:
    names = {item.name for item in (*event.inputs, *event.outputs) if item.namespace == nodes.BRAIN}
    return {name: store.get_contract(session, name) for name in sorted(names)}


def _owner_of_outputs(session: Session, event: RunEvent) -> str:
    """The organisation whose data sets a run has made; empty when that is not one."""
    found = {contract.owner_org for contract in _contracts_of(session, event.outputs)}
    return found.pop() or "" if len(found) == 1 else ""


def _contracts_of(session: Session, items: Iterable[Dataset]) -> Iterator[DatasetContract]:
    for item in items:
        contract = store.get_contract(session, item.name) if item.namespace == nodes.BRAIN else None
        if contract is not None:
            yield contract


def _check(session: Session, caller: Principal, event: RunEvent, contracts: dict[str, DatasetContract | None]) -> None:
    errors = []
    if event.job.namespace.startswith(nodes.SERVICE_NAMESPACE) and caller.kind != "service":
        errors.append({"field": "job.namespace", "reason": f"{nodes.SERVICE_NAMESPACE}* 只供平台的服务使用"})
    ours = [
        (f"{side}.{place}", side, item)
        for side, found in (("inputs", event.inputs), ("outputs", event.outputs))
        for place, item in enumerate(found)
        if item.namespace == nodes.BRAIN
    ]
    known = store.versions_by_id(session, {(item.name, item.version_text) for _, _, item in ours if item.version})
    for where, side, item in ours:
        contract = contracts[item.name]
        if contract is None or not is_known_to(caller, contract):
            errors.append({"field": f"{where}.name", "reason": f"没有数据集 {item.name}"})
        elif side == "outputs" and not _may_make(caller, contract):
            errors.append({"field": f"{where}.name", "reason": f"{item.name} 是其他组织的数据集"})
        elif item.version is not None and (item.name, item.version_text) not in known:
            field = f"{where}.facets.version.datasetVersion"
            errors.append({"field": field, "reason": f"{item.name} 没有版本 {item.version_text}"})
    if errors:
        raise EventInvalid(f"事件与数据仓不符：{errors[0]['field']}（{errors[0]['reason']}）", errors=errors)


def _may_make(caller: Principal, contract: DatasetContract) -> bool:
    is_platform = caller.kind == "service" and not caller.acting
    return contract.owner_org is None or contract.owner_org == caller.org or caller.is_operator or is_platform


def _run(session: Session, caller: Principal, event: RunEvent, org: str) -> RunRecord:
    facets = {"run": event.run.facets, "job": event.job.facets}
    new = RunRecord(
        event.run_id,
        org,
        event.job.namespace,
        event.job.name,
        event.event_type,
        event.at,
        event.at,
        caller.subject,
        event.producer,
        facets,
    )
    store.add_run(session, new)
    old = store.get_run(session, event.run_id, locked=True)
    assert old is not None
    if (old.org, old.job_namespace, old.job_name) != (org, event.job.namespace, event.job.name):
        raise RunTaken(f"运行编号 {event.run_id} 已用于另一个作业，请使用新的 runId", run_id=event.run_id)
    first_at = min(old.first_at, event.at)
    is_newer = replaces(event.event_type, event.at, old.state, old.state_at)
    kept = replace(new, first_at=first_at) if is_newer else replace(old, first_at=first_at)
    if kept != old:
        store.save_run(session, kept)
    return kept


def _key(item: Dataset) -> tuple[str, str]:
    return item.namespace, item.name


def _node(item: Dataset, org: str) -> str:
    if item.namespace == nodes.BRAIN:
        return nodes.dataset_node(item.name, item.version_text)
    return nodes.external_node(org, item.namespace, item.name, item.version_text)


def _edges(event: RunEvent, run: str, inputs: Iterable[str], outputs: Iterable[str]) -> Iterator[Edge]:
    for node in inputs:
        yield Edge(node, run, "input")
    for node in outputs:
        yield Edge(run, node, "output")
    if event.job.namespace == nodes.COMPONENT_SERVICE:
        yield Edge(f"component:{event.job.name}", run, "uses")
    if event.job.namespace == nodes.INDICATOR_SERVICE:
        yield Edge(run, f"indicator:{event.job.name}", "computes")


def _columns(
    run_id: str, inputs: dict[tuple[str, str], str], outputs: list[tuple[Dataset, str]]
) -> Iterator[ColumnLink]:
    for item, output in outputs:
        fields = item.columns.fields if item.columns is not None else {}
        for column, made_of in fields.items():
            for source in made_of.input_fields:
                node = inputs.get((source.namespace, source.name))
                if node is not None:
                    how = next((part.subtype or part.type for part in source.transformations), "")[:20]
                    yield ColumnLink(run_id, output, column, node, source.field, how)
