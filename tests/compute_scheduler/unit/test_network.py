"""Links with capacity over time, reservations, paths, and where data may go."""

from __future__ import annotations

from itertools import pairwise, permutations

from compute_scheduler.domain.data import Atlas, Need, permits, price_of
from compute_scheduler.domain.network import MOST_LINKS, Ends, Link, Network, Span, ends_of
from compute_scheduler.domain.snapshot import Stage
from hypothesis import given, settings
from hypothesis import strategies as st

CENTRES = ("a", "b", "c", "d")
ALL_ENDS = [(one, other) for number, one in enumerate(CENTRES) for other in CENTRES[number + 1 :]]
HORIZON = 400
some = settings(max_examples=150, deadline=None)


@st.composite
def spans(draw: st.DrawFn, most: int) -> Span:
    """A rate from a millisecond to a later one."""
    start = draw(st.integers(0, 30))
    return Span(start, start + draw(st.integers(1, 15)), draw(st.integers(0, most)))


@st.composite
def links(draw: st.DrawFn) -> list[Link]:
    """Some of the links between four centres."""
    chosen = draw(st.lists(st.sampled_from(ALL_ENDS), unique=True, min_size=1))
    windows = st.lists(spans(5), max_size=2).map(tuple)
    return [Link(ends, draw(st.integers(1, 6)), draw(windows)) for ends in chosen]


Transfers = list[tuple[int, str, str, int]]
transfers = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from(CENTRES), st.sampled_from(CENTRES), st.integers(0, 20)), max_size=5
)


class Plain:
    """Millisecond by millisecond: what each link carries and what is taken of it."""

    def __init__(self, known: list[Link]) -> None:
        self.free = {
            link.ends: [
                min([link.rate, *(w.rate for w in link.windows if w.start_ms <= ms < w.end_ms)])
                for ms in range(HORIZON)
            ]
            for link in known
        }

    def finish(self, size: int, path: tuple[Ends, ...], at: int) -> int:
        """The millisecond by which so many bytes have passed."""
        left = size
        for ms in range(at, HORIZON):
            if left <= 0:
                return ms
            left -= min(self.free[ends][ms] for ends in path)
        raise AssertionError("the horizon is too near")

    def paths(self, source: str, target: str) -> list[tuple[Ends, ...]]:
        """Every order of centres between two that links join."""
        between = [name for name in CENTRES if name not in (source, target)]
        found = []
        for number in range(MOST_LINKS):
            for middle in permutations(between, number):
                path = tuple(ends_of(one, other) for one, other in pairwise((source, *middle, target)))
                if all(ends in self.free for ends in path):
                    found.append(path)
        return found

    def take(self, path: tuple[Ends, ...], taken: tuple[Span, ...]) -> None:
        """Takes each millisecond of a reservation."""
        for ends in path:
            for span in taken:
                for ms in range(span.start_ms, span.end_ms):
                    self.free[ends][ms] -= span.rate
                    assert self.free[ends][ms] >= 0, "over capacity"


@some
@given(links(), transfers)
def test_a_transfer_ends_as_early_as_any_path_allows_and_never_goes_over_capacity(
    known: list[Link], asked: Transfers
) -> None:
    """Against a count of every millisecond over every path; what is reserved is taken there too."""
    network, plain = Network(known), Plain(known)
    for size, source, target, at in asked:
        found = network.earliest(size, [source], target, at)
        paths = plain.paths(source, target)
        if source == target or not size:
            assert found is not None
            assert (found.finish_ms, found.path) == (at, ())
            continue
        if not paths:
            assert found is None
            continue
        assert found is not None
        best = min((plain.finish(size, path, at), len(path), path) for path in paths)
        assert (found.finish_ms, len(found.path), found.path) == best
        carried = sum(span.rate * (span.end_ms - span.start_ms) for span in found.spans)
        assert size <= carried < size + found.spans[-1].rate
        network.reserve(found)
        plain.take(found.path, found.spans)


@some
@given(links(), transfers)
def test_of_several_sources_the_quickest_is_taken(known: list[Link], asked: Transfers) -> None:
    """It ends when the best of the single sources ends."""
    network = Network(known)
    for size, source, target, at in asked:
        each = [found for name in CENTRES[:3] if (found := network.earliest(size, [name], target, at))]
        together = network.earliest(size, CENTRES[:3], target, at)
        assert (together and together.finish_ms) == min((found.finish_ms for found in each), default=None)
        if together is not None and source == "a":
            network.reserve(together)


def test_maintenance_and_reservations_by_hand() -> None:
    """10 bytes a ms; 4 from 5 to 10. 100 bytes: 50 by 5, 20 by 10, the last 30 by 13. The next one waits until then."""
    network = Network([Link(("a", "b"), 10, (Span(5, 10, 4),))])
    first = network.earliest(100, ["a"], "b", 0)
    assert first is not None
    assert first.spans == (Span(0, 5, 10), Span(5, 10, 4), Span(10, 13, 10))
    network.reserve(first)
    assert [network.free(("a", "b"), ms) for ms in (0, 7, 12, 13)] == [0, 0, 0, 10]
    second = network.earliest(15, ["b"], "a", 2)
    assert second is not None
    assert second.spans == (Span(13, 15, 10),)


def test_a_detour_is_taken_when_it_ends_first() -> None:
    """a-b carries 1, a-c-b 5: 100 bytes take 20 ms over c, 3 bytes 1 ms; a byte goes straight."""
    network = Network([Link(("a", "b"), 1), Link(("a", "c"), 5), Link(("b", "c"), 8)])
    far, near = network.earliest(100, ["a"], "b", 0), network.earliest(1, ["a"], "b", 0)
    assert far is not None
    assert near is not None
    assert (far.path, far.finish_ms) == ((("a", "c"), ("b", "c")), 20)
    assert (near.path, near.finish_ms) == ((("a", "b"),), 1)


def test_centres_without_a_path_have_the_assumed_rate_or_none() -> None:
    """With 4 bytes a ms 10 bytes take 3 ms; without one nothing moves."""
    assumed = Network([], assumed_rate=4).earliest(10, ["a"], "b", 7)
    assert assumed is not None
    assert (assumed.finish_ms, assumed.path) == (10, (("a", "b"),))
    assert Network([]).earliest(10, ["a"], "b", 7) is None
    assert Network([], assumed_rate=4).earliest(10, [], "b", 7) is None


def atlas(**rules: tuple[str, ...]) -> Atlas:
    """Three centres, the warehouse beside `home`, a copy of `x` at `edge`, 0.5 yuan a GB at `far`."""
    return Atlas(
        {"home": "370300", "edge": "370303", "far": "110105"},
        ("home",),
        {("industry.x", "7", "whole"): frozenset({"edge"})},
        {f"industry.{name}": rule for name, rule in rules.items()},
        frozenset({"重要", "核心"}),
        {"far": 500_000},
    )


LINKS = [Link(("edge", "home"), 1000), Link(("far", "home"), 100)]
X = Need("industry.x", "7", 2_000_000, "一般-3")
Y = Need("industry.y", "1", 1_000_000, "一般-3")


def test_what_each_centre_takes_is_the_sum_over_the_data_sets_that_it_lacks() -> None:
    """Home has both. Edge has x, and y takes 1 MB / 1 MB/s. Far takes 3 MB at 100 kB/s and 0.003 GB x 0.5 yuan."""
    placed = atlas().place([X, Y], Network(LINKS), 0)
    assert (placed.centres, placed.home) == (None, "home")
    assert placed.stages == {
        "home": Stage(0.0, 0.0, 0),
        "edge": Stage(1.0, 0.0, 1_000_000),
        "far": Stage(30.0, 0.0015, 3_000_000),
    }
    only_x = atlas().place([X], Network(LINKS), 0)
    assert (only_x.stages["edge"], only_x.home) == (Stage(0.0), "edge")
    assert price_of(5, 100_000_000) == 0  # half a millionth, to even


def test_important_data_stay_beside_the_warehouse_unless_a_rule_says_where() -> None:
    """By class: home alone. By a rule: those it names; a rule and a class together may leave nothing."""
    important = Need("industry.z", "1", 10, "重要")
    assert atlas().place([important], Network(LINKS), 0).centres == ("home",)
    assert atlas(z=("370300",)).place([important], Network(LINKS), 0).centres == ("edge", "home")
    assert atlas(x=("edge",)).place([X], Network(LINKS), 0).centres == ("edge",)
    nowhere = atlas(x=("edge",)).place([X, important], Network(LINKS), 0)
    assert (nowhere.centres, nowhere.bound) == ((), ("industry.x", "industry.z"))
    assert atlas().place([important], Network(LINKS), 0, asked=("far",)).centres == ()
    assert atlas().place([X], Network(LINKS), 0, asked=("far",)).centres == ("far",)
    assert atlas().place([X], Network(LINKS[:1]), 0).centres == ("edge", "home")  # no way leads to far


def test_a_region_covers_what_lies_in_it() -> None:
    """370000 Shandong, 370300 Zibo, 370303 Zhangdian."""
    assert [permits((whole,), "c", "370303") for whole in ("370000", "370300", "370303", "370302", "110000")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert permits(("c",), "c", "")
    assert not permits(("370000",), "c", "")


@some
@given(links(), st.lists(st.tuples(st.sampled_from(ALL_ENDS), spans(5)), max_size=4), st.integers(0, 40))
def test_the_course_of_a_link_says_for_every_millisecond_what_it_carries_and_what_is_reserved(
    known: list[Link], taken: list[tuple[Ends, Span]], at: int
) -> None:
    """Against the millisecond itself; the stretches join from the first moment to the last, and each is a change."""
    reserved: dict[Ends, list[Span]] = {}
    for ends, span in taken:
        reserved.setdefault(ends, []).append(span)
    network = Network(known, reserved)
    plain = Plain(known)
    for link in known:
        course = network.course(link.ends, at, at + 30)
        assert (course[0].start_ms, course[-1].end_ms) == (at, at + 30)
        assert all(one.end_ms == other.start_ms for one, other in pairwise(course))
        assert all((one.limit, one.reserved) != (other.limit, other.reserved) for one, other in pairwise(course))
        for stretch in course:
            for ms in range(stretch.start_ms, stretch.end_ms):
                held = sum(span.rate for span in reserved.get(link.ends, []) if span.start_ms <= ms < span.end_ms)
                assert (stretch.limit, stretch.reserved) == (plain.free[link.ends][ms], held)
