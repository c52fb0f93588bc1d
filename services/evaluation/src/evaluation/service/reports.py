"""Reported values: written, supported by evidence, submitted, and confirmed or returned by a second person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.ids import new_id
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from evaluation.domain.answers import AnswerWrong, check_answer
from evaluation.domain.review import Action
from evaluation.domain.sets import Indicator, IndicatorSet
from evaluation.service.catalogue import known_indicator, known_set
from evaluation.service.clusters import known_cluster
from evaluation.service.evidence import evidence_body
from evaluation.service.histories import check_version, history_items, remember
from evaluation.service.problems import EvidenceMissing, NotReported, ReportOpen, ReportUnknown, ValueWrong
from evaluation.service.requests import checked_period
from evaluation.service.review import review_body, step
from evaluation.store import reports as store

Body = dict[str, Any]
KIND = "report"


def create_report(database: Database, caller: Principal, set_id: str, code: str, body: Body) -> Body:
    """Begins a reported value as a draft.

    Raises SetUnknown, IndicatorUnknown, ClusterUnknown, PeriodWrong, ValueWrong, NotReported, ReportOpen.
    """
    found, indicator = known_indicator(set_id, code)
    if indicator.kind == "computed":
        raise NotReported(f"指标「{indicator.name}」由平台计算，不填报；口径与来源见 lineage")
    period = checked_period(body["period"])
    _check(indicator, body.get("value"), body.get("text"))
    now = utc_now()
    values = {
        "id": new_id("rep"),
        "set_id": set_id,
        "indicator": indicator.id,
        "cluster": body["cluster"],
        "period": period,
        "value": body.get("value"),
        "text": body.get("text"),
        "unit": indicator.unit or "",
        "note": body.get("note") or "",
        "state": "draft",
        "version": 1,
        "org": caller.org,
        "authors": [caller.subject],
        "created_at": now,
        "updated_at": now,
    }
    try:
        with database.transaction() as session:
            known_cluster(session, body["cluster"])
            _check_none_open(session, set_id, indicator, body["cluster"], period)
            store.add_report(session, values)
            remember(session, caller, (KIND, values["id"]), "create", now, after=_answer_of(values))
            return report_body(session, caller, store.report_row(session, values["id"]), (found, indicator))
    except IntegrityError as error:
        raise ReportOpen("同一指标、集群和期间已有一份正在填报，请在其上修改") from error


def get_report(database: Database, caller: Principal, report: str) -> Body:
    """A reported value with evidence and history. Raises ReportUnknown."""
    with database.reading() as session:
        row = _known(session, report)
        return report_body(session, caller, row) | {"history": history_items(session, KIND, report)}


def list_reports(database: Database, caller: Principal, filters: Body, after: str | None, limit: int) -> Body:
    """A page of reported values, newest first."""
    wanted = {name: value for name, value in filters.items() if value}
    with database.reading() as session:
        rows = store.report_rows(session, wanted, before=after, limit=limit + 1)
        files = store.evidence_of(session, KIND, [row.id for row in rows[:limit]])
        items = [report_body(session, caller, row, files=files[row.id]) for row in rows[:limit]]
    return {"items": items, "next": rows[limit - 1].id if len(rows) > limit else None}


def edit_report(database: Database, caller: Principal, report: str, body: Body, if_match: str | None) -> Body:
    """Changes value, text or note; a returned value becomes a draft again.

    Raises ReportUnknown, EditedMeanwhile, StateConflict, NotPermitted, ValueWrong.
    """
    now = utc_now()
    with database.transaction() as session:
        row = _known(session, report, lock=True)
        check_version(if_match, row.version)
        changed = step(row, caller, "edit", "", now)
        given = {name: body[name] for name in ("value", "text", "note") if name in body}
        after = {"value": row.value, "text": row.text, "note": row.note} | given
        _, indicator = known_indicator(row.set_id, row.indicator)
        _check(indicator, after["value"], after["text"])
        store.change_report(session, report, changed | after | {"note": after["note"] or ""})
        remember(session, caller, (KIND, report), "edit", now, before=_answer_of(row._mapping), after=_answer_of(after))
        return report_body(session, caller, store.report_row(session, report))


def act_on_report(
    database: Database, caller: Principal, report: str, action: Action, note: str, points: float | None = None
) -> Body:
    """Submits, withdraws, confirms, returns or discards. points: 0 to 100, by who confirms a statement.

    Raises ReportUnknown, StateConflict, SecondPersonNeeded, NotPermitted, FieldsMissing, EvidenceMissing.
    """
    now = utc_now()
    with database.transaction() as session:
        row = _known(session, report, lock=True)
        changed = step(row, caller, action, note, now)
        if action == "submit" and not store.evidence_of(session, KIND, [report])[report]:
            raise EvidenceMissing("提交前至少上传一份佐证材料")
        if action == "confirm":
            changed["points"] = _checked_points(row, points)
        store.change_report(session, report, changed)
        remember(session, caller, (KIND, report), action, now, before=row.state, after=changed["state"], note=note)
        return report_body(session, caller, store.report_row(session, report))


def _known(session: Session, report: str, *, lock: bool = False) -> Any:
    row = store.report_row(session, report, lock=lock)
    if row is None:
        raise ReportUnknown(f"没有填报值 {report}")
    return row


def _check(indicator: Indicator, value: float | None, text: str | None) -> None:
    try:
        check_answer(indicator, value, text)
    except AnswerWrong as error:
        raise ValueWrong(
            str(error), field=error.field, errors=[{"field": error.field, "reason": str(error)}]
        ) from error


def _checked_points(row: Any, points: float | None) -> float | None:
    """Points are given to statements only: numbers are scored by the scheme."""
    if points is None:
        return None
    if known_indicator(row.set_id, row.indicator)[1].answer != "text":
        raise ValueWrong("只有文字型指标由审核人打分，数值型按评分方案计分", field="points")
    if not 0 <= points <= 100:
        raise ValueWrong("评分应在 0 到 100 之间", field="points")
    return points


def _check_none_open(session: Session, set_id: str, indicator: Indicator, cluster: str, period: str) -> None:
    known = store.open_report(session, set_id, indicator.id, cluster, period)
    if known is not None:
        raise ReportOpen(
            f"指标「{indicator.name}」{period} 已有一份正在填报（{known.id}），请在其上修改", report=known.id
        )


def _answer_of(values: Any) -> Body:
    return {"value": values["value"], "text": values["text"], "note": values["note"]}


def report_body(
    session: Session,
    caller: Principal,
    row: Any,
    known: tuple[IndicatorSet, Indicator] | None = None,
    files: Sequence[Any] | None = None,
) -> Body:
    """A reported value as it is shown, with its evidence (files, where they were read already) and what comes next."""
    found, indicator = known or (known_set(row.set_id), known_indicator(row.set_id, row.indicator)[1])
    files = store.evidence_of(session, KIND, [row.id])[row.id] if files is None else files
    return {
        "id": row.id,
        "set": found.id,
        "indicator": row.indicator,
        "code": indicator.code,
        "name": indicator.name,
        "cluster": row.cluster,
        "period": row.period,
        "value": row.value,
        "text": row.text,
        "points": row.points,
        "unit": indicator.unit,
        "note": row.note,
        "evidence": [evidence_body(file) for file in files],
    } | review_body(row, caller, caller.has("operator", "analyst"))
