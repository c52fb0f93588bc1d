"""Versions and components as the API shows them."""

from __future__ import annotations

from typing import Any

from brain_kit.clock import rfc3339

from algorithm_dev.domain.card import KINDS
from algorithm_dev.domain.card_rules import PLATFORM
from algorithm_dev.domain.states import VERSION_WORDS
from algorithm_dev.domain.versions import precedence


def etag(row: Any) -> str:
    """The entity tag of a version."""
    return f'"{row.digest[:16]}-{row.edit}"'


def summary(row: Any) -> dict[str, Any]:
    """A version in a list."""
    card = row.card
    return {
        "name": row.component,
        "version": row.version,
        "state": row.state,
        "state_words": VERSION_WORDS[row.state],
        "digest": row.digest,
        "title": card["title"],
        "kind": card["kind"],
        "kind_words": KINDS[card["kind"]],
        "runtime": card["runtime"],
        "licence": card["licence"],
        "owner": row.owner,
        "is_platform": row.owner == PLATFORM,
        "broken": row.broken,
        "created_at": rfc3339(row.created_at),
        "decided_at": _time(row.decided_at),
    }


def detail(row: Any, named: list[str]) -> dict[str, Any]:
    """A version with its card. named: aliases that point at it."""
    return summary(row) | {
        "card": row.card,
        "aliases": named,
        "etag": etag(row),
        "created_by": row.created_by_name or row.created_by,
        "submitted_by": row.submitted_by_name or row.submitted_by,
        "submitted_at": _time(row.submitted_at),
        "decided_by": row.decided_by_name or row.decided_by,
        "reason": row.reason,
        "golden": row.golden,
        "broken_at": _time(row.broken_at),
    }


def alias(row: Any) -> dict[str, Any]:
    """An alias."""
    return {"alias": row.alias, "version": row.version, "edit": row.edit, "moved_at": rfc3339(row.moved_at)}


def move(row: Any) -> dict[str, Any]:
    """A move of an alias."""
    return {
        "alias": row.alias,
        "from": row.from_version,
        "to": row.to_version,
        "reason": row.reason,
        "moved_by": row.moved_by_name or row.moved_by,
        "moved_by_org": row.moved_by_org,
        "moved_at": rfc3339(row.moved_at),
    }


def newest(rows: list[Any]) -> Any:
    """The version to show of a component: the newest published one, else the newest of all."""
    best = [row for row in rows if row.state == "published"] or rows
    return max(best, key=lambda row: precedence(row.version))


def _time(moment: Any) -> str | None:
    return None if moment is None else rfc3339(moment)
