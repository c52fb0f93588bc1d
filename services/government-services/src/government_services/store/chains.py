"""Chains, their models and what has to be read anew."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from government_services.domain.definition import ChainDefinition
from government_services.domain.panorama import Panorama
from government_services.store.tables import chains, dirty, part_facts


def save_definition(session: Session, definition: ChainDefinition, now: datetime) -> bool:
    """Stores a definition; True when the chain is new. The old facts and model of a changed chain are dropped."""
    body = definition.model_dump(by_alias=True, mode="json")
    known = session.execute(sa.select(chains.c.id).where(chains.c.id == definition.id)).first()
    if known:
        session.execute(sa.update(chains).where(chains.c.id == definition.id).values(definition=body))
        session.execute(sa.delete(part_facts).where(part_facts.c.chain == definition.id))
        session.execute(sa.delete(dirty).where(dirty.c.chain == definition.id))
        return False
    session.execute(sa.insert(chains).values(id=definition.id, definition=body, version=0, created_at=now))
    return True


def delete_chain(session: Session, chain: str) -> bool:
    """Removes a chain with its facts; False when there is none."""
    for table in (part_facts, dirty):
        session.execute(sa.delete(table).where(table.c.chain == chain))
    removed = session.execute(sa.delete(chains).where(chains.c.id == chain).returning(chains.c.id)).all()
    return bool(removed)


def chain_row(session: Session, chain: str) -> sa.Row[Any] | None:
    """definition, version, panorama, digest, built_at of a chain."""
    return session.execute(sa.select(chains).where(chains.c.id == chain)).first()


def list_chains(session: Session) -> Sequence[Any]:
    """Every chain by id, without its model."""
    columns = (chains.c.id, chains.c.definition, chains.c.version, chains.c.built_at)
    return session.execute(sa.select(*columns).order_by(chains.c.id)).all()


def definitions(session: Session) -> list[ChainDefinition]:
    """Every chain's definition."""
    rows = session.execute(sa.select(chains.c.definition).order_by(chains.c.id)).scalars()
    return [ChainDefinition.model_validate(row) for row in rows]


def mark_dirty(session: Session, chain: str, parts: set[str], marker: str, now: datetime) -> None:
    """Remembers that parts of a chain have to be read anew; a later marker replaces an earlier one."""
    for part in sorted(parts):
        where = (dirty.c.chain == chain) & (dirty.c.part == part)
        changed = session.execute(sa.update(dirty).where(where).values(marker=marker).returning(dirty.c.part)).first()
        if changed is None:
            session.execute(sa.insert(dirty).values(chain=chain, part=part, marker=marker, since=now))


def dirty_parts(session: Session) -> dict[str, dict[str, str]]:
    """Chain to part to marker, of all that waits."""
    waiting: dict[str, dict[str, str]] = {}
    for row in session.execute(sa.select(dirty.c.chain, dirty.c.part, dirty.c.marker).order_by(dirty.c.since)):
        waiting.setdefault(row.chain, {})[row.part] = row.marker
    return waiting


def clear_dirty(session: Session, chain: str, done: dict[str, str]) -> None:
    """Forgets parts that were read, unless a newer commit has marked them since."""
    for part, marker in done.items():
        session.execute(
            sa.delete(dirty).where((dirty.c.chain == chain) & (dirty.c.part == part) & (dirty.c.marker == marker))
        )


def save_panorama(session: Session, panorama: Panorama, now: datetime) -> int | None:
    """Stores a model under the next version; None when it equals the stored one."""
    digest = panorama.digest()
    row = session.execute(
        sa.select(chains.c.version, chains.c.digest).where(chains.c.id == panorama.chain).with_for_update()
    ).one()
    values: dict[str, Any] = {"built_at": now}
    if row.digest != digest:
        values |= {"panorama": panorama.as_dict(), "digest": digest, "version": row.version + 1}
    session.execute(sa.update(chains).where(chains.c.id == panorama.chain).values(values))
    return values.get("version")


def load_panorama(session: Session, chain: str) -> tuple[dict[str, Any], int, datetime] | None:
    """The stored model, its version and when it was built; None while there is none."""
    row = session.execute(
        sa.select(chains.c.panorama, chains.c.version, chains.c.built_at).where(chains.c.id == chain)
    ).first()
    if row is None or row.panorama is None:
        return None
    return row.panorama, row.version, row.built_at
