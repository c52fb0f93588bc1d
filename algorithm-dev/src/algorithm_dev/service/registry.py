"""Registering drafts, reading and finding components."""

from __future__ import annotations

from typing import Any

from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.database import Database

from algorithm_dev.domain.card import Card, CardInvalid, card_document, parse_card
from algorithm_dev.domain.versions import content_digest, matches, precedence, rank, search_text
from algorithm_dev.service import shown
from algorithm_dev.service.access import owned, owns, resolved, reviews, unknown, visible_component
from algorithm_dev.service.errors import (
    CardRefused,
    EditedMeanwhile,
    FilesMissing,
    NameTaken,
    PreconditionMissing,
    VersionImmutable,
)
from algorithm_dev.store import aliases, registry

RUNTIMES = frozenset({"sql", "onnx"})


def put_draft(
    database: Database, caller: Principal, name: str, version: str, document: bytes, if_match: str | None
) -> tuple[dict[str, Any], bool]:
    """Registers or replaces a draft: (version, is new).

    if_match: the entity tag that a replacement is based on. Raises CardRefused, FilesMissing, NameTaken,
    VersionImmutable, PreconditionMissing, EditedMeanwhile.
    """
    card = checked_card(caller, name, version, document)
    with database.transaction() as session:
        _check_files(session, caller, card)
        known = registry.component_row(session, name)
        if known is not None and not owns(caller, known.owner):
            raise NameTaken(f"组件名 {name} 已被使用，请换一个名字", name=name)
        if known is None:
            registry.add_component(session, name, card.owner, caller.subject, utc_now())
        row = registry.version_row(session, name, version, lock=True)
        values = _values(card)
        if row is None:
            registry.add_version(session, values | _origin(caller))
        else:
            _check_edit(row, if_match)
            registry.change_version(session, name, version, values | {"golden": None})
        audit.record(
            session, caller, action="component.put", object=f"{name}@{version}", detail={"digest": values["digest"]}
        )
        made = registry.version_row(session, name, version)
    return shown.detail(made, []), row is None


def checked_card(caller: Principal, name: str, version: str, document: bytes) -> Card:
    """The card of a request. Raises CardRefused."""
    try:
        card = parse_card(document)
    except CardInvalid as error:
        errors = [{"field": field, "reason": reason} for field, reason in error.findings]
        raise CardRefused(f"卡片有 {len(errors)} 处不对：{error}"[:1000], errors=errors) from error
    errors = []
    if card.name != name:
        errors.append({"field": "name", "reason": f"与地址不一致：地址是 {name}，卡片是 {card.name}"})
    if card.version != version:
        errors.append({"field": "version", "reason": f"与地址不一致：地址是 {version}，卡片是 {card.version}"})
    if not owns(caller, card.owner):
        wanted = f"{caller.org} 或 platform" if caller.is_operator else caller.org
        errors.append({"field": "owner", "reason": f"应为本机构 {wanted}"})
    if card.runtime not in RUNTIMES:
        errors.append({"field": "runtime", "reason": f"这个平台能运行 {'、'.join(sorted(RUNTIMES))}"})
    if errors:
        raise CardRefused(f"卡片不能用：{errors[0]['field']} {errors[0]['reason']}", errors=errors)
    return card


def _check_files(session: Any, caller: Principal, card: Card) -> None:
    known = registry.artefact_sizes(session, caller.org, [item.sha256 for item in card.artefacts])
    errors = []
    for number, item in enumerate(card.artefacts):
        size = known.get(item.sha256)
        if size is None:
            reason = f"文件 {item.path}（{item.sha256[:12]}…）还没有上传：先 PUT /v1/artefacts"
            errors.append({"field": f"artefacts[{number}].sha256", "reason": reason})
        elif size != item.size:
            reason = f"文件 {item.path} 是 {size} 字节，卡片写的是 {item.size}"
            errors.append({"field": f"artefacts[{number}].bytes", "reason": reason})
    if errors:
        raise FilesMissing(f"卡片的文件不齐：{errors[0]['reason']}", errors=errors)


def _values(card: Card) -> dict[str, Any]:
    return {
        "component": card.name,
        "version": card.version,
        "state": "draft",
        "digest": content_digest(card),
        "card": card_document(card),
        "search_text": search_text(card),
    }


def _origin(caller: Principal) -> dict[str, Any]:
    return {
        "edit": 1,
        "created_by": caller.subject,
        "created_by_name": caller.name,
        "created_at": utc_now(),
    }


def _check_edit(row: Any, if_match: str | None) -> None:
    if row.state != "draft":
        raise VersionImmutable(
            f"{row.component} {row.version} 已提交（{row.state}），内容不可再改：请用新的版本号", state=row.state
        )
    check_match(shown.etag(row), if_match)


def check_match(current: str, if_match: str | None) -> None:
    """Raises PreconditionMissing or EditedMeanwhile unless the caller's tag is the present one."""
    if if_match is None:
        raise PreconditionMissing("修改时请带 If-Match，值为读到的 ETag，以免覆盖他人的修改", etag=current)
    if if_match.strip() not in (current, "*"):
        raise EditedMeanwhile("内容在您读取之后被改过：请重新读取、合并后再提交", etag=current)


def delete_draft(database: Database, caller: Principal, name: str, version: str, if_match: str | None) -> None:
    """Removes a draft. Raises ComponentUnknown, NotOwner, VersionImmutable, PreconditionMissing, EditedMeanwhile."""
    with database.transaction() as session:
        row = owned(session, caller, name, version)
        _check_edit(row, if_match)
        registry.delete_version(session, name, row.version)
        audit.record(session, caller, action="component.delete", object=f"{name}@{row.version}")


def read_version(database: Database, caller: Principal, name: str, version: str) -> dict[str, Any]:
    """A version with its card. Raises ComponentUnknown."""
    with database.reading() as session:
        row = resolved(session, caller, name, version)
        named = [item.alias for item in aliases.aliases_of(session, name) if item.version == row.version]
    return shown.detail(row, named)


def read_component(database: Database, caller: Principal, name: str) -> dict[str, Any]:
    """A component with its versions, newest first, its aliases, subscriptions and calls. Raises ComponentUnknown."""
    rows = visible_component(database, caller, name)
    with database.reading() as session:
        pointed = aliases.aliases_of(session, name)
        subscribers = registry.subscription_counts(session).get(name, 0)
        calls, callers = registry.call_counts(session).get(name, (0, 0))
        subscribed = name in registry.subscribed_to(session, caller.org)
    ordered = sorted(rows, key=lambda row: precedence(row.version), reverse=True)
    seen = {row.version for row in rows}
    return shown.summary(shown.newest(rows)) | {
        "versions": [shown.summary(row) for row in ordered],
        "aliases": [shown.alias(row) for row in pointed if row.version in seen],
        "subscriptions": subscribers,
        "calls": calls,
        "callers": callers,
        "subscribed": subscribed,
        "is_own": owns(caller, rows[0].owner),
    }


def find_components(
    database: Database,
    caller: Principal,
    *,
    query: str = "",
    kind: str | None = None,
    owner: str | None = None,
    state: str | None = None,
    after: str = "",
    limit: int = 100,
) -> dict[str, Any]:
    """A page of components that the caller may see, each by its newest version; a query puts hits in titles first."""
    with database.reading() as session:
        rows = registry.visible_versions(session, caller.org, reviews=reviews(caller), states=(state,) if state else ())
        subscribers = registry.subscription_counts(session)
        called = registry.call_counts(session)
        mine = registry.subscribed_to(session, caller.org)
    by_name: dict[str, list[Any]] = {}
    for row in rows:
        if state != "draft" or owns(caller, row.owner):
            by_name.setdefault(row.component, []).append(row)
    found = [shown.newest(group) for group in by_name.values()]
    found = [
        row
        for row in found
        if (kind is None or row.card["kind"] == kind)
        and (owner is None or row.owner == owner)
        and matches(row.search_text, query)
    ]
    found.sort(key=lambda row: (rank(row.card["title"]["zh"], row.component, query), row.component))
    places = {row.component: number for number, row in enumerate(found)}
    start = places.get(after, -1) + 1 if after else 0
    page = found[start : start + limit]
    items = [
        shown.summary(row)
        | {
            "description": row.card["description"],
            "subscriptions": subscribers.get(row.component, 0),
            "calls": called.get(row.component, (0, 0))[0],
            "callers": called.get(row.component, (0, 0))[1],
            "subscribed": row.component in mine,
        }
        for row in page
    ]
    return {"items": items, "next": page[-1].component if start + limit < len(found) else None}


def set_subscription(database: Database, caller: Principal, name: str, *, wanted: bool) -> dict[str, Any]:
    """Subscribes the caller's organisation to a published component, or ends that. Raises ComponentUnknown."""
    rows = visible_component(database, caller, name)
    if wanted and all(row.state != "published" for row in rows):
        raise unknown(name)
    with database.transaction() as session:
        if wanted:
            changed = registry.subscribe(session, name, caller.org, caller.subject, utc_now())
        else:
            changed = registry.unsubscribe(session, name, caller.org)
        if changed:
            action = "component.subscribe" if wanted else "component.unsubscribe"
            audit.record(session, caller, action=action, object=name)
    return {"name": name, "subscribed": wanted}


def find_submitted(database: Database, caller: Principal) -> dict[str, Any]:
    """Versions that wait for a decision, oldest first; `is_own_work` says which the caller may not decide."""
    with database.reading() as session:
        rows = registry.visible_versions(session, caller.org, reviews=True, states=("submitted",))
    waiting = sorted(rows, key=lambda row: row.submitted_at)
    items = [shown.detail(row, []) | {"is_own_work": row.submitted_by == caller.subject} for row in waiting]
    return {"items": items, "next": None}
