"""Cutting bodies into stretches: whatever the pieces they come in, the rows stay whole and in order."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from data_hub.domain.push import Columns
from data_hub.domain.refusals import ContentRefused
from data_hub.engine.census import lines_within, take_census
from data_hub.engine.readers import MAX_ROW_BYTES
from data_hub.engine.segments import CsvSegments, LineSegments, line_pieces
from hypothesis import given, settings
from hypothesis import strategies as st

WANTED = Columns(("a",), ("a", "b"), ("a", "b"))
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=12)
CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def feed(sink: LineSegments, body: bytes, cuts: list[int]) -> None:
    """Writes a body in pieces of changing size."""
    start, turn = 0, 0
    while start < len(body):
        size = cuts[turn % len(cuts)]
        sink.write([body[start : start + size]])
        start, turn = start + size, turn + 1
    sink.close()


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.dictionaries(st.sampled_from("ab"), TEXTS), min_size=1, max_size=20), cuts=CUTS)
def test_lines_stay_whole(rows: list[dict[str, str]], cuts: list[int]) -> None:
    """Joined again, the stretches are the body; each holds whole lines."""
    body = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    with TemporaryDirectory() as folder:
        segments: list[bytes] = []
        feed(LineSegments(Path(folder), 60, lambda path: segments.append(path.read_bytes())), body, cuts)

    assert b"".join(segments) == body + b"\n"
    assert [json.loads(line) for segment in segments for line in segment.splitlines()] == rows


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.tuples(TEXTS.filter(bool), TEXTS), min_size=1, max_size=20), cuts=CUTS)
def test_csv_records_with_line_ends_in_quotes_stay_whole(rows: list[tuple[str, str]], cuts: list[int]) -> None:
    """Python's csv reads from the stretches, one by one, what was written."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("a", "b"), *rows])
    with TemporaryDirectory() as folder:
        found: list[list[str]] = []

        def read(path: Path) -> None:
            found.extend(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))

        sink = CsvSegments(Path(folder), 40, read, WANTED, None)
        feed(sink, text.getvalue().encode(), cuts)

    assert [tuple(row) for row in found if row] == rows
    assert sink.header is not None
    assert sink.header.names == ("a", "b")


@pytest.mark.parametrize("charset", [None, "gb18030"])
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_gb18030_becomes_utf8(tmp_path: Path, charset: str | None, piece: int) -> None:
    """Said or found out; the two bytes of a character may come apart."""
    body = "a,b\nplain,1\n山东,淄博\n\U00020bb7,x\n".encode("gb18030")
    found: list[bytes] = []
    sink = CsvSegments(tmp_path, 1 << 20, lambda path: found.append(path.read_bytes()), WANTED, charset)

    feed(sink, body, [piece])

    assert b"".join(found).decode() == "plain,1\n山东,淄博\n\U00020bb7,x\n"


def test_bytes_of_no_charset_are_refused(tmp_path: Path) -> None:
    """UTF-8 text cannot turn into GB18030 in the middle."""
    sink = CsvSegments(tmp_path, 1 << 20, lambda path: None, WANTED, None)

    with pytest.raises(ContentRefused) as refused:
        feed(sink, "a,b\n山东,1\n".encode() * 10_000 + b"\xff\xff,2\n", [70_000])
    assert refused.value.code == "charset_unknown"


def test_a_line_without_end_is_refused_before_it_fills_memory(tmp_path: Path) -> None:
    """A body of one huge line is held only up to the limit."""
    sink = LineSegments(tmp_path, 1 << 20, lambda path: None)

    for _ in range(8):
        sink.write([b"x" * (MAX_ROW_BYTES // 4)])
    with pytest.raises(ContentRefused) as refused:
        sink.write([b"x" * (MAX_ROW_BYTES // 4)])
    assert refused.value.code == "row_too_large"


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=30), size=st.integers(1, 60))
def test_pieces_of_a_stretch_are_the_stretch(rows: list[tuple[str, str]], size: int) -> None:
    """Cut smaller, with quotes looked at or not, nothing is lost."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(text.getvalue().encode())
        for quotes in (True, False):
            assert b"".join(line_pieces(path, size, quotes=quotes)) == path.read_bytes()
        pieces = [piece.decode() for piece in line_pieces(path, size, quotes=True)]
    assert [tuple(row) for piece in pieces for row in csv.reader(io.StringIO(piece, newline="")) if row] == rows


SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-5, 5) | st.text("abc 甲", max_size=5)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.dictionaries(st.text("xyz", min_size=1, max_size=3), SCALARS), max_size=20), tight=st.booleans()
)
def test_census_counts_what_json_says(rows: list[dict[str, object]], tight: bool) -> None:
    """For rows whose texts hold no quotes, the bytes tell the kinds of all values."""
    separators = (",", ":") if tight else (", ", ": ")
    body = "".join(json.dumps(row, ensure_ascii=False, separators=separators) + "\n" for row in rows).encode()
    kinds = Counter(type(value) for row in rows for value in row.values())

    census = take_census(np.frombuffer(body, np.uint8))

    assert census.texts == kinds[str]
    assert census.numbers == kinds[int] + kinds[float]
    assert census.booleans == kinds[bool]
    assert census.nulls == kinds[type(None)]
    assert census.others == 0


@given(st.lists(st.integers(0, 50), max_size=12))
def test_long_lines_are_noticed(lengths: list[int]) -> None:
    """Never let pass when one is longer than the limit; always when all are shorter than half of it."""
    body = b"".join(b"x" * length + b"\n" for length in lengths)

    if max(lengths, default=0) > 20:
        assert not lines_within(np.frombuffer(body, np.uint8), 20)
    if max(lengths, default=0) < 9:
        assert lines_within(np.frombuffer(body, np.uint8), 20)
