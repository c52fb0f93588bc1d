"""Rows out of a body that lies in memory, one by one: small pushes, and the stretches of large ones with errors."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from data_hub.domain.columns import compare_columns
from data_hub.domain.push import Columns
from data_hub.domain.refusals import ContentRefused

MAX_ROW_BYTES = 1 << 20
BOM = b"\xef\xbb\xbf"
DELIMITERS = ",;\t"
csv.field_size_limit(MAX_ROW_BYTES)


@dataclass(frozen=True)
class Entry:
    """One row of a body, or in its place what is wrong with the line. `original` is its text as JSON or as it came."""

    row: Mapping[str, Any] | None
    original: Callable[[], str]
    error: str = ""


def read_lines(data: bytes) -> Iterator[Entry]:
    """Rows of NDJSON; blank lines are left out."""
    for line in data.removeprefix(BOM).split(b"\n"):
        if line and not line.isspace():
            yield _entry_of_line(line)


def _entry_of_line(line: bytes) -> Entry:
    def original() -> str:
        return line.decode("utf-8", "replace").strip()

    if len(line) > MAX_ROW_BYTES:
        return Entry(None, lambda: line[:1000].decode("utf-8", "replace"), f"超过 {MAX_ROW_BYTES >> 20} MiB")
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Entry(None, original, _json_error(error))
    if not isinstance(row, dict):
        return Entry(None, original, "应为一个对象 {…}")
    return Entry(row, original)


def read_array(data: bytes) -> Iterator[Entry]:
    """Rows of a JSON array, or the one row that a JSON object is. Raises ContentRefused when it is not JSON."""
    try:
        body = orjson.loads(data.removeprefix(BOM))
    except orjson.JSONDecodeError as error:
        raise malformed_body(_json_error(error)) from error
    rows = [body] if isinstance(body, dict) else body
    if not isinstance(rows, list):
        raise malformed_body("应为对象的数组 [{…}, …]")
    for row in rows:
        text = dumper(row)
        yield Entry(row, text) if isinstance(row, dict) else Entry(None, text, "应为一个对象 {…}")


def malformed_body(error: str) -> ContentRefused:
    """The refusal of a body that cannot be read as a whole."""
    return ContentRefused("malformed_body", f"内容不能读懂：{error}；请检查后重新推送")


def _json_error(error: orjson.JSONDecodeError) -> str:
    return f"不是合法的 JSON（第 {error.pos + 1} 个字节：{error.msg.split(':')[0]}）"


def dumper(row: Any) -> Callable[[], str]:
    """Gives the JSON text of a row when asked."""

    def dump() -> str:
        try:
            return orjson.dumps(row, default=str).decode()
        except orjson.JSONEncodeError:  # deeper than it prints
            return ""

    return dump


def decode_csv(data: bytes, charset: str | None) -> str:
    """The text of a CSV body: UTF-8, or GB18030 when it says so or is not UTF-8. Raises ContentRefused."""
    if charset != "gb18030":
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            if charset == "utf-8":
                where = data[: error.start].count(b"\n") + 1
                raise ContentRefused(
                    "not_utf8", f"第 {where} 行不是合法的 UTF-8；若为 GB18030 请注明 charset"
                ) from error
    try:
        return data.decode("gb18030")
    except UnicodeDecodeError as error:
        where = data[: error.start].count(b"\n") + 1
        raise ContentRefused("charset_unknown", f"第 {where} 行既不是 UTF-8 也不是 GB18030") from error


@dataclass(frozen=True)
class Header:
    """The first line of a CSV body."""

    names: tuple[str, ...]
    delimiter: str


def parse_header(line: str, wanted: Columns) -> Header:
    """The header, with the delimiter that splits it best. Raises ContentRefused when its columns do not fit."""
    delimiter = max(DELIMITERS, key=line.count)
    try:
        names = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error as error:
        raise malformed_body(f"表头：{error}") from error
    return Header(check_names([name.strip() for name in names], wanted), delimiter)


def check_names(names: Sequence[str], wanted: Columns) -> tuple[str, ...]:
    """The same names when they fit. Columns that begin with `_` and come with a reject file are left to be ignored."""
    real = [name for name in names if not name.startswith("_")]
    mismatch = compare_columns(real, wanted)
    if mismatch is not None:
        raise ContentRefused(
            "columns_mismatch",
            mismatch.sentence(),
            got=list(mismatch.got),
            expected=list(mismatch.expected),
            unknown=[{"column": name, "nearest": near} for name, near in mismatch.unknown],
            missing=list(mismatch.missing),
        )
    return tuple(names)


_LINE_END = re.compile(r"\r\n|\n|\r")


def read_csv(text: str, wanted: Columns) -> Iterator[Entry]:
    """Rows of a whole CSV body with its header."""
    first, rest = split_first_line(text)
    header = parse_header(first, wanted)
    yield from read_records(rest, header)


def split_first_line(text: str) -> tuple[str, str]:
    """The header line and everything after it. Raises ContentRefused when there is nothing."""
    if not text.strip():
        raise ContentRefused("empty_body", "内容是空的；请至少提供表头和一行数据")
    match = _LINE_END.search(text)
    return (text, "") if match is None else (text[: match.start()], text[match.end() :])


def read_records(text: str, header: Header) -> Iterator[Entry]:
    """Rows of CSV text without header."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=header.delimiter)
    kept = [place for place, name in enumerate(header.names) if not name.startswith("_")]
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Entry(None, lambda: "", f"CSV 写法有误（{error}）")
            continue
        if any(cells):
            yield _entry_of_cells(cells, header.names, kept)


def _entry_of_cells(cells: list[str], names: tuple[str, ...], kept: list[int]) -> Entry:
    if len(cells) != len(names):
        original = dumper(dict(zip(names, cells, strict=False)))
        return Entry(None, original, f"有 {len(cells)} 个值，表头有 {len(names)} 列")
    row = {names[place]: cells[place] for place in kept}
    return Entry(row, dumper(row))
