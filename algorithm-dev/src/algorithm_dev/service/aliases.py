"""Names such as `production` that point at a version, and the ledger of every move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.database import Database

from algorithm_dev.domain.versions import is_alias
from algorithm_dev.service import shown
from algorithm_dev.service.access import owned, unknown, visible_component
from algorithm_dev.service.errors import AliasInvalid, EditedMeanwhile, PreconditionMissing
from algorithm_dev.store import aliases


class Aliases:
    """Use cases of aliases; `changed` is called after each move."""

    def __init__(self, database: Database, changed: Callable[[], None]) -> None:
        self._database = database
        self._changed = changed

    def move(
        self, caller: Principal, name: str, alias: str, version: str | None, reason: str, if_match: str | None
    ) -> dict[str, Any]:
        """Points an alias at a published version, or removes it (version None).

        if_match: the edit that a move of an existing alias is based on. Raises AliasInvalid, ComponentUnknown,
        NotOwner, PreconditionMissing, EditedMeanwhile.
        """
        if not is_alias(alias):
            raise AliasInvalid(
                "别名应为小写字母开头，由小写字母、数字、连字符组成，至多 40 个字符",
                errors=[{"field": "alias", "reason": "格式不符"}],
            )
        rows = visible_component(self._database, caller, name)
        with self._database.transaction() as session:
            known = aliases.alias_row(session, name, alias)
            target = version if version is not None else (known.version if known else None)
            if target is None:
                raise unknown(name, alias)
            row = owned(session, caller, name, target if not is_alias(target) else rows[0].version)
            _check(row, target, version, known, if_match)
            aliases.point(session, caller, name, alias, version, reason, utc_now())
            detail = {"from": known.version if known else None, "to": version, "reason": reason}
            audit.record(session, caller, action="component.alias", object=f"{name}@{alias}", detail=detail)
            made = aliases.alias_row(session, name, alias)
        self._changed()
        return shown.alias(made) if made else {"alias": alias, "version": None}

    def ledger(self, caller: Principal, name: str, alias: str | None = None) -> dict[str, Any]:
        """Every move of an alias, or of all of a component's, newest first. Raises ComponentUnknown."""
        visible_component(self._database, caller, name)
        with self._database.reading() as session:
            rows = aliases.history(session, name, alias)
        return {"items": [shown.move(row) for row in rows], "next": None}


def _check(row: Any, target: str, version: str | None, known: Any, if_match: str | None) -> None:
    if version is not None and (row.version != target or row.state != "published" or row.broken):
        raise AliasInvalid(
            f"别名只能指向完好的已发布版本；{target} 不是",
            errors=[{"field": "version", "reason": f"{target} 不是已发布版本"}],
        )
    if known is None:
        return
    current = f'"{known.edit}"'
    if if_match is None:
        raise PreconditionMissing("移动已有别名时请带 If-Match，值为读到的 ETag", etag=current, version=known.version)
    if if_match.strip() not in (current, "*"):
        raise EditedMeanwhile(
            f"别名在您读取之后被移动过，现在指向 {known.version}：请确认后再移动", etag=current, version=known.version
        )
