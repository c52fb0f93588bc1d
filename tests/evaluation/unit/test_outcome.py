"""What is decided without a query, and figures from the data hub's statistics."""

from __future__ import annotations

from typing import Any

import pytest
from evaluation.domain.computations import Scope, computations
from evaluation.domain.outcome import failed, judge, judge_statistics, unanswerable
from evaluation.domain.periods import Period, parse_period
from pydantic import ValidationError

YEAR = parse_period("2025")


def statistics(**sizes: int | None) -> dict[str, Any]:
    """The data hub's answer with so many bytes a warehouse; None: nothing was ever committed."""
    return {
        "as_of": "2026-11-28T16:00:00Z",
        "warehouses": [
            {
                "warehouse": name,
                "bytes": size or 0,
                "rows": 10 if size is not None else 0,
                "last_commit": None if size is None else "2026-11-28T00:00:00Z",
                "carriers": [
                    {"kind": "table", "title": {"zh": "数据表", "en": "tables"}, "count": 3, "bytes": size or 0},
                    {"kind": "file", "title": {"zh": "数据文件", "en": "data files"}, "count": 9, "bytes": size or 0},
                ],
            }
            for name, size in sizes.items()
        ],
    }


def test_stored_terabytes_come_from_the_statistics() -> None:
    """1.5 TB and 0.25 TB: each warehouse and all three, with the carriers' kinds and numbers."""
    body = statistics(public=1_500_000_000_000, industry=250_000_000_000, enterprise=250_000_000_000)
    public = judge_statistics(computations()["stored_public"], body)
    total = judge_statistics(computations()["stored_total"], body)

    assert (public.value, public.unit, public.as_of) == (1.5, "TB", "2026-11-29")
    assert [(part.label, part.value) for part in public.parts] == [
        ("公共数据仓数据表", 3), ("公共数据仓数据文件", 9),
    ]  # fmt: skip
    assert total.value == 2.0
    assert len(total.parts) == 6


def test_a_warehouse_without_any_commit_has_no_value() -> None:
    """Not zero TB: nothing was ever pushed."""
    outcome = judge_statistics(computations()["stored_industry"], statistics(public=5, industry=None, enterprise=5))

    assert (outcome.state, outcome.value, outcome.reason_code) == ("no_value", None, "dataset_empty")
    assert outcome.reason == "行业数据仓还没有数据，不能计算；请先推送数据"


def test_a_yearly_figure_is_refused_over_another_span() -> None:
    """Six or eighteen months are no year; a stock takes any period."""
    for period in (Period("2025-01", "2025-06"), Period("2024-07", "2025-12")):
        outcome = unanswerable(computations()["revenue"], period, Scope())
        assert outcome is not None
        assert (outcome.reason_code, outcome.value) == ("period_not_a_year", None)
        assert f"有 {period.length} 个月" in (outcome.reason or "")
        assert unanswerable(computations()["enterprises"], period, Scope()) is None


def test_a_chain_is_asked_for_where_one_is_needed() -> None:
    """Completeness of no chain."""
    outcome = unanswerable(computations()["chain_completeness"], YEAR, Scope(region="3703"))

    assert outcome is not None
    assert outcome.reason == "本指标按产业链计算，请先选择产业链"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_what_is_no_finite_number_is_no_value(value: float | None) -> None:
    """Nothing, not-a-number and infinity."""
    outcome = judge(computations()["revenue"], YEAR, Scope(), {"value": value, "subjects": 3, "rows_used": 0})

    assert (outcome.state, outcome.value, outcome.reason_code) == ("no_value", None, "no_rows")


def test_a_failed_query_is_told_with_its_reason() -> None:
    """The hub's own words."""
    outcome = failed(computations()["revenue"], "query_time_limit", "超过 30 秒")

    assert outcome.reason == "数据中枢没有给出结果（query_time_limit）：超过 30 秒"


@pytest.mark.parametrize("scope", [{"region": "37030"}, {"region": "3703'"}, {"chain": "a\nb"}, {"chain": "x" * 65}])
def test_a_scope_takes_codes_only(scope: dict[str, str]) -> None:
    """Region prefixes of 2, 4 or 6 digits; chains without control characters."""
    with pytest.raises(ValidationError):
        Scope.model_validate(scope)


def test_a_query_has_exactly_the_values_that_it_names() -> None:
    """The query API refuses a surplus value, so a computation without scope sends none."""
    scope = Scope(region="3703", chain="m")

    assert computations()["platform_scenes_five"].query(YEAR, scope).parameters == {"period_end": "2025-12"}
    assert computations()["revenue"].query(YEAR, scope).parameters == {
        "chain": "m", "period_end": "2025-12", "period_start": "2025-01", "region": "3703",
    }  # fmt: skip
