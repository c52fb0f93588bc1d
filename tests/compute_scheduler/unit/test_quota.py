"""Quotas with borrowing and lending, by hand after the examples of Kueue's KEP-79."""

from __future__ import annotations

from compute_scheduler.domain.quota import QuotaTrees, Shortage
from compute_scheduler.domain.snapshot import Quota, Tenant
from hypothesis import given, settings
from hypothesis import strategies as st


def take(trees: QuotaTrees, tenant: str, cores: int) -> Shortage | None:
    """Takes cores if the quota suffices; else says why not."""
    demand = (("cores", cores * 1000),)
    short = trees.shortage(tenant, demand)
    if short is None:
        trees.add(tenant, demand, 1)
    return short


def most(trees: QuotaTrees, tenant: str) -> int:
    """How many cores the tenant could take now."""
    return next(n for n in range(200) if n == 199 or trees.shortage(tenant, (("cores", (n + 1) * 1000),)) is not None)


def test_a_tenant_alone_may_take_its_part_and_no_more() -> None:
    """Ten cores: seven, then three, then nothing; memory has no limit."""
    trees = QuotaTrees([Tenant("t", Quota({"cores": 10}))])

    assert take(trees, "t", 7) is None
    assert take(trees, "t", 4) == Shortage("cores", 3000, 4000, never=False)
    assert take(trees, "t", 3) is None
    assert trees.shortage("t", (("memory_mb", 10**9),)) is None
    assert take(trees, "t", 11) == Shortage("cores", 0, 11_000, never=True)


def test_idle_parts_are_borrowed_within_the_group() -> None:
    """Two tenants with 10 each: one may take 20; then the other has nothing until work ends."""
    group = [Tenant("g"), Tenant("a", Quota({"cores": 10}), "g"), Tenant("b", Quota({"cores": 10}), "g")]
    trees = QuotaTrees(group)

    assert take(trees, "a", 20) is None
    assert most(trees, "b") == 0
    trees.add("a", (("cores", 12_000),), -1)
    assert most(trees, "b") == 12


def test_borrowing_and_lending_limits() -> None:
    """a may borrow 3, b lends at most 6 of its 10: a takes 13; c without part takes the 3 that b still lends."""
    trees = QuotaTrees(
        [
            Tenant("g"),
            Tenant("a", Quota({"cores": 10}, {"cores": 3}), "g"),
            Tenant("b", Quota({"cores": 10}, lending_limit={"cores": 6}), "g"),
            Tenant("c", Quota(), "g"),
        ]
    )

    assert most(trees, "a") == 13
    assert take(trees, "a", 13) is None
    assert most(trees, "c") == 3
    assert most(trees, "b") == 7
    assert take(trees, "c", 3) is None
    assert most(trees, "b") == 4


def test_two_levels_borrow_from_each_other() -> None:
    """Cities of 8 and 4 under a province with 5 more: a county without its own part may take all 17 when idle."""
    trees = QuotaTrees(
        [
            Tenant("province", Quota({"cores": 5})),
            Tenant("east", Quota({"cores": 8}), "province"),
            Tenant("west", Quota({"cores": 4}), "province"),
            Tenant("county", Quota(), "east"),
        ]
    )

    assert most(trees, "county") == 17
    assert take(trees, "west", 9) is None
    assert most(trees, "county") == 8


def test_parents_in_a_ring_or_unknown_are_no_parents() -> None:
    """Each of them stands alone, and nothing loops."""
    trees = QuotaTrees(
        [Tenant("a", Quota({"cores": 2}), "b"), Tenant("b", Quota({"cores": 3}), "a"), Tenant("c", Quota(), "nobody")]
    )

    assert (most(trees, "a"), most(trees, "b"), most(trees, "c")) == (2, 3, 199)


moves = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 6), st.booleans()), max_size=40)


@settings(max_examples=300, deadline=None)
@given(moves, st.sampled_from([None, 0, 2, 5]), st.sampled_from([None, 0, 3]))
def test_no_group_gives_more_than_it_has_and_every_guarantee_stands(
    steps: list[tuple[str, int, bool]], borrowing: int | None, lending: int | None
) -> None:
    """Whatever is taken and given back: the sum stays within the sum of parts, each within its part and its loan,
    what is not lent is there for its owner, and giving all back leaves nothing."""
    borrow = {} if borrowing is None else {"cores": float(borrowing)}
    lend = {} if lending is None else {"cores": float(lending)}
    parts = {"a": 6, "b": 4, "c": 0, "d": 8}
    tenants = [Tenant("g", Quota({"cores": 2}))]
    tenants += [Tenant(name, Quota({"cores": part}, borrow, lend), "g") for name, part in parts.items()]
    trees, held = QuotaTrees(tenants), dict.fromkeys(parts, 0)
    for name, cores, gives_back in steps:
        if gives_back and held[name] >= cores:
            trees.add(name, (("cores", cores * 1000),), -1)
            held[name] -= cores
        elif not gives_back and take(trees, name, cores) is None:
            held[name] += cores
        assert sum(held.values()) <= 20
        for owner, part in parts.items():
            assert borrowing is None or held[owner] <= part + borrowing
            if lending is not None:
                assert most(trees, owner) >= max(0, part - lending) - held[owner]

    for name, cores in held.items():
        trees.add(name, (("cores", cores * 1000),), -1)
    assert all(most(trees, name) == most(QuotaTrees(tenants), name) for name in parts)
