"""Facts of a chain's parts as JSON documents."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from government_services.domain.facts import (
    ChainFacts,
    EnterpriseFact,
    LinkFact,
    MeasureFact,
    MeasureSeries,
    MemberFact,
    NodeFact,
)
from government_services.store.tables import part_facts

MEASURE = "measure:"


def save_part(session: Session, chain: str, part: str, facts: Any, snapshot: str | None, now: datetime) -> None:
    """Replaces the facts of a part: a tuple of facts, for a measure (facts per enterprise, series)."""
    body: dict[str, Any]
    if part.startswith(MEASURE):
        body = {"rows": [list(asdict(fact).values()) for fact in facts[0]], "series": asdict(facts[1])}
    else:
        body = {"rows": [list(asdict(fact).values()) for fact in facts]}
    session.execute(sa.delete(part_facts).where((part_facts.c.chain == chain) & (part_facts.c.part == part)))
    session.execute(sa.insert(part_facts).values(chain=chain, part=part, facts=body, snapshot=snapshot, read_at=now))


def load_facts(session: Session, chain: str) -> ChainFacts:
    """All facts of a chain; parts not yet read are empty."""
    query = sa.select(part_facts.c.part, part_facts.c.facts).where(part_facts.c.chain == chain)
    bodies = {row.part: row.facts for row in session.execute(query)}
    measures = {name[len(MEASURE) :]: body for name, body in bodies.items() if name.startswith(MEASURE)}
    return ChainFacts(
        nodes=tuple(NodeFact(*row) for row in _rows(bodies, "nodes")),
        links=tuple(LinkFact(*row) for row in _rows(bodies, "links")),
        enterprises=tuple(EnterpriseFact(*row) for row in _rows(bodies, "enterprises")),
        members=tuple(MemberFact(*row) for row in _rows(bodies, "members")),
        measures={name: tuple(MeasureFact(*row) for row in body["rows"]) for name, body in measures.items()},
        series={name: _series(body["series"]) for name, body in measures.items()},
    )


def _rows(bodies: dict[str, Any], part: str) -> list[list[Any]]:
    rows: list[list[Any]] = bodies[part]["rows"] if part in bodies else []
    return rows


def _series(body: dict[str, Any]) -> MeasureSeries:
    return MeasureSeries(body["as_of"], tuple((month, total) for month, total in body["totals"]))
