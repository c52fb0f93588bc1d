"""From marks to a factory's level, by a rule that is this platform's choice."""

from __future__ import annotations

from typing import Any

from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from pydantic import ValidationError
from sqlalchemy.orm import Session

from evaluation.domain.scoring import LevelRule, assess_factory, default_level_rule, printed_thresholds
from evaluation.domain.sets import LEVELS
from evaluation.service.catalogue import factory_criteria
from evaluation.service.histories import check_version, history_items, remember
from evaluation.service.problems import ChoiceWrong
from evaluation.service.weights import CHOSEN_HERE
from evaluation.store import choices as store

Body = dict[str, Any]
KIND = "level_rule"
CHOICE = "level-rule/morning-star-factory"


def get_rule(database: Database) -> Body:
    """The rule with the document's table of stars and its history."""
    with database.reading() as session:
        return _body(session)


def put_rule(database: Database, caller: Principal, body: Body, if_match: str | None) -> Body:
    """Replaces the rule.

    body: method (`criteria` or `count`), shares (level to 0 to 1), thresholds (level to stars), note.
    Raises ChoiceWrong naming each wrong field, EditedMeanwhile.
    """
    content = {name: body[name] for name in ("method", "shares", "thresholds")}
    _checked(content)
    now = utc_now()
    with database.transaction() as session:
        row = store.choice_row(session, CHOICE)
        check_version(if_match, 0 if row is None else row.version)
        before = _content(current_rule(session))
        stored = _content(_checked(content))
        store.save_choice(session, CHOICE, stored, caller.subject, now)
        remember(session, caller, (KIND, CHOICE), "put", now, before=before, after=stored, note=body["note"])
        return _body(session)


def current_rule(session: Session) -> LevelRule:
    """What was chosen, else the rule that the platform begins with."""
    row = store.choice_row(session, CHOICE)
    return default_level_rule() if row is None else _checked(row.content)


def assessment_result(marks: dict[str, Body], rule: LevelRule) -> Body:
    """Level, stars, and what each level still lacks; a reviewer's verdict goes before the enterprise's own mark."""
    criteria = factory_criteria()
    met = {name: _verdict(mark) for name, mark in marks.items() if criteria.criterion(name) is not None}
    result = assess_factory(criteria, rule, met)
    following = next((check for check in result.checks if not check.is_reached), None)
    names = {item.id: item for item in criteria.criteria}
    return {
        "level": result.level,
        "stars": result.stars,
        "met": sum(bool(value) for value in met.values()),
        "answered": len(criteria.criteria) - len(result.unanswered),
        "count": len(criteria.criteria),
        "basis": "reviewed" if any(mark.get("reviewed") is not None for mark in marks.values()) else "self",
        "levels": [
            {
                "level": check.level,
                "asked": check.asked,
                "required": check.required,
                "met": check.met,
                "is_reached": check.is_reached,
            }
            for check in result.checks
        ],
        "next": None
        if following is None
        else {
            "level": following.level,
            "lacking": max(0, following.required - following.met),
            "unmet": [
                {"id": name, "name": names[name].name, "dimension": names[name].dimension} for name in following.unmet
            ],
        },
        "chosen_by": CHOSEN_HERE,
        "explanation": result.choice,
    }


def _verdict(mark: Body) -> bool | None:
    reviewed = mark.get("reviewed")
    return mark.get("met") if reviewed is None else reviewed


def _checked(content: Body) -> LevelRule:
    members = _content(default_level_rule()) | content
    try:
        return LevelRule.model_validate(default_level_rule().model_dump() | members)
    except ValidationError as error:
        errors = [
            {
                "field": ".".join(map(str, item["loc"])) or "thresholds",
                "reason": item["msg"].removeprefix("Value error, "),
            }
            for item in error.errors()
        ]
        raise ChoiceWrong(f"定级规则有 {len(errors)} 处不对，见 errors", errors=errors) from error


def _content(rule: LevelRule) -> Body:
    """The rule as JSON keeps it: levels become texts there."""
    return {
        "method": rule.method,
        "shares": {str(level): share for level, share in rule.shares.items()},
        "thresholds": {str(level): stars for level, stars in rule.thresholds.items()},
    }


def _body(session: Session) -> Body:
    row = store.choice_row(session, CHOICE)
    rule = current_rule(session)
    printed = printed_thresholds()
    return {
        "set": rule.set,
        "method": rule.method,
        "levels": [
            {
                "level": level,
                "stars": printed[level],
                "share": rule.shares.get(level, 1.0),
                "threshold": rule.thresholds.get(level, printed[level]),
            }
            for level in LEVELS
        ],
        "chosen_by": CHOSEN_HERE,
        "explanation": rule.text,
        "is_default": row is None,
        "version": 0 if row is None else row.version,
        "updated_by": None if row is None else row.updated_by,
        "updated_at": None if row is None else rfc3339(row.updated_at),
        "history": history_items(session, KIND, CHOICE),
    }
