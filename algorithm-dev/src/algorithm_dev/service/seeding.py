"""The components that come with the platform, published at the first start."""

from __future__ import annotations

from typing import Any

import structlog
from brain_kit import audit
from brain_kit.clock import utc_now
from brain_kit.database import Database
from sqlalchemy.orm import Session

from algorithm_dev.domain.card import card_document
from algorithm_dev.domain.versions import content_digest, search_text
from algorithm_dev.service.artefacts import ArtefactStore
from algorithm_dev.service.review import PLATFORM_ITSELF
from algorithm_dev.shipped import Shipped, shipped_components
from algorithm_dev.store import registry

LOCK_S = 30.0
REASON = "平台内置 shipped with the platform"
log = structlog.get_logger()


def register_shipped(database: Database, artefacts: ArtefactStore) -> list[str]:
    """Publishes the shipped versions that are not known yet; returns them. Of several processes one does it.

    Their golden vectors are run by the tests of this code, as the files are part of it. A name that somebody else
    took before is left alone.
    """
    with database.exclusive("shipped-components", timeout_s=LOCK_S) as held:
        if not held:
            return []
        added = [item for item in shipped_components() if _is_new(database, item)]
        for item in added:
            for content in item.files.values():
                artefacts.put_bytes(content)
            with database.transaction() as session:
                _publish(session, item)
    names = [f"{item.card.name}@{item.card.version}" for item in added]
    if names:
        log.info("shipped_components_registered", components=names)
    return names


def _is_new(database: Database, item: Shipped) -> bool:
    with database.reading() as session:
        known = registry.component_row(session, item.card.name)
        if known is not None and known.owner != item.card.owner:
            return False
        return registry.version_row(session, item.card.name, item.card.version) is None


def _publish(session: Session, item: Shipped) -> None:
    card, now = item.card, utc_now()
    who = PLATFORM_ITSELF
    if registry.component_row(session, card.name) is None:
        registry.add_component(session, card.name, card.owner, who.subject, now)
    decided = {"decided_by": who.subject, "decided_by_name": who.name, "decided_at": now, "reason": REASON}
    values: dict[str, Any] = {
        "component": card.name,
        "version": card.version,
        "state": "published",
        "digest": content_digest(card),
        "card": card_document(card),
        "search_text": search_text(card),
        "edit": 1,
        "created_by": who.subject,
        "created_by_name": who.name,
        "created_at": now,
    }
    registry.add_version(session, values | decided)
    detail = {"digest": values["digest"]}
    audit.record(session, who, action="component.ship", object=f"{card.name}@{card.version}", detail=detail)
