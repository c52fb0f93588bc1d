"""Graph figures of a chain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def betweenness(nodes: Iterable[str], links: Iterable[tuple[str, str, float]]) -> dict[str, float]:
    """Betweenness centrality of each node on the directed graph, normalised to 0..1 (Freeman 1977, Brandes 2001).

    Every link counts as one step, whatever its weight.
    """
    import networkx  # costs 0.2 s to import and is needed only when links change

    graph: Any = networkx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from((source, target) for source, target, _ in links if source != target)
    scores: dict[str, float] = networkx.betweenness_centrality(graph)
    return scores


def neighbourhood(node: str, links: Iterable[tuple[str, str, float]], depth: int) -> set[str]:
    """Nodes within `depth` steps up or down of a node, the node included."""
    around: dict[str, set[str]] = {}
    for source, target, _ in links:
        around.setdefault(source, set()).add(target)
        around.setdefault(target, set()).add(source)
    reached, edge = {node}, {node}
    for _ in range(depth):
        edge = {other for item in edge for other in around.get(item, ())} - reached
        reached |= edge
    return reached
