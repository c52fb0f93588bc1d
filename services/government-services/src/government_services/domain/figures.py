"""Figures of the cockpit overview 产业概况, each with unit, change and its basis, date, source and records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from government_services.domain.definition import ChainDefinition
from government_services.domain.facts import ChainFacts
from government_services.domain.panorama import Panorama


@dataclass(frozen=True)
class Figure:
    """One figure of the first row; `value` None means unknown and `note` says why."""

    id: str
    title: str
    title_en: str
    value: float | None
    unit: str
    as_of: str | None
    source: str
    records_url: str
    change: float | None = None
    change_basis: str | None = None
    trend: tuple[tuple[str, float], ...] = ()
    note: str | None = None


@dataclass(frozen=True)
class Finding:
    """Something to act on: what it is, the number behind it, and where to look."""

    severity: str
    title: str
    detail: str
    action: str
    url: str
    sort: float = field(default=0.0)


def overview_figures(definition: ChainDefinition, facts: ChainFacts, panorama: Panorama, built_at: str) -> list[Figure]:
    """The first row of the overview for one chain, six figures at most."""
    chain_url = f"/panorama?chain={quote(definition.id)}"
    figures = [
        Figure(
            "enterprises", "链上企业", "Enterprises on the chain", panorama.counts["local_enterprises"], "家",
            built_at, definition.members.dataset, _records(definition.members.dataset),
        ),
        *(_measure_figure(definition, facts, name) for name in definition.measures),
        Figure(
            "missing_nodes", "缺失环节", "Missing nodes", panorama.counts["missing"], "个",
            built_at, definition.nodes.dataset, f"{chain_url}&level=missing",
        ),
        Figure(
            "weak_nodes", "薄弱环节", "Weak nodes", panorama.counts["weak"], "个",
            built_at, definition.nodes.dataset, f"{chain_url}&level=weak",
        ),
    ]  # fmt: skip
    return figures[:6]


def _measure_figure(definition: ChainDefinition, facts: ChainFacts, name: str) -> Figure:
    measure = definition.measures[name]
    members = {fact.enterprise for fact in facts.members}
    values = [fact for fact in facts.measures.get(name, ()) if fact.enterprise in members]
    series = facts.series.get(name)
    current = sum(fact.value or 0.0 for fact in values) if values else None
    previous = sum(fact.previous or 0.0 for fact in values)
    return Figure(
        id=name,
        title=measure.title or name,
        title_en=name.replace("_", " "),
        value=current,
        unit=measure.unit,
        as_of=series.as_of if series else None,
        source=measure.dataset,
        records_url=_records(measure.dataset),
        change=round(current / previous - 1, 4) if current is not None and previous else None,
        change_basis=f"同比，近 {measure.window_months} 个月合计" if previous else None,
        trend=series.totals[-12:] if series else (),
        note=None if values else f"{measure.dataset} 还没有数据",
    )


def findings(definition: ChainDefinition, panorama: Panorama, limit: int = 5) -> list[Finding]:
    """What to act on, the widest effect first: missing and weak nodes by the number of nodes that depend on them."""
    found = []
    for node in panorama.nodes:
        if node.level not in ("missing", "weak") or not (node.upstream or node.downstream):
            continue
        word = "缺失" if node.level == "missing" else "薄弱"
        found.append(
            Finding(
                severity="bad" if node.level == "missing" else "warn",
                title=f"「{node.name}」环节{word}",
                detail=f"{node.level_reason}；影响下游 {node.downstream} 个环节，本地企业 {node.local_enterprises} 家",
                action="查看",
                url=f"/panorama/{quote(definition.id)}/nodes/{quote(node.id)}",
                sort=(1000 if node.level == "missing" else 0) + node.downstream + node.key_score,
            )
        )
    return sorted(found, key=lambda item: -item.sort)[:limit]


def region_counts(facts: ChainFacts) -> dict[str, int]:
    """Enterprises on the chain by region code as the data give it."""
    members = {fact.enterprise for fact in facts.members}
    counts: dict[str, int] = {}
    for fact in facts.enterprises:
        if fact.id in members and fact.region:
            counts[fact.region] = counts.get(fact.region, 0) + 1
    return dict(sorted(counts.items()))


def attribute_counts(facts: ChainFacts) -> dict[str, dict[str, int]]:
    """Enterprises on the chain by the value of each chosen attribute."""
    members = {fact.enterprise for fact in facts.members}
    counts: dict[str, dict[str, int]] = {}
    for fact in facts.enterprises:
        if fact.id not in members:
            continue
        for name, value in fact.attributes.items():
            if value is not None:
                values = counts.setdefault(name, {})
                values[str(value)] = values.get(str(value), 0) + 1
    return counts


def _records(dataset: str) -> str:
    return f"/datasets/{dataset}/rows"


def figure_dict(figure: Figure) -> dict[str, Any]:
    """JSON form of a figure."""
    return {name: getattr(figure, name) for name in figure.__dataclass_fields__}
