"""The way of a version from draft to published and away again; two people decide.

The golden vectors run outside the transaction: they may take a minute. The state is looked at again afterwards, and
the digest must still be the one that was checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.problems import NotPermitted

from algorithm_dev.domain.card import Card, parse_card
from algorithm_dev.domain.states import VERSION_WORDS, MoveRefused, version_after
from algorithm_dev.service import shown
from algorithm_dev.service.access import owned, owns, resolved, reviews, unknown
from algorithm_dev.service.checking import Checks
from algorithm_dev.service.errors import EditedMeanwhile, OwnWork, StateWrong, VersionBroken
from algorithm_dev.service.registry import check_match
from algorithm_dev.store import aliases, registry

SYSTEM = "platform"
log = structlog.get_logger()


class Review:
    """Use cases that change the state of a version; `changed` is called after each."""

    def __init__(self, database: Database, checks: Checks, changed: Callable[[], None]) -> None:
        self._database = database
        self._checks = checks
        self._changed = changed

    def submit(self, caller: Principal, name: str, version: str, if_match: str | None) -> dict[str, Any]:
        """Checks a draft and hands it in; from then on it is immutable.

        Raises ComponentUnknown, NotOwner, StateWrong, EditedMeanwhile and what the checks raise.
        """
        with self._database.reading() as session:
            row = resolved(session, caller, name, version)
        if if_match is not None:
            check_match(shown.etag(row), if_match)
        _move(row, "submit")
        golden = self._checked(row)
        who = {
            "submitted_by": caller.subject,
            "submitted_by_name": caller.name,
            "submitted_at": utc_now(),
            "golden": golden,
        }
        return self._decide(caller, row, "submit", who, own=True)

    def approve(self, caller: Principal, name: str, version: str, reason: str) -> dict[str, Any]:
        """Publishes a submitted version after another check. Raises OwnWork for its submitter, and as submit."""
        row = self._reviewed(caller, name, version, "approve")
        golden = self._checked(row)
        return self._decide(caller, row, "approve", self._verdict(caller, reason) | {"golden": golden})

    def reject(self, caller: Principal, name: str, version: str, reason: str) -> dict[str, Any]:
        """Sends a submitted version back with a reason; a new version number is needed for another try."""
        row = self._reviewed(caller, name, version, "reject")
        return self._decide(caller, row, "reject", self._verdict(caller, reason))

    def withdraw(self, caller: Principal, name: str, version: str, reason: str) -> dict[str, Any]:
        """Takes a published version back, with a reason; it stays readable, aliases must point elsewhere first."""
        with self._database.reading() as session:
            row = resolved(session, caller, name, version)
            pointing = [item.alias for item in aliases.aliases_of(session, name) if item.version == row.version]
        _move(row, "withdraw")
        if pointing:
            listed = "、".join(pointing)
            raise StateWrong(f"别名 {listed} 还指向 {row.version}：请先移走别名再撤回", aliases=pointing)
        own = not caller.is_operator
        return self._decide(caller, row, "withdraw", {"reason": reason}, own=own)

    def verify(self, caller: Principal, name: str, version: str) -> dict[str, Any]:
        """Reads every file again; marks the version broken or mended. Raises ComponentUnknown."""
        with self._database.reading() as session:
            row = resolved(session, caller, name, version)
        if not (owns(caller, row.owner) or reviews(caller)):
            raise unknown(name, version)
        told: str | None = None
        try:
            self._checks.judge_files(card_of(row))
        except VersionBroken as problem:
            told = problem.detail
        self.mark(row.component, row.version, told, caller)
        with self._database.reading() as session:
            return shown.detail(registry.version_row(session, row.component, row.version), [])

    def mark(self, component: str, version: str, told: str | None, caller: Principal | None = None) -> None:
        """Notes that a version is broken (told: how) or whole again, with an alarm in the log."""
        with self._database.transaction() as session:
            row = registry.version_row(session, component, version, lock=True)
            if row is None or bool(row.broken) == bool(told):
                return
            values = {"broken": told, "broken_at": utc_now() if told else None}
            registry.change_version(session, component, version, values)
            action = "component.broken" if told else "component.mended"
            detail = {"told": told or ""}
            audit.record(
                session, caller or PLATFORM_ITSELF, action=action, object=f"{component}@{version}", detail=detail
            )
        if told:
            log.error("component_version_broken", component=component, version=version, told=told)
        else:
            log.info("component_version_mended", component=component, version=version)
        self._changed()

    def _reviewed(self, caller: Principal, name: str, version: str, action: str) -> Any:
        if not reviews(caller):
            raise NotPermitted("审批需要角色 operator 或 analyst", required=["operator", "analyst"])
        with self._database.reading() as session:
            row = resolved(session, caller, name, version)
        _move(row, action)
        if row.submitted_by == caller.subject:
            raise OwnWork("提交人不能审批自己的版本：请由另一位审批人处理", submitted_by=row.submitted_by_name)
        return row

    def _checked(self, row: Any) -> dict[str, Any]:
        try:
            return self._checks.run(card_of(row))
        except VersionBroken as problem:
            self.mark(row.component, row.version, problem.detail)
            raise

    def _verdict(self, caller: Principal, reason: str) -> dict[str, Any]:
        who = {"decided_by": caller.subject, "decided_by_name": caller.name, "decided_at": utc_now()}
        return who | {"reason": reason or None}

    def _decide(
        self, caller: Principal, seen: Any, action: str, values: dict[str, Any], *, own: bool = False
    ) -> dict[str, Any]:
        with self._database.transaction() as session:
            find = owned if own else resolved
            row = find(session, caller, seen.component, seen.version)
            state = _move(row, action)
            if row.digest != seen.digest:
                raise EditedMeanwhile("卡片在检查期间被改过：请重新提交", etag=shown.etag(row))
            registry.change_version(session, row.component, row.version, values | {"state": state})
            what = f"{row.component}@{row.version}"
            detail = {"digest": row.digest, "reason": values.get("reason") or ""}
            audit.record(session, caller, action=f"component.{action}", object=what, detail=detail)
            made = registry.version_row(session, row.component, row.version)
        self._changed()
        return shown.detail(made, [])


PLATFORM_ITSELF = Principal("algorithm-dev", "service", SYSTEM, "operator", name="算法开发平台")


def card_of(row: Any) -> Card:
    """The card of a version."""
    return parse_card(row.card)


def _move(row: Any, action: str) -> str:
    try:
        return version_after(row.state, action)
    except MoveRefused as error:
        words = {"submit": "提交", "approve": "批准", "reject": "退回", "withdraw": "撤回"}[action]
        raise StateWrong(
            f"{row.component} {row.version} 现在是{VERSION_WORDS[row.state]}，不能{words}", state=row.state
        ) from error
