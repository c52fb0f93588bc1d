"""The meter as a state machine: whatever is counted, taken, given back and settled adds up."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from service_portal.domain.usage import Meter

KEYS = [(f"2026-0{month}-1{day}", org, "k", "s", "2xx") for month in (1, 2) for day in (1, 2) for org in ("a", "b")]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.sampled_from(KEYS), st.integers(0, 10**6)),
        st.tuples(st.sampled_from(["take", "fail", "settle"]), st.none(), st.just(0)),
    ),
    max_size=60,
)


@given(steps=STEPS)
def test_a_months_total_is_what_was_counted(steps: list[tuple[str, tuple[str, ...] | None, int]]) -> None:
    """In every state, between taking and settling too; and the database ends with every request exactly once."""
    meter = Meter()
    counted: Counter[tuple[str, str]] = Counter()
    volume: Counter[tuple[str, str]] = Counter()
    stored: Counter[tuple[str, str]] = Counter()
    stored_volume: Counter[tuple[str, str]] = Counter()

    def settle(fails: bool) -> None:
        taken = meter.take()
        if fails:
            meter.give_back(taken)
            return
        for key, usage in taken.items():
            stored[key[1], key[0][:7]] += usage.requests
            stored_volume[key[1], key[0][:7]] += usage.bytes_in + usage.bytes_out
        meter.settled({month: (stored[month], stored_volume[month]) for month in stored}, taken)

    for step, key, size in steps:
        if step == "count":
            assert key is not None
            if size % 2:
                meter.count(key, size, 1, 0.5)  # type: ignore[arg-type]
            else:
                before = meter.month(key[1], key[0][:7])[0]
                meter.begin(key[1])
                assert meter.month(key[1], key[0][:7])[0] == before + 1
                meter.end(key, size, 1, 0.5)  # type: ignore[arg-type]
            counted[key[1], key[0][:7]] += 1
            volume[key[1], key[0][:7]] += size + 1
        else:
            settle(fails=step != "settle")
        for org in ("a", "b"):
            for month in ("2026-01", "2026-02"):
                assert meter.month(org, month) == (counted[org, month], volume[org, month])

    settle(fails=False)
    assert stored == counted
    assert stored_volume == volume
