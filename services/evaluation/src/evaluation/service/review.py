"""The step that reported values and assessments share: from one state to the next, by the right person."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from brain_kit.auth import Principal
from brain_kit.clock import rfc3339
from brain_kit.problems import NotPermitted

from evaluation.domain import review
from evaluation.domain.review import Action, ActionRefused, SamePerson
from evaluation.service.problems import FieldsMissing, SecondPersonNeeded, StateConflict

REVIEW_ACTIONS = ("confirm", "return")
ACTION_WORDS: dict[Action, str] = {
    "edit": "修改",
    "submit": "提交",
    "withdraw": "撤回",
    "confirm": "确认",
    "return": "退回",
    "discard": "作废",
}


def step(row: Any, caller: Principal, action: Action, note: str, now: datetime) -> dict[str, Any]:
    """The changed columns of a row after an action.

    Raises StateConflict, SecondPersonNeeded, NotPermitted (an action of the authors' organisation by another one),
    FieldsMissing (a return without a reason).
    """
    try:
        state = review.next_state(row.state, action)
        review.check_second_person(action, caller.subject, row.authors)
    except ActionRefused as error:
        possible = "、".join(ACTION_WORDS[item] for item in error.possible) or "无"
        words = f"状态是「{review.WORDS[row.state]}」，不能{ACTION_WORDS[action]}；现在可以：{possible}"
        raise StateConflict(words, state=row.state, possible=error.possible) from error
    except SamePerson as error:
        raise SecondPersonNeeded("填报、修改或提交过的人不能审核，请另一位有权限的人来审核") from error
    if action not in REVIEW_ACTIONS and row.org != caller.org:
        raise NotPermitted("只有填报单位可以修改、提交、撤回或作废", org=row.org)
    if action in review.NEEDS_NOTE and not note.strip():
        raise FieldsMissing("退回时要写明原因（note），让填报单位知道怎么改", field="note")
    changed: dict[str, Any] = {"state": state, "version": row.version + 1, "updated_at": now}
    if action in ("edit", "submit"):
        changed["authors"] = [*row.authors, *({caller.subject} - set(row.authors))]
    if action == "submit":
        changed |= {"submitter": caller.subject, "submitted_at": now}
        changed |= {"reviewer": None, "reviewed_at": None, "review_note": None}
    if action in REVIEW_ACTIONS:
        changed |= {"reviewer": caller.subject, "reviewed_at": now, "review_note": note}
    return changed


def review_body(row: Any, caller: Principal, reviews: bool) -> dict[str, Any]:
    """State, persons and what the caller may do next. reviews: whether her role may review."""
    own = row.org == caller.org
    may = [
        action
        for action in review.actions_from(row.state)
        if (reviews and caller.subject not in row.authors if action in REVIEW_ACTIONS else own)
    ]
    return {
        "state": row.state,
        "state_word": review.WORDS[row.state],
        "actions": may,
        "version": row.version,
        "org": row.org,
        "authors": row.authors,
        "submitter": row.submitter,
        "submitted_at": rfc3339(row.submitted_at) if row.submitted_at else None,
        "reviewer": row.reviewer,
        "reviewed_at": rfc3339(row.reviewed_at) if row.reviewed_at else None,
        "review_note": row.review_note,
        "created_at": rfc3339(row.created_at),
        "updated_at": rfc3339(row.updated_at),
    }
