"""Data sets and the versions of their contracts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from brain_contracts.contract import Change, DatasetContract, contract_dict, contract_from
from sqlalchemy.orm import Session

from data_hub.store.tables import contract_versions, datasets


@dataclass(frozen=True)
class DatasetRecord:
    """A registered data set with the figures of its last commit."""

    contract: DatasetContract
    sequence: int
    snapshot: str | None
    rows: int
    bytes: int
    files: int
    last_commit_at: datetime | None
    created_at: datetime

    @property
    def name(self) -> str:
        """`<warehouse>.<dataset>`."""
        return self.contract.name


def get_contract(session: Session, name: str, version: str | None = None) -> DatasetContract | None:
    """The contract of a data set, the newest or a named version; None when it is not registered."""
    if version is None:
        body = session.execute(sa.select(datasets.c.contract).where(datasets.c.name == name)).scalar()
    else:
        wanted = sa.select(contract_versions.c.contract).where(
            contract_versions.c.dataset == name, contract_versions.c.version == version
        )
        body = session.execute(wanted).scalar()
    return None if body is None else contract_from(body)


def current_version(session: Session, name: str) -> str | None:
    """The version of a data set's contract that counts; None when it is not registered."""
    return session.execute(sa.select(datasets.c.version).where(datasets.c.name == name)).scalar()


def get_dataset(session: Session, name: str) -> DatasetRecord | None:
    """A data set; None when it is not registered."""
    row = session.execute(sa.select(datasets).where(datasets.c.name == name)).one_or_none()
    return None if row is None else _record(row)


def list_datasets(session: Session, *, after: str = "", limit: int | None = None) -> list[DatasetRecord]:
    """Registered data sets by name, those after a name."""
    wanted = sa.select(datasets).where(datasets.c.name > after).order_by(datasets.c.name).limit(limit)
    return [_record(row) for row in session.execute(wanted)]


def contract_history(session: Session, name: str) -> list[dict[str, Any]]:
    """Versions of a contract, oldest first, each with what changed."""
    wanted = (
        sa.select(contract_versions)
        .where(contract_versions.c.dataset == name)
        .order_by(contract_versions.c.created_at, contract_versions.c.version)
    )
    return [dict(row._mapping) for row in session.execute(wanted)]


def add_datasets(session: Session, contracts: Sequence[DatasetContract], at: datetime, by: str) -> None:
    """Registers new data sets."""
    if not contracts:
        return
    rows = [
        {
            "name": contract.name,
            "warehouse": contract.warehouse,
            "version": contract.version,
            "contract": contract_dict(contract),
            "created_at": at,
        }
        for contract in contracts
    ]
    session.execute(sa.insert(datasets), rows)
    for contract in contracts:
        add_version(session, contract, Change(True, ()), at, by)


def save_contract(session: Session, contract: DatasetContract, change: Change, at: datetime, by: str) -> None:
    """Makes another version of a contract the one that counts."""
    session.execute(
        sa.update(datasets)
        .where(datasets.c.name == contract.name)
        .values(version=contract.version, contract=contract_dict(contract))
    )
    add_version(session, contract, change, at, by)


def add_version(session: Session, contract: DatasetContract, change: Change, at: datetime, by: str) -> None:
    """Keeps a version of a contract with what changed against the one before."""
    session.execute(
        sa.insert(contract_versions).values(
            dataset=contract.name,
            version=contract.version,
            contract=contract_dict(contract),
            compatible=change.compatible,
            changes=[list(item) for item in change.changes],
            created_at=at,
            created_by=by,
        )
    )


def _record(row: sa.Row[Any]) -> DatasetRecord:
    return DatasetRecord(
        contract_from(row.contract),
        row.sequence,
        row.snapshot,
        row.rows,
        row.bytes,
        row.files,
        row.last_commit_at,
        row.created_at,
    )


def save_commit(session: Session, name: str, *, snapshot: str, rows: int, size: int, files: int, at: datetime) -> int:
    """Keeps the figures of a commit; returns its number, counted from 1."""
    changed = (
        sa.update(datasets)
        .where(datasets.c.name == name)
        .values(
            sequence=datasets.c.sequence + 1, snapshot=snapshot, rows=rows, bytes=size, files=files, last_commit_at=at
        )
        .returning(datasets.c.sequence)
    )
    return int(session.execute(changed).scalar_one())
