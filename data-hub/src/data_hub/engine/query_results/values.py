"""Arrow columns as JSON values and as texts.

A number that a double cannot carry exactly is a text, so no client rounds it by accident; NaN and infinities, which
JSON does not know, are null. Dates are ISO 8601, moments RFC 3339 in UTC, binary is base64.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

SAFE_INTEGER = 2**53 - 1
SAFE_DIGITS = 15
NANOSECONDS = 1_000_000_000


def unique_names(names: list[str]) -> list[str]:
    """The names with `_1`, `_2`, ... added where one came before: JSON objects and files need them unique."""
    seen: set[str] = set()
    taken = set(names)
    unique = []
    for name in names:
        chosen, number = name, 0
        while chosen in seen or (number and chosen in taken):
            number += 1
            chosen = f"{name}_{number}"
        seen.add(chosen)
        unique.append(chosen)
    return unique


def json_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows of a batch as JSON objects."""
    names = batch.schema.names
    if not names:
        return [{} for _ in range(batch.num_rows)]
    columns = [json_column(column) for column in batch.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def json_column(column: pa.Array) -> list[Any]:
    """The values of a column as JSON values."""
    kind = column.type
    if pa.types.is_integer(kind):
        return _integers(column)
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind)).to_pylist()  # type: ignore[no-any-return]
    text = _text_form(kind)
    if text is not None:
        return text(column).to_pylist()  # type: ignore[no-any-return]
    if pa.types.is_boolean(kind) or _is_text(kind) or pa.types.is_null(kind):
        return column.to_pylist()  # type: ignore[no-any-return]
    if pa.types.is_dictionary(kind):
        return json_column(column.dictionary_decode())
    return [json_value(value) for value in column.to_pylist()]


def json_value(value: object) -> Any:
    """One value, also inside lists and structs, as a JSON value."""
    if isinstance(value, bool | str | None):
        return value
    for kind, shown in _FORMS:
        if isinstance(value, kind):
            return shown(value)
    return str(value)


def text_column(column: pa.Array) -> pa.Array:
    """The column as CSV writes it: numbers and booleans as they are, everything else as text."""
    kind = column.type
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind))
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or _is_text(kind) or pa.types.is_null(kind):
        return column
    if pa.types.is_dictionary(kind):
        return text_column(column.dictionary_decode())
    if pa.types.is_decimal(kind):
        return column.cast(pa.string())
    text = _text_form(kind)
    if text is not None:
        return text(column)
    values = (json_value(value) for value in column.to_pylist())
    shown = [
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values
    ]
    return pa.array(shown, pa.string())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _integers(column: pa.Array) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if column.type.bit_width < 64:
        return values
    return [str(value) if value is not None and abs(value) > SAFE_INTEGER else value for value in values]


def _decimal(value: Decimal) -> Any:
    if value == value.to_integral_value() and abs(value) <= SAFE_INTEGER:
        return int(value)
    return float(value) if len(value.as_tuple().digits) <= SAFE_DIGITS else str(value)


def _text_form(kind: pa.DataType) -> Callable[[pa.Array], pa.Array] | None:
    if pa.types.is_timestamp(kind):
        return _moments
    if pa.types.is_date(kind) or pa.types.is_time(kind):
        return lambda column: column.cast(pa.string())
    return None


def _moments(column: pa.Array) -> pa.Array:
    """`2026-01-02T03:04:05Z`, with a fraction where a value has one; without `Z` when the type has no zone."""
    zone = "Z" if column.type.tz else ""
    plain = column.cast(pa.timestamp(column.type.unit))
    # Fails when a value has a fraction; then the fraction stays.
    with contextlib.suppress(pa.ArrowInvalid):
        plain = plain.cast(pa.timestamp("s"))
    text = pc.replace_substring(plain.cast(pa.string()), " ", "T")
    return pc.binary_join_element_wise(text, zone, "") if zone else text


def _duration(value: Any) -> str:
    """An interval as an ISO 8601 duration."""
    seconds, fraction = divmod(abs(value.nanoseconds), NANOSECONDS)
    sign = "-" if value.nanoseconds < 0 else ""
    shown = f"{sign}{seconds}" + (f".{fraction:09d}".rstrip("0") if fraction else "")
    parts = [f"{value.months}M"] * bool(value.months) + [f"{value.days}D"] * bool(value.days)
    clock = f"T{shown}S" if value.nanoseconds or not parts else ""
    return f"P{''.join(parts)}{clock}"


# In this order: a moment is a date too, an interval of Arrow is a tuple too.
_FORMS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    (int, lambda value: value if abs(value) <= SAFE_INTEGER else str(value)),
    (float, lambda value: value if math.isfinite(value) else None),
    (Decimal, _decimal),
    (pa.MonthDayNano, _duration),
    (datetime, lambda value: value.isoformat().replace("+00:00", "Z")),
    ((date, time), lambda value: value.isoformat()),
    (timedelta, lambda value: value.total_seconds()),
    (bytes, lambda value: base64.b64encode(value).decode()),
    (dict, lambda value: {str(name): json_value(item) for name, item in value.items()}),
    ((list, tuple), lambda value: [json_value(item) for item in value]),
)
