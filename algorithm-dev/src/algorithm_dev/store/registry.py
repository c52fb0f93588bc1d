"""Components, their versions and files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from algorithm_dev.store.tables import artefacts, components, subscriptions, usage, versions

Row = sa.Row[Any]


def component_row(session: Session, name: str) -> Row | None:
    """name, owner, created_at, created_by of a component."""
    return session.execute(sa.select(components).where(components.c.name == name)).first()


def add_component(session: Session, name: str, owner: str, by: str, now: datetime) -> None:
    """A new component without versions."""
    session.execute(sa.insert(components).values(name=name, owner=owner, created_at=now, created_by=by))


def version_row(session: Session, component: str, version: str, *, lock: bool = False) -> Row | None:
    """A version with its component's owner."""
    query = (
        sa.select(versions, components.c.owner)
        .join(components, components.c.name == versions.c.component)
        .where(versions.c.component == component, versions.c.version == version)
    )
    return session.execute(query.with_for_update(of=versions) if lock else query).first()


def add_version(session: Session, values: dict[str, Any]) -> None:
    """A new version."""
    session.execute(sa.insert(versions).values(values))


def change_version(session: Session, component: str, version: str, values: dict[str, Any]) -> None:
    """Changes a version and counts the edit."""
    where = (versions.c.component == component) & (versions.c.version == version)
    session.execute(sa.update(versions).where(where).values(values | {"edit": versions.c.edit + 1}))


def delete_version(session: Session, component: str, version: str) -> None:
    """Removes a version, and its component when that was the last one."""
    session.execute(sa.delete(versions).where(versions.c.component == component, versions.c.version == version))
    left = session.execute(sa.select(versions.c.version).where(versions.c.component == component).limit(1)).first()
    if left is None:
        session.execute(sa.delete(subscriptions).where(subscriptions.c.component == component))
        session.execute(sa.delete(components).where(components.c.name == component))


def versions_of(session: Session, component: str) -> Sequence[Row]:
    """Every version of a component with its owner."""
    query = (
        sa.select(versions, components.c.owner)
        .join(components, components.c.name == versions.c.component)
        .where(versions.c.component == component)
    )
    return session.execute(query).all()


def visible_versions(session: Session, org: str, *, reviews: bool, states: Sequence[str] = ()) -> Sequence[Row]:
    """Versions that an organisation may see: published and withdrawn ones, its own, and for reviewers submitted ones.

    Without the search text's card parts; ordered by component.
    """
    shown = ["published", "withdrawn", *(["submitted", "rejected"] if reviews else [])]
    query = (
        sa.select(versions, components.c.owner)
        .join(components, components.c.name == versions.c.component)
        .where(versions.c.state.in_(shown) | (components.c.owner == org))
        .order_by(versions.c.component)
    )
    if states:
        query = query.where(versions.c.state.in_(states))
    return session.execute(query).all()


def changes(session: Session) -> tuple[int, int]:
    """Numbers that differ whenever a version was added, changed or removed; for caches."""
    row = session.execute(sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(versions.c.edit), 0))).one()
    return int(row[0]), int(row[1])


def add_artefact(session: Session, sha256: str, org: str, size: int, now: datetime) -> bool:
    """Notes that an organisation brought a file; False when it had done so before."""
    known = session.execute(
        sa.select(artefacts.c.sha256).where(artefacts.c.sha256 == sha256, artefacts.c.org == org)
    ).first()
    if known is None:
        session.execute(sa.insert(artefacts).values(sha256=sha256, org=org, bytes=size, created_at=now))
    return known is None


def artefact_sizes(session: Session, org: str, digests: Sequence[str]) -> dict[str, int]:
    """Bytes by digest of those files that the organisation brought."""
    query = sa.select(artefacts.c.sha256, artefacts.c.bytes).where(
        artefacts.c.org == org, artefacts.c.sha256.in_(list(digests))
    )
    return {row.sha256: row.bytes for row in session.execute(query)}


def subscribe(session: Session, component: str, org: str, by: str, now: datetime) -> bool:
    """Subscribes an organisation; False when it was."""
    where = (subscriptions.c.component == component) & (subscriptions.c.org == org)
    if session.execute(sa.select(subscriptions.c.org).where(where)).first() is not None:
        return False
    session.execute(sa.insert(subscriptions).values(component=component, org=org, since=now, by=by))
    return True


def unsubscribe(session: Session, component: str, org: str) -> bool:
    """Ends a subscription; False when there was none."""
    where = (subscriptions.c.component == component) & (subscriptions.c.org == org)
    return bool(session.execute(sa.delete(subscriptions).where(where).returning(subscriptions.c.org)).all())


def subscribed_to(session: Session, org: str) -> set[str]:
    """Components that an organisation subscribes to."""
    query = sa.select(subscriptions.c.component).where(subscriptions.c.org == org)
    return set(session.execute(query).scalars())


def subscription_counts(session: Session) -> dict[str, int]:
    """Subscribing organisations by component."""
    query = sa.select(subscriptions.c.component, sa.func.count()).group_by(subscriptions.c.component)
    return {name: int(count) for name, count in session.execute(query)}


def call_counts(session: Session) -> dict[str, tuple[int, int]]:
    """(calls, calling organisations) by component."""
    query = sa.select(usage.c.component, sa.func.sum(usage.c.calls), sa.func.count(sa.distinct(usage.c.org))).group_by(
        usage.c.component
    )
    return {name: (int(calls), int(orgs)) for name, calls, orgs in session.execute(query)}
