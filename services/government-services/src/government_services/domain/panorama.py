"""The panorama 产业全景图谱 of a chain, computed from facts alone.

Location quotient: LQ = (x_rj / x_r) / (X_j / X), Hoover 1936; x is the first measure (revenue) or, without a measure,
the number of enterprises; r is the home region, capitals are the region compared with.
HHI: sum of squared market shares in percent over the enterprises of a node, 0 to 10,000 (Herfindahl and Hirschman).
Key nodes: betweenness centrality on the directed graph (Freeman 1977, Brandes 2001).
Which figures make a node strong, middle, weak or missing is this platform's choice; `LEVEL_RULES` says it in words.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from government_services.domain.definition import ChainDefinition
from government_services.domain.facts import ChainFacts, EnterpriseFact, NodeFact

STRONG_QUOTIENT = 1.2
WEAK_QUOTIENT = 0.8
FEW_ENTERPRISES = 3
STRONG_ENTERPRISES = 5
KEY_NODE_SHARE = 0.1
LEVEL_RULES = {
    "missing": "本地没有企业",
    "weak": f"本地企业少于 {FEW_ENTERPRISES} 家，或区位商低于 {WEAK_QUOTIENT}",
    "strong": f"本地企业不少于 {STRONG_ENTERPRISES} 家，且区位商不低于 {STRONG_QUOTIENT}（无区位商时只看企业数）",
    "middle": "其余",
}


@dataclass(frozen=True)
class NodeFigures:
    """A node with its figures; None means that the data do not say."""

    id: str
    name: str
    stage: str | None
    stage_order: int | None
    parent: str | None
    level: str
    level_reason: str
    enterprises: int
    local_enterprises: int
    measure: float | None
    measure_change: float | None
    location_quotient: float | None
    hhi: float | None
    key_score: float
    is_key: bool
    upstream: int
    downstream: int


@dataclass(frozen=True)
class Panorama:
    """The whole model of one chain, ready to be shown."""

    chain: str
    nodes: tuple[NodeFigures, ...]
    links: tuple[tuple[str, str, float], ...]
    unresolved_links: tuple[tuple[str, str], ...]
    unknown_member_nodes: tuple[str, ...]
    counts: dict[str, int]
    measure: str | None
    measure_as_of: str | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form; equal models give equal dictionaries."""
        body = asdict(self)
        body["links"] = [{"from": source, "to": target, "weight": weight} for source, target, weight in self.links]
        body["unresolved_links"] = [{"from": source, "to": target} for source, target in self.unresolved_links]
        plain: dict[str, Any] = json.loads(json.dumps(body))
        return plain

    def digest(self) -> str:
        """SHA-256 of the canonical JSON: two models are equal when their digests are."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()


def build_panorama(definition: ChainDefinition, facts: ChainFacts, key_scores: dict[str, float]) -> Panorama:
    """The panorama of a chain.

    key_scores: betweenness of each node id, 0 to 1, as `graph.betweenness` gives it for the resolved links.
    """
    links, unresolved = resolve_links(definition, facts)
    weights = _Weights(definition, facts)
    neighbours = _degrees(links)
    threshold = _key_threshold(key_scores)
    nodes = tuple(
        _figures(node, weights, neighbours[node.id], key_scores.get(node.id, 0.0), threshold)
        for node in sorted(facts.nodes, key=lambda node: (node.stage_order or 0, node.id))
    )
    known = {node.id for node in facts.nodes}
    return Panorama(
        chain=definition.id,
        nodes=nodes,
        links=links,
        unresolved_links=unresolved,
        unknown_member_nodes=tuple(sorted({member.node for member in facts.members} - known)),
        counts=_counts(nodes, links, weights),
        measure=weights.measure_name,
        measure_as_of=weights.as_of,
    )


def resolve_links(
    definition: ChainDefinition, facts: ChainFacts
) -> tuple[tuple[tuple[str, str, float], ...], tuple[tuple[str, str], ...]]:
    """Links between known node ids, and the pairs that name an unknown node.

    Links by name that fit several nodes go to the first by id.
    """
    by_name = definition.links is not None and definition.links.by == "name"
    ids: dict[str, str] = {}
    for node in sorted(facts.nodes, key=lambda node: node.id, reverse=True):
        ids[node.name if by_name else node.id] = node.id
    resolved, unresolved = [], []
    for link in facts.links:
        source, target = ids.get(link.source), ids.get(link.target)
        if source is None or target is None:
            unresolved.append((link.source, link.target))
        else:
            resolved.append((source, target, link.weight))
    return tuple(sorted(resolved)), tuple(sorted(unresolved))


class _Weights:
    """Enterprises and measures by node and region."""

    def __init__(self, definition: ChainDefinition, facts: ChainFacts) -> None:
        self.enterprises: dict[str, EnterpriseFact] = {fact.id: fact for fact in facts.enterprises}
        self.home = definition.region
        self.compare = definition.compare_region
        self.by_node: dict[str, list[str]] = defaultdict(list)
        nodes_of: dict[str, int] = defaultdict(int)
        for member in facts.members:
            if member.enterprise in self.enterprises:
                self.by_node[member.node].append(member.enterprise)
                nodes_of[member.enterprise] += 1
        self.measure_name = next(iter(definition.measures), None)
        values = facts.measures.get(self.measure_name, ()) if self.measure_name else ()
        self.has_measure = bool(values)
        # An enterprise that works at several nodes counts with an equal part at each.
        self.value = {fact.enterprise: (fact.value or 0.0) / max(nodes_of[fact.enterprise], 1) for fact in values}
        self.previous = {fact.enterprise: (fact.previous or 0.0) / max(nodes_of[fact.enterprise], 1) for fact in values}
        series = facts.series.get(self.measure_name) if self.measure_name else None
        self.as_of = series.as_of if series else None
        self.home_total = self._total(self.home)
        self.compare_total = self._total(self.compare)

    def in_region(self, enterprise: str, prefix: str | None) -> bool:
        region = self.enterprises[enterprise].region
        return prefix is None or (region is not None and region.startswith(prefix))

    def weight(self, enterprise: str) -> float:
        return self.value.get(enterprise, 0.0) if self.has_measure else 1.0

    def node_total(self, node: str, prefix: str | None) -> float:
        return sum(self.weight(item) for item in self.by_node.get(node, ()) if self.in_region(item, prefix))

    def _total(self, prefix: str | None) -> float:
        return sum(self.node_total(node, prefix) for node in self.by_node)


def _figures(
    node: NodeFact, weights: _Weights, degrees: tuple[int, int], key_score: float, key_threshold: float
) -> NodeFigures:
    members = weights.by_node.get(node.id, [])
    local = [item for item in members if weights.in_region(item, weights.home)]
    quotient = location_quotient(
        weights.node_total(node.id, weights.home),
        weights.home_total,
        weights.node_total(node.id, weights.compare),
        weights.compare_total,
    )
    level, reason = node_level(len(local), quotient if weights.home else None)
    value = sum(weights.value.get(item, 0.0) for item in local) if weights.has_measure and local else None
    before = sum(weights.previous.get(item, 0.0) for item in local) if weights.has_measure else 0.0
    return NodeFigures(
        id=node.id,
        name=node.name,
        stage=node.stage,
        stage_order=node.stage_order,
        parent=node.parent,
        level=level,
        level_reason=reason,
        enterprises=len(members),
        local_enterprises=len(local),
        measure=_rounded(value),
        measure_change=_rounded(value / before - 1, 4) if value is not None and before else None,
        location_quotient=_rounded(quotient, 4) if weights.home else None,
        hhi=_rounded(herfindahl([weights.weight(item) for item in local]), 1),
        key_score=round(key_score, 6),
        is_key=key_score > 0 and key_score >= key_threshold,
        upstream=degrees[0],
        downstream=degrees[1],
    )


def location_quotient(node_local: float, all_local: float, node_wide: float, all_wide: float) -> float | None:
    """LQ = (node_local / all_local) / (node_wide / all_wide); None when a total is zero."""
    if not all_local or not node_wide or not all_wide:
        return None
    return (node_local / all_local) / (node_wide / all_wide)


def herfindahl(weights: list[float]) -> float | None:
    """Sum of squared shares in percent, 0 to 10,000; None without any weight."""
    total = sum(weights)
    if not total:
        return None
    return sum((100.0 * weight / total) ** 2 for weight in weights)


def node_level(enterprises: int, quotient: float | None) -> tuple[str, str]:
    """Level of a node and the rule that gave it, by `LEVEL_RULES`."""
    if enterprises == 0:
        level = "missing"
    elif enterprises < FEW_ENTERPRISES or (quotient is not None and quotient < WEAK_QUOTIENT):
        level = "weak"
    elif enterprises >= STRONG_ENTERPRISES and (quotient is None or quotient >= STRONG_QUOTIENT):
        level = "strong"
    else:
        level = "middle"
    return level, LEVEL_RULES[level]


def _counts(
    nodes: tuple[NodeFigures, ...], links: tuple[tuple[str, str, float], ...], weights: _Weights
) -> dict[str, int]:
    levels = {level: sum(node.level == level for node in nodes) for level in LEVEL_RULES}
    on_chain = {item for node in nodes for item in weights.by_node.get(node.id, ())}
    local = sum(weights.in_region(item, weights.home) for item in on_chain)
    return levels | {
        "nodes": len(nodes),
        "links": len(links),
        "enterprises": len(on_chain),
        "local_enterprises": local,
        "key_nodes": sum(node.is_key for node in nodes),
    }


def _degrees(links: tuple[tuple[str, str, float], ...]) -> dict[str, tuple[int, int]]:
    upstream: dict[str, int] = defaultdict(int)
    downstream: dict[str, int] = defaultdict(int)
    for source, target, _ in links:
        downstream[source] += 1
        upstream[target] += 1
    degrees: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for node in upstream.keys() | downstream.keys():
        degrees[node] = (upstream[node], downstream[node])
    return degrees


def _key_threshold(scores: dict[str, float]) -> float:
    positive = sorted((score for score in scores.values() if score > 0), reverse=True)
    if not positive:
        return 0.0
    count = max(1, round(len(scores) * KEY_NODE_SHARE))
    return positive[min(count, len(positive)) - 1]


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)
