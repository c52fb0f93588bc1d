"""Following a column through random runs against brute force over (data set, column) pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from data_hub.domain.lineage.nodes import Edge
from data_hub.domain.lineage.walk import State, Step, joined, walk
from hypothesis import given
from hypothesis import strategies as st

PAIRS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20)


def neighbours(pairs: list[tuple[int, int]], asked: list[State]) -> object:
    """Steps along the pairs; notes which states were asked."""

    def steps(frontier: Sequence[State]) -> Iterator[Step]:
        asked.extend(frontier)
        for state in frontier:
            for source, target in pairs:
                if state.node == str(source):
                    yield Step(Edge(str(source), str(target), "input"), state, State(str(target)))

    return steps


@given(pairs=PAIRS, start=st.integers(0, 7), depth=st.integers(1, 9))
def test_distances_are_the_shortest_and_each_state_is_asked_once(
    pairs: list[tuple[int, int]], start: int, depth: int
) -> None:
    """By relaxing every edge until nothing changes (Bellman-Ford)."""
    asked: list[State] = []
    found = walk([State(str(start))], neighbours(pairs, asked), depth, 100)  # type: ignore[arg-type]
    best = {start: 0}
    for _ in range(8):
        for source, target in pairs:
            if source in best and best[source] + 1 < best.get(target, 99):
                best[target] = best[source] + 1

    assert found.distances == {str(node): far for node, far in best.items() if far <= depth}
    assert list(found.distances.values()) == sorted(found.distances.values())
    assert len(asked) == len(set(asked))


@given(pairs=PAIRS, start=st.integers(0, 7), most=st.integers(1, 4))
def test_a_walk_that_is_cut_says_so_and_keeps_its_bound(pairs: list[tuple[int, int]], start: int, most: int) -> None:
    """Never more nodes than asked for; cut exactly when there would have been more."""
    full = walk([State(str(start))], neighbours(pairs, []), 9, 100)  # type: ignore[arg-type]
    cut = walk([State(str(start))], neighbours(pairs, []), 9, most)  # type: ignore[arg-type]

    assert len(cut.distances) == min(most, len(full.distances))
    assert cut.is_cut == (len(full.distances) > most)
    ends = {end for edge in cut.edges for end in (edge.source, edge.target)}
    assert ends <= cut.distances.keys()


def test_two_walks_joined_keep_the_nearer_distance() -> None:
    """What lies both above and below is listed once."""
    up = walk([State("a")], neighbours([(0, 1)], []), 1, 10)  # type: ignore[arg-type]
    down = walk([State("a")], neighbours([(0, 1)], []), 1, 10)  # type: ignore[arg-type]
    up.distances |= {"b": 3, "c": 1}
    down.distances |= {"b": 2}

    assert joined([up, down]).distances == {"a": 0, "c": 1, "b": 2}
