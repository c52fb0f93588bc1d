"""The rules of a contract applied to one row in Python: for examples and generators; pushes use SQL."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from brain_contracts.codes import CHECKS, CodeInvalid
from brain_contracts.contract import Column, DatasetContract
from brain_contracts.patterns import matches

MAX_NUMBER = 1e308  # also keeps infinities out; NaN fails the comparison


def row_errors(contract: DatasetContract, row: dict[str, Any]) -> list[tuple[str, str]]:
    """(column, reason) for everything in the row that breaks the contract."""
    known = set(contract.column_names)
    errors = [(name, "合同中没有这一列") for name in row if name not in known]
    for column in contract.columns:
        value = row.get(column.name)
        if value is None:
            if column.required:
                errors.append((column.name, "必填"))
        else:
            errors += [(column.name, reason) for reason in _value_errors(column, value)]
    return errors


def _value_errors(column: Column, value: Any) -> list[str]:
    if not _has_type(column.logical_type, value):
        return [f"应为 {column.logical_type}，现为 {value!r}"]
    if isinstance(value, str) and column.logical_type == "string":
        return _text_errors(column, value)
    errors = []
    if column.minimum is not None and value < column.minimum:
        errors.append(f"不应小于 {column.minimum:g}")
    if column.maximum is not None and value > column.maximum:
        errors.append(f"不应大于 {column.maximum:g}")
    return errors


def _text_errors(column: Column, value: str) -> list[str]:
    errors = []
    if column.code_type:
        try:
            CHECKS[column.code_type](value)
        except CodeInvalid as error:
            errors.append(str(error))
    if column.enum and value not in column.enum:
        errors.append(f"应为 {'、'.join(column.enum)} 之一")
    if column.pattern is not None and not matches(column.pattern, value):
        errors.append(f"应符合 {column.pattern}")
    if column.max_length is not None and len(value) > column.max_length:
        errors.append(f"不应超过 {column.max_length} 个字")
    return errors


def _has_type(logical_type: str, value: Any) -> bool:
    if logical_type == "boolean":
        return isinstance(value, bool)
    if logical_type == "integer":
        return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    if logical_type == "number":
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER
    if logical_type == "date":
        return isinstance(value, date) or _parses(date.fromisoformat, value)
    if logical_type == "timestamp":
        return isinstance(value, datetime) or _parses(datetime.fromisoformat, value)
    return isinstance(value, str)


def _parses(parse: Any, value: Any) -> bool:
    try:
        parse(value)
    except (TypeError, ValueError):
        return False
    return True
