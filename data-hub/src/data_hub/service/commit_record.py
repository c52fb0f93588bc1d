"""What is written with a commit, in the transaction that moves the table's pointer."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Literal

from brain_contracts.events import CommittedPush, WarehouseCommitted
from brain_kit.clock import utc_now
from brain_kit.events import emit
from sqlalchemy.orm import Session

from data_hub import store
from data_hub.domain.batch import REPLACE
from data_hub.domain.derived import DERIVED_MEDIA
from data_hub.service.commit_outcome import Outcome, PushesTaken
from data_hub.service.lineage.derivations import record_derivations
from data_hub.store import PushRecord, VersionRecord

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata

    from data_hub.engine.applying import Applied


def record_commit(
    session: Session,
    dataset: str,
    metadata: TableMetadata,
    applied: Applied,
    outcome: Outcome,
    expired: Collection[str],
) -> None:
    """Keeps the figures, the version and the event of a commit: one row each, however many pushes it took.

    Raises PushesTaken when a version that the commit forgets was pinned in the meantime.
    """
    from data_hub.engine.icecommit import total_of

    snapshot = metadata.current_snapshot()
    assert snapshot is not None
    version, now = str(snapshot.snapshot_id), utc_now()
    rows = total_of(metadata, "total-records")
    sequence = store.save_commit(
        session,
        dataset,
        snapshot=version,
        rows=rows,
        size=total_of(metadata, "total-files-size"),
        files=total_of(metadata, "total-data-files"),
        at=now,
    )
    # Only now: whoever pins has the data set's row until the pin is kept, so none is missed.
    if expired and not store.pinned_versions(session, dataset).isdisjoint(expired):
        raise PushesTaken("a version that was to be forgotten has been pinned")
    committed = [record for record in outcome.final if record.state == "committed"]
    made = VersionRecord(
        dataset,
        version,
        sequence,
        now,
        rows,
        applied.rows_added,
        applied.rows_removed,
        is_whole=applied.is_whole,
        pushes=[
            {"id": item.id, "owner": item.owner, "mode": item.mode, "accepted": item.accepted} for item in committed
        ],
    )
    store.add_version(session, made)
    derived = [record.id for record in committed if record.media_type == DERIVED_MEDIA]
    if derived:
        record_derivations(session, dataset, version, derived, now)
    emit(session, _event(made, committed))


def _event(made: VersionRecord, committed: list[PushRecord]) -> WarehouseCommitted:
    modes = [_told(record.mode) for record in committed]
    assert made.rows is not None
    assert made.rows_added is not None
    assert made.rows_removed is not None
    return WarehouseCommitted(
        dataset=made.dataset,
        snapshot=made.version,
        sequence=made.sequence,
        mode_counts={mode: modes.count(mode) for mode in sorted(set(modes))},
        pushes=tuple(
            CommittedPush(push_id=item.id, owner=item.owner, mode=_told(item.mode), accepted=item.accepted)
            for item in committed
        ),
        rows_added=made.rows_added,
        rows_removed=made.rows_removed,
        total_rows=made.rows,
        committed_at=made.committed_at,
    )


def _told(mode: str) -> Literal["append", "upsert", "delete"]:
    """The mode in the event, whose words are fixed: who replaces all rows changes rows that are there."""
    return "upsert" if mode == REPLACE else mode  # type: ignore[return-value]
