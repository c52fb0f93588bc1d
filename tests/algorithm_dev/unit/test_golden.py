"""The comparison of results with golden values."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import numpy as np
import pytest
from algorithm_dev.domain.card import GoldenVector
from algorithm_dev.domain.golden import MAX_DIFFERENCES, compare_golden
from hypothesis import given
from hypothesis import strategies as st


def vector(outputs: Any, **more: Any) -> GoldenVector:
    """A golden vector with these outputs."""
    both = {"zh": "例", "en": "example"}
    body = {"name": "v", "title": both, "source": {"title": "table 1"}, "inputs": [], "outputs": outputs}
    return GoldenVector.model_validate(body | more)


def test_a_difference_names_row_column_both_values_and_the_tolerance() -> None:
    """So that one line of a report is enough to look it up."""
    expected = vector([{"m": "a", "v": 1.0}, {"m": "b", "v": 2.0}], tolerance={"absolute": 0.1})
    found = compare_golden(expected, [{"m": "a", "v": 1.05}, {"m": "b", "v": 2.2}])

    assert [(item.row, item.column, item.expected, item.got) for item in found] == [(2, "v", "2", "2.2")]
    assert found[0].told == "v：第 2 行 v 应为 2，得到 2.2（容差 绝对 0.1、相对 0）"


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [
        (None, None, True),
        (None, math.nan, True),
        (None, 0.0, False),
        (1.0, None, False),
        (1.0, math.nan, False),
        (1.0, "1.0", False),
        (1, 1.0, True),
        (True, True, True),
        (True, 1, False),
        (1.0, True, False),
        ("ok", "ok", True),
        ("ok", "OK", False),
        ("2026-01-01", date(2026, 1, 1), True),
        (1.0, np.float64(1.0), True),
        (1.0, math.inf, False),
    ],
)
def test_values_are_equal_only_in_kind(expected: Any, got: Any, same: bool) -> None:
    """A missing value is no zero, a text no number, true no one."""
    assert (compare_golden(vector([{"v": expected}]), [{"v": got}]) == []) is same


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0, 10), st.floats(0, 0.5))
def test_the_tolerance_is_absolute_plus_relative_to_the_expected(
    expected: float, got: float, absolute: float, relative: float
) -> None:
    """The rule of the card, word for word."""
    told = vector([{"v": expected}], tolerance={"absolute": absolute, "relative": relative})

    assert (compare_golden(told, [{"v": got}]) == []) is (abs(got - expected) <= absolute + relative * abs(expected))


def test_rows_are_found_by_key_and_others_are_ignored() -> None:
    """A source that gives three of many rows is enough; none or two matches are told."""
    expected = vector([{"m": "b", "v": 2.0}], key=["m"])

    assert compare_golden(expected, [{"m": "a", "v": 9.0}, {"m": "b", "v": 2.0}]) == []
    assert compare_golden(expected, [{"m": "a", "v": 2.0}])[0].column == "key"
    assert compare_golden(expected, [{"m": "b", "v": 2.0}, {"m": "b", "v": 2.0}])[0].column == "key"


def test_a_column_may_have_its_own_tolerance_and_missing_columns_and_rows_are_told() -> None:
    """Figures printed with different digits stand in one table."""
    expected = vector([{"a": 1.0, "b": 1.0}], tolerances={"b": {"absolute": 1}})

    assert [item.column for item in compare_golden(expected, [{"a": 1.5, "b": 1.5}])] == ["a"]
    assert [item.column for item in compare_golden(expected, [{"b": 1.0}])] == ["a"]
    assert compare_golden(expected, [])[0].column == "rows"
    assert compare_golden(expected, "text")[0].column == "rows"


def test_tensors_are_compared_by_element_and_shape() -> None:
    """Row and place within the row are told, and the list is bounded."""
    expected = vector({"y": [[1.0, 2.0], [3.0, 4.0]]}, tolerance={"relative": 0.01})

    assert compare_golden(expected, {"y": np.array([[1.0, 2.0], [3.0, 4.01]])}) == []
    found = compare_golden(expected, {"y": [[1.0, 2.0], [3.0, 5.0]]})
    assert [(item.row, item.column) for item in found] == [(2, "y[1]")]
    assert "形状" in compare_golden(expected, {"y": [1.0, 2.0]})[0].expected
    assert "形状" in compare_golden(expected, {"y": [[1.0], [2.0, 3.0]]})[0].got
    assert compare_golden(expected, {})[0].column == "y"
    many = vector({"y": [0.0] * 500})
    assert len(compare_golden(many, {"y": np.ones(500)})) == MAX_DIFFERENCES
