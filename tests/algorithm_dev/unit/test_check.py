"""The check of rows, parameters and tensors against a signature."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from algorithm_dev.domain.card import parse_card
from algorithm_dev.domain.check import MAX_FINDINGS, check_parameters, check_rows, check_signature
from algorithm_dev.domain.signature import Rows, Signature, Tensors
from algorithm_dev.domain.tensor_check import check_tensors, fitting_arrays, to_array
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.algorithm_dev.cards import small_card

ROWS = Rows.model_validate(
    {
        "form": "rows",
        "min_rows": 1,
        "max_rows": 200,
        "schema": {
            "type": "object",
            "required": ["day", "n", "kwh", "on"],
            "properties": {
                "day": {"type": "string", "format": "date"},
                "at": {"type": ["string", "null"], "format": "date-time"},
                "n": {"type": "integer", "unit": "1", "minimum": 0, "maximum": 9},
                "kwh": {"type": "number", "unit": "kWh", "exclusiveMinimum": 0},
                "on": {"type": "boolean"},
                "grade": {"type": ["string", "null"], "enum": ["A", "B"]},
                "note": {"type": ["string", "null"], "maxLength": 5},
            },
        },
    }
)
GOOD: dict[str, Any] = {"day": "2026-02-28", "n": 3, "kwh": 1.5, "on": True}
TENSORS = Tensors.model_validate(
    {
        "form": "tensors",
        "tensors": [
            {"name": "x", "dtype": "FP32", "shape": ["batch", 3], "unit": "1", "minimum": -10},
            {"name": "k", "dtype": "INT64", "shape": ["batch"], "unit": "1"},
            {"name": "gaps", "dtype": "FP64", "shape": ["batch"], "unit": "1", "nan_allowed": True},
            {"name": "label", "dtype": "BYTES", "shape": ["batch"]},
        ],
    }
)
TWO: dict[str, Any] = {"x": [[1, 2, 3], [4, 5, 6]], "k": [1, 2], "gaps": [0.5, math.nan], "label": ["a", "b"]}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("day", "2026-02-30", "不是日期"),
        ("day", "26-02-01", "不是日期"),
        ("day", 20260201, "不是文本"),
        ("day", None, "不能为空"),
        ("at", "yesterday", "不是时间"),
        ("at", "2026-02-01", "不是时间"),
        ("n", 1.5, "不是整数"),
        ("n", True, "不是整数"),
        ("n", -1, "小于下限 0"),
        ("n", 10, "大于上限 9"),
        ("n", 10**400, "64 位"),
        ("kwh", "12", "不是数值"),
        ("kwh", 0, "不大于 0"),
        ("kwh", math.nan, "NaN"),
        ("kwh", math.inf, "不是有限"),
        ("kwh", 10**400, "双精度"),
        ("on", 1, "不是true"),
        ("grade", "C", "可选值"),
        ("note", "six letters", "至多 5"),
        ("note", "\ud800", "不能存储"),
        ("colour", "red", "没有这一列"),
    ],
)
def test_a_wrong_value_is_told_with_row_field_reason_and_remedy(field: str, value: Any, reason: str) -> None:
    """Row numbers count from 1; good rows beside it are not touched."""
    found = check_rows(ROWS, [GOOD, GOOD | {field: value}])

    assert [(item.row, item.field) for item in found] == [(2, field)]
    assert reason in found[0].reason
    assert found[0].remedy
    assert set(found[0].as_dict()) == {"row", "field", "reason", "what_to_do"}


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ([], "rows"),
        ([GOOD] * 201, "rows"),
        ("text", "rows"),
        ({"day": 1}, "rows"),
        ([3], "row"),
        ([{}], "day"),
    ],
)
def test_wrong_tables_are_told(rows: Any, field: str) -> None:
    """Too few rows, too many, and what is no table."""
    assert check_rows(ROWS, rows)[0].field == field


def test_good_rows_pass_and_findings_are_bounded() -> None:
    """Optional columns may be missing or null; a thousand mistakes are told in part."""
    full = GOOD | {"at": "2026-02-28T08:15:00+08:00", "grade": "A", "note": None, "n": 3.0}

    assert check_rows(ROWS, [GOOD, full]) == []
    assert len(check_rows(ROWS, [{"x": 1, "y": 2}] * 100)) == MAX_FINDINGS


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "day": st.dates().map(str),
                "n": st.integers(0, 9),
                "kwh": st.floats(min_value=0, exclude_min=True, allow_infinity=False),
                "on": st.booleans(),
            },
            optional={"grade": st.sampled_from(["A", "B", None]), "note": st.none() | st.text("abc", max_size=5)},
        ),
        min_size=1,
        max_size=5,
    ),
    st.data(),
)
@settings(max_examples=60, deadline=None)
def test_rows_of_the_schema_pass_and_one_spoilt_value_is_found(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    """No false alarm, and exactly the spoilt place is told."""
    assert check_rows(ROWS, rows) == []

    number = data.draw(st.integers(1, len(rows)))
    field, value = data.draw(
        st.sampled_from([("n", "3"), ("kwh", -1.0), ("on", "yes"), ("day", "2026-13-01"), ("grade", 1)])
    )
    rows[number - 1][field] = value
    assert [(item.row, item.field) for item in check_rows(ROWS, rows)] == [(number, field)]


@given(st.recursive(st.none() | st.floats() | st.text(max_size=3), lambda x: st.lists(x, max_size=3), max_leaves=9))
@settings(max_examples=100, deadline=None)
def test_no_input_breaks_the_checks(value: Any) -> None:
    """Whatever comes is told or accepted, never raised."""
    for found in (
        check_signature(ROWS, value),
        check_signature(ROWS, [{"day": value, "n": value, "kwh": value, "on": value}]),
        check_signature(TENSORS, value),
        check_signature(TENSORS, TWO | {"x": value}),
        check_signature(TENSORS, TWO | {"label": value}),
    ):
        assert all(item.reason and item.remedy for item in found)


def test_parameters_are_checked_and_filled_from_defaults() -> None:
    """Unknown names and values outside the range are told; what is missing is the default."""
    signature: Signature = parse_card(small_card()).signature

    assert check_parameters(signature, {}) == []
    assert signature.settled({}) == {"factor": 0.6}
    assert signature.settled({"factor": 2}) == {"factor": 2}
    assert [item.field for item in check_parameters(signature, {"factor": 11, "speed": 1})] == ["factor", "speed"]
    assert check_parameters(signature, [1])[0].field == "parameters"


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"x": [[1, 2], [3, 4]]}, "x", "第 1 维是 2，应为 3"),
        ({"x": [1, 2, 3]}, "x", "有 1 维"),
        ({"x": [[1, 2, 3], [4, 5]]}, "x", "长度不一"),
        ({"x": [[1, 2, 3], [4, 5, "6"]]}, "x", "其他类型"),
        ({"x": [[1, 2, 3], [4, 5, math.nan]]}, "x", "NaN"),
        ({"x": [[1, 2, 3], [4, 5, 1e300]]}, "x", "超出 FP32"),
        ({"x": [[1, 2, 3], [4, 5, -11]]}, "x", "小于下限 -10"),
        ({"k": [1, 2.5]}, "k", "其他类型"),
        ({"k": [1, 2**70]}, "k", ""),
        ({"k": [1, 2, 3]}, "k", "维 batch 是 3，而 x 中是 2"),
        ({"k": np.array([1, 2], np.int32)}, "k", "int32"),
        ({"gaps": [1, math.inf]}, "gaps", "NaN 或无穷"),
        ({"label": [1, 2]}, "label", "文本"),
        ({"z": [1]}, "z", "没有这个张量"),
    ],
)
def test_a_wrong_tensor_is_told(change: dict[str, Any], field: str, reason: str) -> None:
    """Name, data type, shape with named dimensions, NaN and range."""
    found = check_tensors(TENSORS, TWO | change)

    assert {item.field for item in found} == {field}
    assert reason in found[0].reason


def test_good_tensors_pass_as_lists_and_as_arrays() -> None:
    """Also with no rows at all; a missing tensor is told."""
    arrays = {"x": np.zeros((2, 3), np.float32), "k": np.zeros(2, np.int64), "gaps": np.zeros(2), "label": ["a", "b"]}

    assert check_tensors(TENSORS, TWO) == []
    assert check_tensors(TENSORS, arrays) == []
    assert check_tensors(TENSORS, {"x": np.zeros((0, 3), np.float32), "k": [], "gaps": [], "label": []}) == []
    assert [item.field for item in check_tensors(TENSORS, {"x": TWO["x"]})] == ["k", "gaps", "label"]


FLOATS = Tensors.model_validate(
    {
        "form": "tensors",
        "tensors": [
            {"name": "x", "dtype": "FP32", "shape": ["batch", 2], "unit": "1"},
            {"name": "y", "dtype": "FP64", "shape": ["batch"], "unit": "1", "nan_allowed": True},
        ],
    }
)
ODD = st.one_of(
    st.floats(), st.floats(width=32), st.integers(), st.booleans(), st.none(), st.text(max_size=2),
    st.sampled_from([3.4028234663852886e38, 3.4028235677973366e38, 1e39, -1e308, 2**63, 2**70, -(2**63)]),
)  # fmt: skip
PLAIN = st.floats(allow_nan=False, allow_infinity=False, width=32)
LISTS = st.one_of(ODD, st.lists(st.one_of(ODD, PLAIN), max_size=3), st.lists(st.lists(PLAIN, min_size=2, max_size=2)))


@given(
    value=st.one_of(
        st.dictionaries(st.sampled_from(["x", "y", "z"]), LISTS, max_size=3),
        st.integers(1, 3).flatmap(
            lambda n: st.fixed_dictionaries(
                {
                    "x": st.lists(st.lists(st.one_of(PLAIN, ODD), min_size=2, max_size=2), min_size=n, max_size=n),
                    "y": st.lists(st.one_of(PLAIN, st.integers(-5, 5)), min_size=n, max_size=n),
                }
            )
        ),
    )
)
def test_what_fits_in_short_fits_at_length_and_is_the_same(value: dict[str, Any]) -> None:
    """The short check takes nothing that the long one refuses, and gives the same arrays to the last bit."""
    short = fitting_arrays(FLOATS, value)
    if short is not None:
        assert check_tensors(FLOATS, value) == []
        assert list(short) == ["x", "y"]
        for tensor in FLOATS.tensors:
            long = to_array(tensor, value[tensor.name])
            assert (short[tensor.name].dtype, short[tensor.name].tobytes()) == (long.dtype, long.tobytes())


@pytest.mark.parametrize(
    "value", [{"x": [[1.5, -2.0]], "y": [0.0]}, {"x": [[0.1, 2.0], [3.4e38, 4.0]], "y": [1e300, -1e-300]}]
)
def test_plain_floats_are_checked_in_short(value: dict[str, Any]) -> None:
    """Otherwise the test above would say nothing."""
    assert fitting_arrays(FLOATS, value) is not None
