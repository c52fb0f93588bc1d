"""Reading one value as the type of its column.

`json` values keep the types of JSON; `text` values come from CSV and spreadsheets, where numbers, dates and text are
not told apart. Both take a number or a date written as text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime, time
from typing import Any, Final

from brain_kit.clock import CHINA

INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
NUMBER = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)
DATE = re.compile(r"\s*([0-9]{4})([-/])([0-9]{1,2})\2([0-9]{1,2})\s*", re.ASCII)
TRUE_WORDS = ("true", "t", "yes", "y", "1", "是")
FALSE_WORDS = ("false", "f", "no", "n", "0", "否")
BOOLEANS = dict.fromkeys(TRUE_WORDS, True) | dict.fromkeys(FALSE_WORDS, False)
INT64 = range(-(2**63), 2**63)
# Floating numbers beyond this no longer hold every whole number.
EXACT = 2.0**53


class _Wrong:
    """The value cannot be read as the type."""


WRONG: Final = _Wrong()
Parse = Callable[[Any], Any]


def parse_string(value: Any) -> Any:
    """Text as it is; nothing else passes for text in JSON."""
    return value if isinstance(value, str) else WRONG


def parse_cell(value: Any) -> Any:
    """Text of a cell; a spreadsheet gives codes as numbers and months as dates."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(int(value)) if float(value).is_integer() else repr(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return WRONG


def parse_month_cell(value: Any) -> Any:
    """A month; a spreadsheet turns 2026-10 into the first day of October."""
    if isinstance(value, datetime | date):
        return f"{value.year:04d}-{value.month:02d}"
    return parse_cell(value)


def parse_integer(value: Any) -> Any:
    """A 64-bit whole number."""
    if isinstance(value, bool):
        return WRONG
    if isinstance(value, str):
        if INTEGER.fullmatch(value):
            value = int(value)
        elif NUMBER.fullmatch(value):
            value = float(value)
        else:
            return WRONG
    if isinstance(value, float):
        if not math.isfinite(value) or abs(value) > EXACT or not value.is_integer():
            return WRONG
        value = int(value)
    return value if isinstance(value, int) and value in INT64 else WRONG


def parse_number(value: Any) -> Any:
    """A finite number."""
    if isinstance(value, bool):
        return WRONG
    if isinstance(value, str):
        if not NUMBER.fullmatch(value):
            return WRONG
        value = float(value)
    if isinstance(value, int):
        try:
            return float(value)
        except OverflowError:
            return WRONG
    return value if isinstance(value, float) and math.isfinite(value) else WRONG


def parse_boolean(value: Any) -> Any:
    """True or false; the usual words for them as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return BOOLEANS.get(value.strip().lower(), WRONG)
    return WRONG


def parse_boolean_cell(value: Any) -> Any:
    """As `parse_boolean`; a spreadsheet may give 1.0 or 0.0."""
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    return parse_boolean(value)


def parse_date(value: Any) -> Any:
    """A day, 2026-10-31 or 2026/10/31; a moment counts when it is midnight."""
    if isinstance(value, datetime):
        return value.date() if value.time() == time() else WRONG
    if isinstance(value, date):
        return value
    if not isinstance(value, str):
        return WRONG
    match = DATE.fullmatch(value)
    if match is None:
        return WRONG
    try:
        return date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return WRONG


def parse_timestamp(value: Any) -> Any:
    """A moment; without a zone it is China's time. A day alone is its midnight."""
    if isinstance(value, str):
        text = value.strip()
        day = parse_date(text)
        try:
            value = datetime.combine(day, time()) if isinstance(day, date) else datetime.fromisoformat(text)
        except ValueError:
            return WRONG
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        return WRONG
    return value if value.tzinfo is not None else value.replace(tzinfo=CHINA)


JSON_PARSERS: dict[str, Parse] = {
    "string": parse_string,
    "integer": parse_integer,
    "number": parse_number,
    "boolean": parse_boolean,
    "date": parse_date,
    "timestamp": parse_timestamp,
}
TEXT_PARSERS: dict[str, Parse] = JSON_PARSERS | {"string": parse_cell, "boolean": parse_boolean_cell}


def parser_of(logical_type: str, code_type: str | None, *, is_text: bool) -> Parse:
    """How to read values of a column."""
    if is_text and code_type == "month":
        return parse_month_cell
    return (TEXT_PARSERS if is_text else JSON_PARSERS)[logical_type]
