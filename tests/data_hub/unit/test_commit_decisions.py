"""Pure decisions around commits: states, batches, folding, retention, columns."""

from __future__ import annotations

from dataclasses import dataclass

from data_hub.domain.batch import BATCH_ROWS, FOLDED_FROM_FILES, FOLDED_ROWS, files_to_fold, take_batch
from data_hub.domain.columns import compare_columns
from data_hub.domain.push import FINAL, TRANSITIONS, Columns, sources_of
from data_hub.domain.retention import HOUR_MS, snapshots_to_expire
from data_hub.domain.tables import DataFileRef
from hypothesis import given
from hypothesis import strategies as st


@dataclass(frozen=True)
class Waiting:
    """A push with its good rows."""

    accepted: int
    mode: str = "append"


def test_every_state_leads_to_an_end_and_ends_lead_nowhere() -> None:
    """No push can hang for ever in a state that nothing leaves."""
    assert {"committed", "refused"} == FINAL
    for state in TRANSITIONS:
        reached, grown = {state}, True
        while grown:
            after = reached | {follower for item in reached for follower in TRANSITIONS[item]}
            grown, reached = after != reached, after
        assert reached & FINAL
    assert sources_of("committed") == ("validated",)


@given(st.lists(st.integers(1, BATCH_ROWS * 2), max_size=30))
def test_a_batch_is_the_beginning_of_the_queue(rows: list[int]) -> None:
    """Order is kept, something is always taken, a large push goes alone."""
    queue = [Waiting(count) for count in rows]

    batch = take_batch(queue)

    assert batch == queue[: len(batch)]
    assert bool(batch) == bool(queue)
    assert len(batch) == 1 or sum(item.accepted for item in batch) <= BATCH_ROWS
    assert len(batch) == len(queue) or sum(item.accepted for item in queue[: len(batch) + 1]) > BATCH_ROWS


@given(st.lists(st.tuples(st.integers(1, BATCH_ROWS), st.sampled_from(["append", "upsert", "replace"])), min_size=1))
def test_a_push_that_replaces_the_table_goes_alone(pushes: list[tuple[int, str]]) -> None:
    """What was before it must not be in the new version, what comes after must not be lost."""
    batch = take_batch([Waiting(count, mode) for count, mode in pushes])

    assert len(batch) == 1 or "replace" not in [item.mode for item in batch]


def test_rows_are_folded_a_handful_of_times_however_many_pushes_come() -> None:
    """10,000 commits of 5 kB each: few files stay, and each byte is written a few times in all."""
    sizes: list[int] = []
    written = 0
    for number in range(10_000):
        files = [DataFileRef(f"{place}", 1, size) for place, size in enumerate(sizes)]
        folded = {file.key for file in files_to_fold(files)}
        merged = 5_000 + sum(file.bytes for file in files if file.key in folded)
        sizes = [size for place, size in enumerate(sizes) if str(place) not in folded] + [merged]
        written += merged
        assert len(sizes) <= 5 * FOLDED_FROM_FILES, number

    assert sum(sizes) == 10_000 * 5_000
    assert written <= 6 * 10_000 * 5_000


def test_a_commit_folds_a_bounded_number_of_rows_and_the_next_ones_go_on() -> None:
    """Forty files of 200,000 rows each, as ten large pushes leave them: no commit rewrites more than a million."""
    files = [DataFileRef(f"{place}", 200_000, 5 << 20) for place in range(40)]
    rounds = 0
    while folded := files_to_fold(files):
        assert len(folded) > 1
        assert sum(file.rows for file in folded) <= FOLDED_ROWS
        gone = {file.key for file in folded}
        merged = DataFileRef(f"m{rounds}", sum(file.rows for file in folded), sum(file.bytes for file in folded))
        files = [*(file for file in files if file.key not in gone), merged]
        rounds += 1
        assert rounds < 40

    assert len(files) < FOLDED_FROM_FILES + 8
    assert sum(file.rows for file in files) == 40 * 200_000


def test_retention_thins_out_with_age_and_keeps_the_newest() -> None:
    """A snapshot a second for three hours: a minute's last for an hour, an hour's last before."""
    now = 1_700_000_000_000 // HOUR_MS * HOUR_MS
    snapshots = [(number, now - (3 * 3600 - 1 - number) * 1000) for number in range(3 * 3600)]

    expired = set(snapshots_to_expire(snapshots, now))

    kept = [at for number, at in snapshots if number not in expired]
    assert kept[-20:] == [at for _, at in snapshots[-20:]]
    assert 60 <= len(kept) <= 60 + 20 + 4
    assert min(kept) < now - HOUR_MS


@given(st.lists(st.integers(0, 10**10), unique=True, max_size=60))
def test_retention_never_takes_the_newest(ages: list[int]) -> None:
    """Whatever the times are, the newest twenty stay."""
    snapshots = [(number, at) for number, at in enumerate(sorted(ages))]

    expired = snapshots_to_expire(snapshots, max(ages, default=0))

    assert not set(expired) & {number for number, _ in snapshots[-20:]}


def test_a_header_that_does_not_fit_is_explained() -> None:
    """Unknown columns with the nearest known one, required ones that are missing, repeated ones."""
    wanted = Columns(("uscc", "month"), ("uscc", "month", "revenue"), ("uscc", "month", "revenue"))

    mismatch = compare_columns(["uscc", "revenu", "revenu", "zzz"], wanted)

    assert mismatch is not None
    assert mismatch.unknown == (("revenu", "revenue"), ("zzz", None))
    assert mismatch.missing == ("month",)
    assert mismatch.repeated == ("revenu",)
    assert compare_columns(["month", "uscc"], wanted) is None
