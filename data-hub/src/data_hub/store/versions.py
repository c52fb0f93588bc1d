"""Versions of data sets and the pins that keep them readable."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from data_hub.store.tables import dataset_versions, datasets, version_pins


@dataclass(frozen=True)
class VersionRecord:
    """A version of a data set: what one commit made. rows is None for versions older than this record-keeping."""

    dataset: str
    version: str
    sequence: int
    committed_at: datetime
    rows: int | None
    rows_added: int | None
    rows_removed: int | None
    is_whole: bool
    pushes: list[dict[str, Any]]


@dataclass(frozen=True)
class PinRecord:
    """A reason why a version has to stay readable. source: "" when asked for, else what in the lineage holds it."""

    id: str
    dataset: str
    version: str
    org: str
    subject: str
    reason: str
    source: str
    created_at: datetime


def add_version(session: Session, record: VersionRecord) -> None:
    """Keeps a version, in the transaction of its commit."""
    session.execute(sa.insert(dataset_versions).values(**asdict(record)))


def get_versions(session: Session, dataset: str, versions: Collection[str]) -> dict[str, VersionRecord]:
    """Versions of a data set by their id, as far as they were ever there."""
    table = dataset_versions
    wanted = sa.select(table).where(table.c.dataset == dataset, table.c.version.in_(versions))
    return {row.version: VersionRecord(**row._mapping) for row in session.execute(wanted)}


def lock_dataset(session: Session, dataset: str) -> None:
    """Keeps commits of the data set waiting until this transaction ends."""
    session.execute(sa.update(datasets).where(datasets.c.name == dataset).values(sequence=datasets.c.sequence))


def list_pins(session: Session, dataset: str, versions: Collection[str] | None = None) -> list[PinRecord]:
    """Pins of a data set, of all of its versions or of some, oldest first."""
    table = version_pins
    wanted = sa.select(table).where(table.c.dataset == dataset).order_by(table.c.created_at, table.c.id)
    if versions is not None:
        wanted = wanted.where(table.c.version.in_(versions))
    return [PinRecord(**row._mapping) for row in session.execute(wanted)]


def pinned_versions(session: Session, dataset: str) -> set[str]:
    """Versions of a data set that have to stay."""
    wanted = sa.select(version_pins.c.version).where(version_pins.c.dataset == dataset).distinct()
    return set(session.execute(wanted).scalars())


def add_pin(session: Session, record: PinRecord) -> None:
    """Keeps a pin. Raises IntegrityError when the same one is there."""
    session.execute(sa.insert(version_pins).values(**asdict(record)))


def add_pins(session: Session, records: Sequence[PinRecord]) -> None:
    """Keeps pins of the lineage; those that are there stay as they are."""
    for record in records:
        table = version_pins
        same = sa.select(table.c.id).where(
            table.c.dataset == record.dataset,
            table.c.version == record.version,
            table.c.org == record.org,
            table.c.source == record.source,
        )
        if session.execute(same).first() is None:
            add_pin(session, record)


def newest_pin_of(session: Session, source: str) -> datetime | None:
    """When the newest pin of a source was made; None without any."""
    wanted = sa.select(sa.func.max(version_pins.c.created_at)).where(version_pins.c.source == source)
    found: datetime | None = session.execute(wanted).scalar()
    return found


def get_pin(session: Session, pin_id: str) -> PinRecord | None:
    """A pin by its id."""
    row = session.execute(sa.select(version_pins).where(version_pins.c.id == pin_id)).one_or_none()
    return None if row is None else PinRecord(**row._mapping)


def drop_pin(session: Session, pin_id: str) -> None:
    """Removes a pin."""
    session.execute(sa.delete(version_pins).where(version_pins.c.id == pin_id))


def drop_pins_of(session: Session, sources: Sequence[str]) -> None:
    """Removes the pins that the lineage holds for some sources."""
    session.execute(sa.delete(version_pins).where(version_pins.c.source.in_(sources)))


def hand_over_pins(session: Session, source: str, new_source: str) -> None:
    """Lets another source hold the pins of one."""
    session.execute(sa.update(version_pins).where(version_pins.c.source == source).values(source=new_source))


def drop_old_run_pins(session: Session, before: datetime) -> int:
    """Removes the pins of runs that have gone on since before a time; returns how many."""
    table = version_pins
    gone = sa.delete(table).where(table.c.source.like("run:%"), table.c.created_at < before)
    return int(session.execute(gone).rowcount)  # type: ignore[attr-defined]
