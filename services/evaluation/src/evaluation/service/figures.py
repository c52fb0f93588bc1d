"""Figures of a cluster as they are kept: the newest value of each computation and period, ready to be shown."""

from __future__ import annotations

from typing import Any

from brain_kit.clock import rfc3339
from sqlalchemy.orm import Session

from evaluation.domain.computations import Computation, computations
from evaluation.domain.figures import CURRENT, figure_period
from evaluation.domain.periods import Period
from evaluation.store import values as store

Body = dict[str, Any]
NOT_COMPUTED = "还没有计算，请点「计算」，或等数据入仓后自动计算"


class Figures:
    """The newest values of one cluster, read once."""

    def __init__(self, rows: Any) -> None:
        self._rows = {(row.computation, row.period): row for row in rows}

    @classmethod
    def of(cls, session: Session, cluster: str, computation: str | None = None) -> Figures:
        """Every figure of a cluster, or those of one computation."""
        return cls(store.newest_values(session, cluster, computation=computation))

    def row(self, computation: str, period: Period) -> Any | None:
        """The newest value for a period; None when it was never computed."""
        known = computations().get(computation)
        return None if known is None else self._rows.get((computation, figure_period(known, period)))

    def figure(self, computation: str, period: Period) -> Body:
        """A figure with what a reader must know: value or reason, unit, date, sources."""
        known = computations()[computation]
        row = self.row(computation, period)
        if row is None:
            return _absent(known, figure_period(known, period))
        return figure_body(known, row)

    def points(self, computation: str, periods: list[Period]) -> list[Body]:
        """(period, value, reason) for each period, in order."""
        found = []
        for period in periods:
            row = self.row(computation, period)
            found.append(
                {
                    "period": period.text,
                    "value": None if row is None else row.value,
                    "reason": NOT_COMPUTED if row is None else row.reason,
                    "as_of": None if row is None else row.as_of,
                }
            )
        return found

    def months(self) -> list[str]:
        """The months at whose ends figures are known, oldest first."""
        ends = {period if len(period) == 7 else f"{period}-12" for _, period in self._rows if len(period) in (4, 7)}
        return sorted(end for end in ends if end != CURRENT)


def figure_body(computation: Computation, row: Any) -> Body:
    """A stored value as it is shown."""
    return {
        "computation": computation.id,
        "title": computation.title,
        "period": row.period,
        "value": row.value,
        "unit": row.unit,
        "state": "computed" if row.value is not None else "no_value",
        "reason_code": row.reason_code,
        "reason": row.reason,
        "as_of": row.as_of,
        "numerator": row.numerator,
        "denominator": row.denominator,
        "parts": row.detail.get("parts") or [],
        "notes": row.detail.get("notes") or [],
        "missing_months": row.detail.get("missing_months") or [],
        "rows_used": row.detail.get("rows_used"),
        "sources": row.sources,
        "computed_at": rfc3339(row.computed_at),
        "run": row.run,
        "formula": computation.formula,
        "choice": computation.choice,
    }


def _absent(computation: Computation, period: str) -> Body:
    return {
        "computation": computation.id,
        "title": computation.title,
        "period": period,
        "value": None,
        "unit": computation.unit,
        "state": "not_computed",
        "reason_code": "not_computed",
        "reason": NOT_COMPUTED,
        "as_of": None,
        "numerator": None,
        "denominator": None,
        "parts": [],
        "notes": [],
        "missing_months": [],
        "rows_used": None,
        "sources": [{"dataset": name, "version": None} for name in computation.datasets],
        "computed_at": None,
        "run": None,
        "formula": computation.formula,
        "choice": computation.choice,
    }
