"""Judging single rows: types, rules, codes; what is said about each."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from brain_contracts.contract import Column, DatasetContract
from data_hub.domain.push import Mode
from data_hub.domain.row_check import RowChecker

ENTERPRISE = "91370300MA3C00001U"


def contract(*columns: Column, key: tuple[str, ...] = (), owner_column: str | None = None) -> DatasetContract:
    """A contract with these columns."""
    return DatasetContract(
        "public.thing", "1.0.0", "事物", "thing", "", "public", "base", "一般-1", "open", columns, key, "", owner_column
    )


def judge(
    found: DatasetContract,
    row: dict[str, Any],
    mode: Mode = "append",
    owner: str | None = None,
    *,
    is_text: bool = False,
) -> tuple[list[Any], list[tuple[str, str]]]:
    """(values, [(field, code)])."""
    values, rejects = RowChecker(found, mode, owner=owner, is_text=is_text).check(row, 1, lambda: "text")
    assert all(reject.reason and reject.fix and reject.original == "text" for reject in rejects)
    return values, [(reject.field, reject.code) for reject in rejects]


@pytest.mark.parametrize(
    ("logical_type", "value", "typed"),
    [
        ("string", "淄博", "淄博"),
        ("integer", 312, 312),
        ("integer", 312.0, 312),
        ("integer", "312", 312),
        ("integer", -(2**63), -(2**63)),
        ("number", 3, 3.0),
        ("number", "1286.4", 1286.4),
        ("number", "1e3", 1000.0),
        ("boolean", False, False),
        ("boolean", "是", True),
        ("date", "2026-02-28", date(2026, 2, 28)),
        ("date", "2026/2/8", date(2026, 2, 8)),
        ("timestamp", "2026-10-31T08:15:00Z", datetime(2026, 10, 31, 8, 15, tzinfo=UTC)),
        ("timestamp", "2026-10-31 08:15:00", datetime(2026, 10, 31, 0, 15, tzinfo=UTC)),
        ("timestamp", "2026-10-31T08:15:00+08:00", datetime(2026, 10, 31, 0, 15, tzinfo=UTC)),
    ],
)
def test_a_value_is_read_as_its_type(logical_type: str, value: Any, typed: Any) -> None:
    """A time without a zone is China's, eight hours ahead of UTC."""
    values, wrong = judge(contract(Column("c", logical_type)), {"c": value})

    assert wrong == []
    assert values == [typed]
    assert type(values[0]) is type(typed)


@pytest.mark.parametrize(
    ("logical_type", "value"),
    [
        ("string", 12), ("string", True), ("string", {"a": 1}), ("string", ["a"]),
        ("integer", 1.5), ("integer", "1.5"), ("integer", True), ("integer", 2**63), ("integer", "1,000"),
        ("integer", "0x10"), ("integer", "1_000"), ("integer", 1e300), ("integer", "１２"),
        ("number", "abc"), ("number", "1,286.4"), ("number", "nan"), ("number", "inf"), ("number", float("inf")),
        ("number", True), ("number", "1e999"), ("number", 10**400), ("number", "12 万元"),
        ("boolean", 1), ("boolean", "maybe"), ("date", "2026-02-30"), ("date", "20260228"), ("date", 20260228),
        ("date", "2026-02-28T10:00:00"), ("timestamp", "yesterday"), ("timestamp", 1700000000),
    ],
)  # fmt: skip
def test_another_type_is_named(logical_type: str, value: Any) -> None:
    """Nothing is rounded, cut or guessed."""
    assert judge(contract(Column("c", logical_type)), {"c": value})[1] == [("c", "wrong_type")]


def test_spreadsheet_cells_become_text_and_months() -> None:
    """A spreadsheet gives codes as numbers and turns 2026-10 into a day; JSON must be exact."""
    found = contract(Column("code", "string"), Column("month", "string", code_type="month"), Column("yes", "boolean"))

    values, wrong = judge(found, {"code": 370303.0, "month": date(2026, 10, 1), "yes": 1.0}, is_text=True)

    assert wrong == []
    assert values == ["370303", "2026-10", True]


@pytest.mark.parametrize(
    ("column", "bad", "good", "code"),
    [
        (Column("c", "string", code_type="uscc"), "91370300MA3C00001X", ENTERPRISE, "bad_uscc"),
        (Column("c", "string", code_type="region"), "379999", "370303", "bad_region"),
        (Column("c", "string", code_type="industry_class"), "9999", "C3451", "bad_industry_class"),
        (Column("c", "string", code_type="month"), "2026-13", "2026-12", "bad_month"),
        (Column("c", "string", enum=("甲", "乙")), "丙", "乙", "not_in_enum"),
        (Column("c", "string", pattern="[a-z]{3}"), "abcd", "abc", "pattern"),
        (Column("c", "number", minimum=0), -0.01, 0, "below_minimum"),
        (Column("c", "integer", maximum=100), 101, 100, "above_maximum"),
        (Column("c", "string", max_length=3), "四个汉字", "三个字", "too_long"),
        (Column("c", "string"), "a\x00b", "ab", "nul_byte"),
        (Column("c", "string", required=True), "", "x", "required_missing"),
        (Column("c", "number", required=True), None, 1, "required_missing"),
    ],
)
def test_each_rule_has_its_code(column: Column, bad: Any, good: Any, code: str) -> None:
    """A value on the right side of the rule passes."""
    assert judge(contract(column), {"c": bad})[1] == [("c", code)]
    assert judge(contract(column), {"c": good})[1] == []


def test_every_wrong_field_of_a_row_is_named() -> None:
    """Also columns the contract lacks, with the nearest known name."""
    found = contract(Column("revenue", "number", required=True), Column("employees", "integer"))

    checker = RowChecker(found, "append", owner=None, is_text=False)
    _, rejects = checker.check({"revenu": 1, "employees": "many"}, 7, lambda: "{}")

    assert [(item.row, item.field, item.code) for item in rejects] == [
        (7, "revenue", "required_missing"),
        (7, "employees", "wrong_type"),
        (7, "revenu", "unknown_column"),
    ]
    assert "revenue" in rejects[2].fix


def test_an_unknown_column_without_a_value_is_let_pass() -> None:
    """Nothing is lost with it."""
    assert judge(contract(Column("id", "string")), {"id": "a", "other": None}) == (["a"], [])


def test_an_enterprise_may_only_push_its_own_rows() -> None:
    """Others are not bound to the owner column."""
    found = contract(Column("uscc", "string", required=True), key=("uscc",), owner_column="uscc")

    assert judge(found, {"uscc": "X"}, owner=ENTERPRISE)[1] == [("uscc", "not_your_row")]
    assert judge(found, {"uscc": ENTERPRISE}, owner=ENTERPRISE)[1] == []
    assert judge(found, {"uscc": "X"}, owner=None)[1] == []


def test_a_deletion_needs_only_the_key() -> None:
    """Required columns beside the key may be missing, and what they hold is not judged."""
    found = contract(
        Column("id", "string", required=True), Column("n", "integer", required=True), key=("id",)
    )  # fmt: skip

    assert judge(found, {"id": "a"}, "delete") == (["a"], [])
    assert judge(found, {"id": "a", "n": "x"}, "delete")[1] == []
    assert judge(found, {"n": 1}, "delete")[1] == [("id", "required_missing")]
    assert judge(found, {"id": "a"}, "append")[1] == [("n", "required_missing")]
