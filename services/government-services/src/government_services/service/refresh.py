"""Keeping the read model: a commit marks parts, a worker reads them anew and computes the model.

The mark is written in the transaction that consumes the event, and is removed in the transaction that stores the facts
read after it, so a crash at any point leads to one more reading, never to a lost one.
"""

from __future__ import annotations

import threading
from typing import Any

import structlog
from brain_contracts.events import PanoramaBuilt, WarehouseCommitted
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.events import emit
from brain_kit.problems import NotFound, Problem
from sqlalchemy.orm import Session

from government_services import store
from government_services.clients import Warehouse
from government_services.domain import reading
from government_services.domain.definition import ChainDefinition, Enterprises, Links, Measure, Members, Nodes
from government_services.domain.facts import ChainFacts, MeasureSeries
from government_services.domain.graph import betweenness
from government_services.domain.panorama import Panorama, build_panorama, resolve_links

log = structlog.get_logger()


def on_commit(session: Session, commit: WarehouseCommitted, event_id: str) -> None:
    """Marks the parts of every chain that read the committed data set."""
    now = utc_now()
    for definition in store.definitions(session):
        parts = definition.parts_touched_by(commit.dataset)
        if parts:
            store.mark_dirty(session, definition.id, parts, event_id, now)


def refresh_waiting(database: Database, warehouse: Warehouse) -> int:
    """Reads every marked part anew and rebuilds the models concerned; returns the number of chains.

    A chain that cannot be read does not keep the others from being read; what failed first is raised at the end.
    """
    with database.reading() as session:
        waiting = store.dirty_parts(session)
        known = {definition.id: definition for definition in store.definitions(session)}
    failed: Exception | None = None
    for chain, parts in waiting.items():
        try:
            if chain in known:
                _refresh(database, warehouse, known[chain], parts)
        except Exception as error:  # noqa: BLE001 - raised again below
            log.warning("panorama_not_refreshed", chain=chain, reason=str(error))
            failed = failed or error
    if failed is not None:
        raise failed
    return len(waiting)


def rebuild(database: Database, warehouse: Warehouse, definition: ChainDefinition) -> dict[str, Any]:
    """Computes the model from the warehouse alone, compares it with the kept one, and stores it.

    Answers {same, digest, previous_digest, version}: `same` says whether the kept model was right. Raises NotFound
    when the chain was removed meanwhile.
    """
    parts = {part: read_part(warehouse, definition, part) for part in definition.parts()}
    with database.transaction() as session:
        row = store.chain_row(session, definition.id)
        if row is None:
            raise NotFound(f"产业链 {definition.id} 在重建时被移除了")
        previous = row.digest
        for part, facts in parts.items():
            store.save_part(session, definition.id, part, facts, None, utc_now())
        panorama = compute(definition, store.load_facts(session, definition.id))
        version = _store(session, panorama)
    return {
        "same": panorama.digest() == previous,
        "digest": panorama.digest(),
        "previous_digest": previous,
        "version": version,
    }


def run(database: Database, warehouse: Warehouse, interval_s: float, stop: threading.Event) -> None:
    """Worker loop: refreshes what waits until stopped; a failure is logged and tried again."""
    while not stop.is_set():
        try:
            refreshed = refresh_waiting(database, warehouse)
        except Problem as problem:
            log.warning("panorama_refresh_failed", code=problem.code, detail=str(problem))
            stop.wait(2.0)
            continue
        if not refreshed:
            stop.wait(interval_s)


def compute(definition: ChainDefinition, facts: ChainFacts) -> Panorama:
    """The model of a chain from its facts."""
    links, _ = resolve_links(definition, facts)
    return build_panorama(definition, facts, betweenness((node.id for node in facts.nodes), links))


def read_part(warehouse: Warehouse, definition: ChainDefinition, part: str) -> Any:
    """Facts of one part, read from the warehouse as it is now."""
    source = definition.parts()[part]
    key = warehouse.key_of(source.dataset)
    if isinstance(source, Nodes):
        return reading.node_facts(warehouse.rows(reading.nodes_sql(source, key)))
    if isinstance(source, Links):
        return reading.link_facts(warehouse.rows(reading.links_sql(source, key)))
    if isinstance(source, Enterprises):
        return reading.enterprise_facts(warehouse.rows(reading.enterprises_sql(source, key)))
    if isinstance(source, Members):
        return reading.member_facts(warehouse.rows(reading.members_sql(source, key)))
    if isinstance(source, Measure):
        return _read_measure(warehouse, definition, source, key)
    raise AssertionError(f"unknown part {part}")


def _read_measure(warehouse: Warehouse, definition: ChainDefinition, source: Measure, key: list[str]) -> Any:
    last = warehouse.rows(reading.last_month_sql(source))[0]["month"]
    if last is None:
        return (), MeasureSeries()
    member_key = warehouse.key_of(definition.members.dataset)
    sums = warehouse.rows(reading.measure_sql(source, key, last))
    totals = warehouse.rows(reading.series_sql(source, key, definition.members, member_key, last))
    return reading.measure_facts(sums), reading.measure_series(last, totals)


def _refresh(database: Database, warehouse: Warehouse, definition: ChainDefinition, parts: dict[str, str]) -> None:
    known = definition.parts()
    read = {part: read_part(warehouse, definition, part) for part in parts if part in known}
    with database.transaction() as session:
        row = store.chain_row(session, definition.id)
        if row is None or ChainDefinition.model_validate(row.definition) != definition:
            return  # removed or replaced meanwhile; the new definition has marks of its own
        for part, facts in read.items():
            store.save_part(session, definition.id, part, facts, None, utc_now())
        store.clear_dirty(session, definition.id, parts)
        _store(session, compute(definition, store.load_facts(session, definition.id)))
    log.info("panorama_refreshed", chain=definition.id, parts=sorted(parts))


def _store(session: Session, panorama: Panorama) -> int | None:
    version = store.save_panorama(session, panorama, utc_now())
    if version is not None:
        emit(session, PanoramaBuilt(chain=panorama.chain, version=version))
    return version
