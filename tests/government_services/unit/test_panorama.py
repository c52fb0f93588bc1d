"""The panorama model against hand calculations and brute force."""

from __future__ import annotations

import itertools

import pytest
from government_services.domain.definition import ChainDefinition
from government_services.domain.facts import (
    ChainFacts,
    EnterpriseFact,
    LinkFact,
    MeasureFact,
    MeasureSeries,
    MemberFact,
    NodeFact,
)
from government_services.domain.graph import betweenness, neighbourhood
from government_services.domain.panorama import build_panorama, herfindahl, location_quotient, node_level, resolve_links
from hypothesis import given
from hypothesis import strategies as st

BODY = {
    "id": "c",
    "name": "链",
    "region": "3703",
    "compare_region": "37",
    "nodes": {"dataset": "industry.chain_node", "id": "node_id", "name": "name", "stage": "stage"},
    "links": {"dataset": "industry.chain_edge", "from": "a", "to": "b"},
    "enterprises": {"dataset": "public.enterprise", "id": "uscc", "name": "name", "region": "region"},
    "members": {"dataset": "industry.product", "enterprise": "uscc", "node": "node_id"},
    "measures": {
        "revenue": {"dataset": "enterprise.enterprise_monthly", "enterprise": "uscc", "value": "r", "month": "m"}
    },
}
DEFINITION = ChainDefinition.model_validate(BODY)


def facts(**changes: object) -> ChainFacts:
    """Two nodes, three firms at home, one elsewhere in the province."""
    base = {
        "nodes": (
            NodeFact("n1", "钢", "材料", 1),
            NodeFact("n2", "轴承", "零部件", 2),
            NodeFact("n3", "主轴", "零部件", 2),
        ),
        "links": (LinkFact("n1", "n2", 2.0), LinkFact("n2", "n3", 1.0), LinkFact("n1", "ghost", 1.0)),
        "enterprises": (
            EnterpriseFact("A", "甲", "370302"),
            EnterpriseFact("B", "乙", "370303"),
            EnterpriseFact("C", "丙", "370304"),
            EnterpriseFact("D", "丁", "370102"),
        ),
        "members": (
            MemberFact("A", "n1"),
            MemberFact("B", "n1"),
            MemberFact("C", "n1"),
            MemberFact("C", "n2"),
            MemberFact("D", "n2"),
            MemberFact("D", "gone"),
        ),
        "measures": {
            "revenue": (
                MeasureFact("A", 60.0, 50.0),
                MeasureFact("B", 30.0, 30.0),
                MeasureFact("C", 20.0, 10.0),
                MeasureFact("D", 80.0, None),
            )
        },
        "series": {"revenue": MeasureSeries("2026-10", (("2026-10", 190.0),))},
    }
    return ChainFacts(**(base | changes))  # type: ignore[arg-type]


def test_figures_of_a_node_equal_a_hand_calculation() -> None:
    """n1 at home: A 60, B 30, C 20/2 = 10, so 100 of 110; in the province 100 of 190."""
    panorama = build_panorama(DEFINITION, facts(), {"n2": 0.5})

    n1 = next(node for node in panorama.nodes if node.id == "n1")

    assert (n1.local_enterprises, n1.measure) == (3, 100.0)
    assert n1.measure_change == pytest.approx(100 / 85 - 1, abs=1e-4)
    assert n1.hhi == pytest.approx(60**2 + 30**2 + 10**2)
    # D counts 40 at n2 and 40 at `gone`; members at unknown nodes still belong to the enterprise's total.
    assert n1.location_quotient == pytest.approx((100 / 110) / (100 / 190), abs=1e-3)
    assert panorama.unknown_member_nodes == ("gone",)
    assert panorama.unresolved_links == (("n1", "ghost"),)


def test_levels_follow_the_published_rules() -> None:
    """Every branch of the rule, from none to many enterprises."""
    assert node_level(0, None)[0] == "missing"
    assert node_level(2, 3.0)[0] == "weak"
    assert node_level(9, 0.5)[0] == "weak"
    assert node_level(5, 1.2)[0] == "strong"
    assert node_level(5, None)[0] == "strong"
    assert node_level(4, 1.5)[0] == "middle"
    assert node_level(9, 1.0)[0] == "middle"


def test_a_node_without_local_enterprises_is_missing() -> None:
    """n3 has nobody; its measure is unknown, not zero."""
    panorama = build_panorama(DEFINITION, facts(), {})

    n3 = next(node for node in panorama.nodes if node.id == "n3")

    assert (n3.level, n3.measure, n3.hhi) == ("missing", None, None)
    assert panorama.counts["missing"] == 1


def test_links_by_name_go_to_the_first_node_of_that_name() -> None:
    """Two nodes share a name: the smaller id wins, always."""
    by_name = ChainDefinition.model_validate(BODY | {"links": BODY["links"] | {"by": "name"}})
    shared = facts(
        nodes=(NodeFact("2", "钢"), NodeFact("1", "钢"), NodeFact("3", "轴承")), links=(LinkFact("钢", "轴承", 1.0),)
    )

    links, unresolved = resolve_links(by_name, shared)

    assert (links, unresolved) == ((("1", "3", 1.0),), ())


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=40))
def test_hhi_lies_between_equal_shares_and_monopoly(weights: list[float]) -> None:
    """10,000 / n <= HHI <= 10,000."""
    value = herfindahl(weights)

    assert value is not None
    assert 10_000 / len(weights) <= value * (1 + 1e-9)
    assert value <= 10_000 * (1 + 1e-9)


def test_location_quotient_needs_every_total() -> None:
    """Nothing to divide by gives no quotient."""
    assert location_quotient(1, 0, 1, 1) is None
    assert location_quotient(0, 10, 0, 100) is None
    assert location_quotient(2, 10, 10, 100) == pytest.approx(2.0)


@given(st.sets(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")).filter(lambda pair: pair[0] != pair[1])))
def test_betweenness_equals_counting_all_shortest_paths(edges: set[tuple[str, str]]) -> None:
    """Brute force over all pairs of six nodes."""
    nodes = "abcdef"
    scores = betweenness(nodes, [(source, target, 1.0) for source, target in edges])

    for node in nodes:
        expected = 0.0
        for source, target in itertools.permutations(set(nodes) - {node}, 2):
            paths = _shortest_paths(edges, source, target)
            if paths:
                expected += sum(node in path for path in paths) / len(paths)
        assert scores[node] == pytest.approx(expected / 20)


def _shortest_paths(edges: set[tuple[str, str]], source: str, target: str) -> list[tuple[str, ...]]:
    paths: list[tuple[str, ...]] = [(source,)]
    while paths:
        found = [path for path in paths if path[-1] == target]
        if found:
            return found
        paths = [(*path, b) for path in paths for a, b in edges if a == path[-1] and b not in path]
    return []


def test_neighbourhood_counts_steps_in_both_directions() -> None:
    """One step from b reaches its supplier and its customer."""
    links = [("a", "b", 1.0), ("b", "c", 1.0), ("c", "d", 1.0)]

    assert neighbourhood("b", links, 1) == {"a", "b", "c"}
    assert neighbourhood("b", links, 2) == {"a", "b", "c", "d"}


def test_a_definition_tells_which_parts_a_commit_touches() -> None:
    """A commit to the members' data set touches every measure too: totals count members only."""
    assert DEFINITION.parts_touched_by("industry.product") == {"members", "measure:revenue"}
    assert DEFINITION.parts_touched_by("industry.chain_node") == {"nodes"}
    assert DEFINITION.parts_touched_by("public.park") == set()
