"""The 晨星工厂 assessment: an enterprise marks its criteria, a department reviews them mark by mark."""

from __future__ import annotations

from typing import Any

from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.ids import new_id
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from evaluation.domain.review import Action
from evaluation.service.catalogue import factory_criteria
from evaluation.service.evidence import evidence_body
from evaluation.service.histories import check_version, history_items, remember
from evaluation.service.levels import assessment_result, current_rule
from evaluation.service.problems import (
    AssessmentExists,
    AssessmentUnknown,
    ChoiceWrong,
    FieldsMissing,
    PeriodWrong,
)
from evaluation.service.review import review_body, step
from evaluation.store import reports as store

Body = dict[str, Any]
KIND = "assessment"
FIRST_YEAR = 2020


def create_assessment(database: Database, caller: Principal, year: str) -> Body:
    """Begins an enterprise's assessment of a year. Raises PeriodWrong, AssessmentExists."""
    now = utc_now()
    if not FIRST_YEAR <= int(year) <= now.year + 1:
        raise PeriodWrong(f"年份应在 {FIRST_YEAR} 到 {now.year + 1} 之间", field="year")
    assessment = new_id("asm")
    values = {
        "id": assessment,
        "org": caller.org,
        "org_name": caller.org_name or caller.org,
        "year": year,
        "marks": {},
        "state": "draft",
        "version": 1,
        "authors": [caller.subject],
        "created_at": now,
        "updated_at": now,
    }
    try:
        with database.transaction() as session:
            known = store.assessment_of(session, caller.org, year)
            if known is not None:
                raise AssessmentExists(f"{year} 年的评价已建立（{known.id}），请在其上填写", assessment=known.id)
            store.add_assessment(session, values)
            remember(session, caller, (KIND, assessment), "create", now, after={"year": year})
            return _page(session, caller, store.assessment_row(session, assessment))
    except IntegrityError as error:
        raise AssessmentExists(f"{year} 年的评价已建立，请在其上填写") from error


def list_assessments(
    database: Database, caller: Principal, *, org: str | None, state: str | None, year: str | None, after: str | None,
    limit: int,
) -> Body:  # fmt: skip
    """A page of assessments, newest first; an enterprise sees its own."""
    only = org if caller.is_government else caller.org
    with database.reading() as session:
        rows = store.assessment_rows(session, org=only, state=state, year=year, before=after, limit=limit + 1)
        rule = current_rule(session)
    items = [_head(row, caller) | {"result": _short(assessment_result(row.marks, rule))} for row in rows[:limit]]
    return {"items": items, "next": rows[limit - 1].id if len(rows) > limit else None}


def get_assessment(database: Database, caller: Principal, assessment: str) -> Body:
    """An assessment with every criterion, result, evidence and history. Raises AssessmentUnknown."""
    with database.reading() as session:
        row = known_assessment(session, caller, assessment)
        return _page(session, caller, row) | {"history": history_items(session, KIND, assessment)}


def mark(database: Database, caller: Principal, assessment: str, marks: dict[str, Body], if_match: str | None) -> Body:
    """Sets the enterprise's own marks of some criteria.

    marks: criterion id to {met: true, false or null, note}. Raises AssessmentUnknown, ChoiceWrong, EditedMeanwhile,
    StateConflict.
    """
    _check_criteria(marks)
    now = utc_now()
    with database.transaction() as session:
        row = known_assessment(session, caller, assessment, lock=True)
        check_version(if_match, row.version)
        changed = step(row, caller, "edit", "", now)
        merged = dict(row.marks)
        for name, given in marks.items():
            # An own mark that changes loses the review that was made of it.
            merged[name] = {"met": given["met"], "note": given["note"]}
        store.change_assessment(session, assessment, changed | {"marks": merged})
        before = {name: row.marks.get(name) for name in marks}
        remember(session, caller, (KIND, assessment), "edit", now, before=before, after=marks)
        return _page(session, caller, store.assessment_row(session, assessment))


def review_marks(
    database: Database, caller: Principal, assessment: str, marks: dict[str, Body], if_match: str | None
) -> Body:
    """Sets the reviewer's verdict on some criteria of a submitted assessment.

    marks: criterion id to {reviewed: true, false or null, review_note}. Raises AssessmentUnknown, ChoiceWrong,
    EditedMeanwhile, StateConflict, SecondPersonNeeded.
    """
    _check_criteria(marks)
    now = utc_now()
    with database.transaction() as session:
        row = known_assessment(session, caller, assessment, lock=True)
        check_version(if_match, row.version)
        step(row, caller, "confirm", "", now)
        merged = dict(row.marks)
        for name, given in marks.items():
            merged[name] = {"met": None, "note": ""} | merged.get(name, {}) | given
        values = {"marks": merged, "version": row.version + 1, "updated_at": now}
        store.change_assessment(session, assessment, values)
        before = {name: row.marks.get(name) for name in marks}
        remember(session, caller, (KIND, assessment), "review", now, before=before, after=marks)
        return _page(session, caller, store.assessment_row(session, assessment))


def act(database: Database, caller: Principal, assessment: str, action: Action, note: str) -> Body:
    """Submits, withdraws, confirms or returns.

    Raises AssessmentUnknown, StateConflict, SecondPersonNeeded, NotPermitted, FieldsMissing.
    """
    now = utc_now()
    with database.transaction() as session:
        row = known_assessment(session, caller, assessment, lock=True)
        changed = step(row, caller, action, note, now)
        if action == "submit" and not any(item.get("met") for item in row.marks.values()):
            raise FieldsMissing("提交前至少有一项自评为符合", field="marks")
        store.change_assessment(session, assessment, changed)
        remember(session, caller, (KIND, assessment), action, now, before=row.state, after=changed["state"], note=note)
        return _page(session, caller, store.assessment_row(session, assessment))


def known_assessment(session: Session, caller: Principal, assessment: str, *, lock: bool = False) -> Any:
    """The row of an assessment that the caller may see. Raises AssessmentUnknown."""
    row = store.assessment_row(session, assessment, lock=lock)
    if row is None or not (caller.is_government or row.org == caller.org):
        raise AssessmentUnknown(f"没有评价 {assessment}")
    return row


def _check_criteria(marks: dict[str, Body]) -> None:
    known = {criterion.id for criterion in factory_criteria().criteria}
    errors = [{"field": f"marks.{name}", "reason": "没有这项指标"} for name in marks if name not in known]
    if errors:
        raise ChoiceWrong(f"有 {len(errors)} 项指标编号不对，见 errors", errors=errors)


def _head(row: Any, caller: Principal) -> Body:
    return {"id": row.id, "org_name": row.org_name, "year": row.year} | review_body(
        row, caller, caller.has("operator", "analyst")
    )


def _short(result: Body) -> Body:
    return {name: result[name] for name in ("basis", "level", "met", "answered", "count")}


def _page(session: Session, caller: Principal, row: Any) -> Body:
    found = factory_criteria()
    files: dict[str, list[Body]] = {}
    for file in store.evidence_of(session, KIND, [row.id])[row.id]:
        files.setdefault(file.criterion, []).append(evidence_body(file))
    return _head(row, caller) | {
        "set": found.id,
        "title": found.title,
        "result": assessment_result(row.marks, current_rule(session)),
        "categories": [
            {
                "id": category.id,
                "name": category.name,
                "met": sum(bool(row.marks.get(item.id, {}).get("met")) for item in category.criteria),
                "criteria": [
                    {
                        "id": item.id,
                        "dimension": item.dimension,
                        "name": item.name,
                        "requirement": item.requirement,
                        "stars": list(item.stars),
                        "met": row.marks.get(item.id, {}).get("met"),
                        "note": row.marks.get(item.id, {}).get("note") or "",
                        "reviewed": row.marks.get(item.id, {}).get("reviewed"),
                        "review_note": row.marks.get(item.id, {}).get("review_note") or "",
                        "evidence": files.get(item.id, []),
                    }
                    for item in category.criteria
                ],
            }
            for category in found.categories
        ],
    }
