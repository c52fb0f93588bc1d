"""Who may see and change what in the registry, and which version a name stands for."""

from __future__ import annotations

from typing import Any

from brain_kit.auth import Principal
from brain_kit.database import Database
from sqlalchemy.orm import Session

from algorithm_dev.domain.card_rules import PLATFORM
from algorithm_dev.domain.versions import is_alias
from algorithm_dev.service.errors import ComponentUnknown, NotOwner
from algorithm_dev.store import aliases, registry

PUBLIC_STATES = frozenset({"published", "withdrawn"})
REVIEWERS = ("operator", "analyst")


def reviews(caller: Principal) -> bool:
    """Whether the caller decides about submitted versions."""
    return caller.has(*REVIEWERS)


def owns(caller: Principal, owner: str) -> bool:
    """Whether the caller's organisation owns a component; operators own the platform's."""
    return caller.org == owner or (owner == PLATFORM and caller.is_operator)


def sees(caller: Principal, owner: str, state: str) -> bool:
    """Whether the caller may know of a version."""
    return state in PUBLIC_STATES or owns(caller, owner) or (state != "draft" and reviews(caller))


def unknown(name: str, version: str = "") -> ComponentUnknown:
    """The problem for what is not there, or not for the caller."""
    what = f"{name} 的版本或别名 {version}" if version else name
    return ComponentUnknown(f"没有组件 {what[:120]}，可用的见 GET /v1/components")


def resolved(session: Session, caller: Principal, name: str, version: str, *, lock: bool = False) -> Any:
    """The row of a version that the caller may know of, named by number or alias. Raises ComponentUnknown."""
    row = found(session, name, version, lock=lock)
    if not sees(caller, row.owner, row.state):
        raise unknown(name, version)
    return row


def found(session: Session, name: str, version: str, *, lock: bool = False) -> Any:
    """The row of a version, whoever asks. Raises ComponentUnknown."""
    number = version
    if is_alias(version):
        pointed = aliases.alias_row(session, name, version)
        if pointed is None:
            raise unknown(name, version)
        number = pointed.version
    row = registry.version_row(session, name, number, lock=lock)
    if row is None:
        raise unknown(name, version)
    return row


def owned(session: Session, caller: Principal, name: str, version: str) -> Any:
    """The row of a version that the caller may change. Raises ComponentUnknown, NotOwner."""
    row = resolved(session, caller, name, version, lock=True)
    if not owns(caller, row.owner):
        raise NotOwner("只有组件所属机构可以这样做；如需使用，请调用或订阅")
    return row


def visible_component(database: Database, caller: Principal, name: str) -> list[Any]:
    """Every version of a component that the caller may see. Raises ComponentUnknown when there is none."""
    with database.reading() as session:
        rows = [row for row in registry.versions_of(session, name) if sees(caller, row.owner, row.state)]
    if not rows:
        raise unknown(name)
    return rows
