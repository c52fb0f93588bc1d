"""The check of inputs against a signature before a component sees them, and of outputs before a caller does."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from algorithm_dev.domain.findings import Finding, named, shown
from algorithm_dev.domain.signature import ColumnSchema, Parameter, Rows, Side, Signature
from algorithm_dev.domain.tensor_check import check_tensors

MAX_FINDINGS = 100
INT64 = 2**63
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
TYPE_WORDS = {"number": "数值", "integer": "整数", "boolean": "true 或 false", "string": "文本"}


def check_signature(side: Side, value: Any) -> list[Finding]:
    """What does not fit the inputs or outputs of a signature, at most MAX_FINDINGS; [] means that all of it fits.

    value: a list of rows for a rows signature; tensors by name (numpy arrays, or nested lists) for a tensors one.
    """
    return check_rows(side, value) if isinstance(side, Rows) else check_tensors(side, value)


def check_rows(rows: Rows, value: Any) -> list[Finding]:
    """What does not fit a rows signature: the number of rows, then each row's fields; rows count from 1."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return [Finding(None, "rows", f"应为行的列表，得到 {type(value).__name__}", "传 [{列: 值, …}, …]")]
    if len(value) < rows.min_rows:
        return [Finding(None, "rows", f"只有 {len(value)} 行，至少要 {rows.min_rows} 行", "补足数据后再运行")]
    if len(value) > rows.max_rows:
        remedy = "分批提交，或作为批量任务在数据集上运行"
        return [Finding(None, "rows", f"有 {len(value)} 行，至多 {rows.max_rows} 行", remedy)]
    required = set(rows.row_schema.required)
    plan = [(name, column, column.scalar, name in required) for name, column in rows.columns.items()]
    found: list[Finding] = []
    for number, row in enumerate(value, 1):
        found.extend(_row(rows, plan, number, row))
        if len(found) >= MAX_FINDINGS:
            return found[:MAX_FINDINGS]
    return found


def check_parameters(signature: Signature, value: Any) -> list[Finding]:
    """What does not fit the parameters: unknown names, wrong types, values outside their range."""
    if not isinstance(value, Mapping):
        return [Finding(None, "parameters", "应为键值结构", "传 {参数: 值}")]
    known = {item.name: item for item in signature.parameters}
    found: list[Finding] = []
    for name, given in value.items():
        if name not in known:
            listed = "、".join(known) or "（没有参数）"
            found.append(Finding(None, named(name), "没有这个参数", f"可用的参数：{listed}"))
        else:
            found.extend(_value(None, name, known[name], known[name].type, given))
    return found


def check_value(row: int | None, name: str, column: ColumnSchema, value: Any) -> list[Finding]:
    """What is wrong with one value of a column; [] means that it fits."""
    if value is None:
        return [] if column.nullable else [Finding(row, name, "不能为空", _wanted(column, column.scalar))]
    return list(_value(row, name, column, column.scalar, value))


def _row(rows: Rows, plan: list[tuple[str, ColumnSchema, str, bool]], number: int, row: Any) -> list[Finding]:
    if not isinstance(row, Mapping):
        return [Finding(number, "row", f"应为键值结构，得到 {shown(row)}", "每行写成 {列: 值}")]
    known = rows.columns
    found = [
        Finding(number, named(name), "没有这一列", f"删去，或改为：{'、'.join(list(known)[:20])}")
        for name in row
        if name not in known
    ]
    for name, column, kind, required in plan:
        value = row.get(name)
        if value is not None:
            reason = _mistake(column, kind, value)
            if reason:
                found.append(Finding(number, name, reason, _wanted(column, kind)))
        elif name not in row and required:
            found.append(Finding(number, name, "缺少该列", _wanted(column, kind)))
        elif name in row:
            found.extend(check_value(number, name, column, None))
    return found


def _value(row: int | None, name: str, rule: ColumnSchema | Parameter, kind: str, value: Any) -> Iterator[Finding]:
    reason = _mistake(rule, kind, value)
    if reason:
        yield Finding(row, name, reason, _wanted(rule, kind))


def _mistake(rule: ColumnSchema | Parameter, kind: str, value: Any) -> str | None:
    if kind == "string":
        return _text_mistake(rule, value)
    if (kind == "boolean") is not isinstance(value, bool) or not isinstance(value, int | float):
        return f"{shown(value)} 不是{TYPE_WORDS[kind]}"
    if kind == "boolean":
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return f"{shown(value)} 不是有限数值"
    if kind == "integer" and value != int(value):
        return f"{shown(value)} 不是整数"
    if kind == "integer" and not -INT64 <= value < INT64:
        return f"{shown(value)} 超出 64 位整数"
    if isinstance(value, int) and kind == "number" and abs(value) >= 2**1023:
        return f"{shown(value)} 超出双精度数"
    return _outside(rule, value)


def _outside(rule: ColumnSchema | Parameter, value: int | float) -> str | None:
    if rule.minimum is not None and value < rule.minimum:
        return f"{shown(value)} 小于下限 {rule.minimum:g}"
    if rule.exclusive_minimum is not None and value <= rule.exclusive_minimum:
        return f"{shown(value)} 不大于 {rule.exclusive_minimum:g}"
    if rule.maximum is not None and value > rule.maximum:
        return f"{shown(value)} 大于上限 {rule.maximum:g}"
    if rule.exclusive_maximum is not None and value >= rule.exclusive_maximum:
        return f"{shown(value)} 不小于 {rule.exclusive_maximum:g}"
    if rule.enum is not None and value not in rule.enum:
        return f"{shown(value)} 不在可选值中"
    return None


def _text_mistake(rule: ColumnSchema | Parameter, value: Any) -> str | None:
    if isinstance(value, datetime | date):
        value = value.isoformat()
    if not isinstance(value, str):
        return f"{shown(value)} 不是文本"
    if any("\ud800" <= letter <= "\udfff" for letter in value) or "\x00" in value:
        return "含有不能存储的字符"
    if rule.enum is not None and value not in rule.enum:
        return f"{shown(value)} 不在可选值中"
    if isinstance(rule, Parameter):
        return None
    if rule.max_length is not None and len(value) > rule.max_length:
        return f"有 {len(value)} 个字符，至多 {rule.max_length} 个"
    if rule.format and not _is_time(value, rule.format):
        return f"{shown(value)} 不是{'日期' if rule.format == 'date' else '时间'}"
    return None


def _is_time(text: str, form: str) -> bool:
    """ISO 8601: a calendar date, or a date and a time of day with or without zone."""
    try:
        if form == "date":
            return bool(DATE.fullmatch(text)) and bool(date.fromisoformat(text))
        return bool(DATE.match(text)) and len(text) >= 16 and bool(datetime.fromisoformat(text))
    except ValueError:
        return False


def _wanted(rule: ColumnSchema | Parameter, kind: str) -> str:
    if rule.enum is not None:
        return f"填 {'、'.join(str(item) for item in rule.enum[:20])} 之一"
    if isinstance(rule, ColumnSchema) and rule.format:
        return "填 2026-01-31 形式的日期" if rule.format == "date" else "填 2026-01-31T08:15:00 形式的时间"
    unit = f"，单位 {rule.unit}" if rule.unit and rule.unit != "1" else ""
    limits = [
        *([f"≥ {rule.minimum:g}"] if rule.minimum is not None else []),
        *([f"> {rule.exclusive_minimum:g}"] if rule.exclusive_minimum is not None else []),
        *([f"≤ {rule.maximum:g}"] if rule.maximum is not None else []),
        *([f"< {rule.exclusive_maximum:g}"] if rule.exclusive_maximum is not None else []),
    ]
    return f"填{TYPE_WORDS[kind]}{unit}{'，' + '、'.join(limits) if limits else ''}"
