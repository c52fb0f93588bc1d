"""The scoring scheme of a set 本平台选定: no document prescribes weights, so they are edited and shown as a choice."""

from __future__ import annotations

import math
from typing import Any

from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from sqlalchemy.orm import Session

from evaluation.domain.scoring import Rule, SchemeUnfit, ScoringScheme, default_scheme
from evaluation.domain.sets import IndicatorSet
from evaluation.service.catalogue import known_set
from evaluation.service.histories import check_version, history_items, remember
from evaluation.service.problems import ChoiceWrong
from evaluation.store import choices as store

Body = dict[str, Any]
KIND = "weights"
CHOSEN_HERE = "本平台选定"
EQUAL_TEXT = "文件没有规定权重；默认各项等权，按“指标值 ÷ 满分值”计分，可以修改，修改留有记录"
HEAVIEST = 1000.0


def get_weights(database: Database, set_id: str) -> Body:
    """Weights and full marks of a set with their history. Raises SetUnknown."""
    found = known_set(set_id)
    with database.reading() as session:
        return _body(session, found)


def put_weights(database: Database, caller: Principal, set_id: str, body: Body, if_match: str | None) -> Body:
    """Replaces weights and full marks; indicators left out weigh nothing.

    body: weights, full_marks (both by indicator id), note. Raises SetUnknown, ChoiceWrong naming each wrong one,
    EditedMeanwhile.
    """
    found = known_set(set_id)
    weights, full_marks = body["weights"], body["full_marks"]
    _check(found, weights, full_marks)
    rules = {
        item.id: Rule(weight=weights.get(item.id, 0.0), full_mark=full_marks.get(item.id)) for item in found.indicators
    }
    now = utc_now()
    with database.transaction() as session:
        row = store.choice_row(session, choice_id(set_id))
        check_version(if_match, 0 if row is None else row.version)
        before = current_scheme(session, found)
        after = before.model_copy(update={"rules": rules})
        try:
            after.fitted(found)
        except SchemeUnfit as error:
            raise ChoiceWrong(str(error), field="weights") from error
        stored = {name: rule.model_dump() for name, rule in rules.items()}
        store.save_choice(session, choice_id(set_id), stored, caller.subject, now)
        changed = {
            name: [_pair(before.rule(name)), _pair(rule)] for name, rule in rules.items() if before.rule(name) != rule
        }
        remember(session, caller, (KIND, set_id), "put", now, after=changed, note=body["note"])
        return _body(session, found)


def current_scheme(session: Session, found: IndicatorSet) -> ScoringScheme:
    """What was chosen, else the scheme that the platform begins with."""
    row = store.choice_row(session, choice_id(found.id))
    begun = default_scheme()
    if begun.set != found.id:
        begun = ScoringScheme(id=f"{found.id}-equal", set=found.id, title="等权评分", text=EQUAL_TEXT)
    if row is None:
        return begun
    return begun.model_copy(update={"rules": {name: Rule.model_validate(rule) for name, rule in row.content.items()}})


def choice_id(set_id: str) -> str:
    """Under which id the scheme of a set is kept."""
    return f"scoring/{set_id}"


def _check(found: IndicatorSet, weights: dict[str, float], full_marks: dict[str, float]) -> None:
    known = {item.id: item for item in found.indicators}
    errors: list[Body] = []
    for field, given, least in (("weights", weights, 0.0), ("full_marks", full_marks, math.ulp(0.0))):
        for name, value in given.items():
            if name not in known:
                errors.append({"field": f"{field}.{name}", "reason": "本体系没有这项指标"})
            elif not math.isfinite(value) or value < least or (field == "weights" and value > HEAVIEST):
                wanted = f"0 到 {HEAVIEST:g} 之间" if field == "weights" else "大于 0 的数"
                errors.append({"field": f"{field}.{name}", "reason": f"应为{wanted}", "value": value})
            elif field == "full_marks" and known[name].answer == "text":
                errors.append({"field": f"{field}.{name}", "reason": "文字型指标由评审人打分，没有满分值"})
    if errors:
        raise ChoiceWrong(f"评分方案有 {len(errors)} 处不对，见 errors", errors=errors)


def _pair(rule: Rule) -> list[float | None]:
    return [rule.weight, rule.full_mark]


def _body(session: Session, found: IndicatorSet) -> Body:
    row = store.choice_row(session, choice_id(found.id))
    scheme = current_scheme(session, found)
    total = math.fsum(scheme.rule(item.id).weight for item in found.indicators)
    return {
        "set": found.id,
        "title": found.title,
        "chosen_by": CHOSEN_HERE,
        "explanation": scheme.text,
        "is_default": row is None,
        "version": 0 if row is None else row.version,
        "updated_by": None if row is None else row.updated_by,
        "updated_at": None if row is None else rfc3339(row.updated_at),
        "items": [
            {
                "id": item.id,
                "code": item.code,
                "name": item.name,
                "unit": item.unit,
                "group": group.title,
                "answer": item.answer,
                "weight": scheme.rule(item.id).weight,
                "share": scheme.rule(item.id).weight / total,
                "full_mark": scheme.rule(item.id).full_mark,
            }
            for group in found.groups
            for item in group.indicators
        ],
        "history": history_items(session, KIND, found.id),
    }
