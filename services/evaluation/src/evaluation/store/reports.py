"""Reported values, factory assessments and their evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from evaluation.domain.review import OPEN
from evaluation.store.tables import assessments, evidence, reported_values

Row = sa.Row[Any]


def add_report(session: Session, values: dict[str, Any]) -> None:
    """Stores a draft. Raises IntegrityError when one is open for the same place."""
    session.execute(sa.insert(reported_values).values(values))


def report_row(session: Session, report: str, *, lock: bool = False) -> Row | None:
    """One reported value."""
    query = sa.select(reported_values).where(reported_values.c.id == report)
    return session.execute(query.with_for_update() if lock else query).first()


def open_report(session: Session, set_id: str, indicator: str, cluster: str, period: str) -> Row | None:
    """The report being worked on for a place."""
    return session.execute(
        sa.select(reported_values).where(
            reported_values.c.set_id == set_id,
            reported_values.c.indicator == indicator,
            reported_values.c.cluster == cluster,
            reported_values.c.period == period,
            reported_values.c.state.in_(OPEN),
        )
    ).first()


def report_rows(session: Session, filters: dict[str, Any], *, before: str | None, limit: int) -> Sequence[Row]:
    """Reports, newest first, that have all the given values."""
    query = sa.select(reported_values).order_by(reported_values.c.id.desc()).limit(limit)
    for name, value in filters.items():
        query = query.where(reported_values.c[name] == value)
    if before:
        query = query.where(reported_values.c.id < before)
    return session.execute(query).all()


def confirmed_reports(session: Session, cluster: str, set_id: str, indicator: str | None = None) -> Sequence[Row]:
    """Confirmed values of a cluster, oldest first: of one place the last one counts."""
    query = sa.select(reported_values).where(
        reported_values.c.cluster == cluster,
        reported_values.c.set_id == set_id,
        reported_values.c.state == "confirmed",
    )
    if indicator:
        query = query.where(reported_values.c.indicator == indicator)
    return session.execute(query.order_by(reported_values.c.reviewed_at, reported_values.c.id)).all()


def change_report(session: Session, report: str, values: dict[str, Any]) -> None:
    """Changes a report that the caller has read under its lock."""
    session.execute(sa.update(reported_values).where(reported_values.c.id == report).values(values))


def add_assessment(session: Session, values: dict[str, Any]) -> None:
    """Stores a draft. Raises IntegrityError when the enterprise has one for the year."""
    session.execute(sa.insert(assessments).values(values))


def assessment_row(session: Session, assessment: str, *, lock: bool = False) -> Row | None:
    """One assessment."""
    query = sa.select(assessments).where(assessments.c.id == assessment)
    return session.execute(query.with_for_update() if lock else query).first()


def assessment_of(session: Session, org: str, year: str) -> Row | None:
    """An enterprise's assessment of a year."""
    return session.execute(sa.select(assessments).where(assessments.c.org == org, assessments.c.year == year)).first()


def assessment_rows(
    session: Session, *, org: str | None, state: str | None, year: str | None, before: str | None, limit: int
) -> Sequence[Row]:
    """Assessments, newest first. Others' drafts are for their own organisation: the caller filters."""
    query = sa.select(assessments).order_by(assessments.c.id.desc()).limit(limit)
    for name, value in (("org", org), ("state", state), ("year", year)):
        if value:
            query = query.where(assessments.c[name] == value)
    if before:
        query = query.where(assessments.c.id < before)
    return session.execute(query).all()


def change_assessment(session: Session, assessment: str, values: dict[str, Any]) -> None:
    """Changes an assessment that the caller has read under its lock."""
    session.execute(sa.update(assessments).where(assessments.c.id == assessment).values(values))


def add_evidence(session: Session, values: dict[str, Any]) -> None:
    """Stores what is known of a file; its bytes are in the object store already."""
    session.execute(sa.insert(evidence).values(values))


def evidence_row(session: Session, evidence_id: str) -> Row | None:
    """One file."""
    return session.execute(sa.select(evidence).where(evidence.c.id == evidence_id)).first()


def evidence_of(session: Session, kind: str, subjects: Sequence[str]) -> dict[str, list[Row]]:
    """Files by the report or assessment that they belong to, oldest first."""
    found: dict[str, list[Row]] = {subject: [] for subject in subjects}
    query = sa.select(evidence).where(evidence.c.subject_kind == kind, evidence.c.subject_id.in_(list(subjects)))
    for row in session.execute(query.order_by(evidence.c.id)):
        found[row.subject_id].append(row)
    return found


def remove_evidence(session: Session, evidence_id: str) -> None:
    """Forgets a file."""
    session.execute(sa.delete(evidence).where(evidence.c.id == evidence_id))
