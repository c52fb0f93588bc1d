"""A row is judged the same in a small push, row by row, and in a large one, by SQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from brain_contracts.contract import Column, DatasetContract
from data_hub.domain.push import Columns
from data_hub.domain.stamp import PushStamp
from data_hub.engine.bulk import BulkTyper
from data_hub.engine.duck import open_duck
from data_hub.engine.duplicates import drop_duplicates
from data_hub.engine.media import parse_media_type
from data_hub.engine.readers import parse_header
from data_hub.engine.rejects import RejectFile, read_rejects
from data_hub.engine.small import check_small
from data_hub.engine.warehouse import contract_schema
from hypothesis import given, settings
from hypothesis import strategies as st

USCC = "91370300MA3C00001U"
CONTRACT = DatasetContract(
    "public.thing", "1.0.0", "事物", "", "", "public", "base", "一般-1", "open",
    (
        Column("id", "string", required=True, max_length=6),
        Column("uscc", "string", code_type="uscc"),
        Column("region", "string", code_type="region"),
        Column("industry", "string", code_type="industry_class"),
        Column("month", "string", code_type="month"),
        Column("kind", "string", enum=("甲", "乙")),
        Column("word", "string", pattern="[a-z]*"),
        Column("count", "integer", minimum=-5, maximum=5),
        Column("amount", "number", minimum=-1000),
        Column("is_on", "boolean"),
        Column("day", "date"),
        Column("at", "timestamp"),
    ),
    ("id",),
)  # fmt: skip
STAMP = PushStamp("psh_1", USCC, datetime(2026, 11, 1, tzinfo=UTC), "append", None)

IDS = st.text("abc", min_size=0, max_size=7)
GOOD: dict[str, st.SearchStrategy[Any]] = {
    "id": st.text("abcdefgh", min_size=1, max_size=6),
    "uscc": st.just(USCC), "region": st.sampled_from(["370000", "370303"]), "industry": st.sampled_from(["C", "3451"]),
    "month": st.sampled_from(["2026-01", "1999-12"]), "kind": st.sampled_from("甲乙"),
    "word": st.text("abz", max_size=4),
    "count": st.integers(-5, 5), "amount": st.floats(-1000, 1e9) | st.integers(0, 10**6),
    "is_on": st.booleans(), "day": st.dates().map(str),
    "at": st.dates(date(1970, 1, 1), date(2100, 1, 1)).map(lambda day: f"{day}T08:15:30.25+08:00"),
}  # fmt: skip
ODD = (
    st.none() | st.booleans() | st.integers(-(2**66), 2**66) | st.floats() | st.text("aZ{[\" \x00甲,:\n'", max_size=6)
    | st.sampled_from(["1.5", "1e3", "nan", "inf", "true", "2026-13-01", "2026-02-30", "2026/1/2", "now", "epoch",
                       "infinity", "2026-01-02T03:04", "2026-01-02 03:04:05", "0x1f", "1_000", " 5 ", "+4", "１",
                       "99999", "C99", "2026-1", "20260102", "today", "yes", "T", "NULL", "null", "-0", "1e400",
                       "12:30", ""])
    | st.lists(st.integers(), max_size=2) | st.dictionaries(st.just("a"), st.integers(), max_size=1)
)  # fmt: skip


@st.composite
def rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows that are right but for a few odd values, keys that repeat, and columns nobody knows."""
    found = []
    for _ in range(draw(st.integers(1, 8))):
        names = draw(st.sets(st.sampled_from(list(GOOD)))) | {"id"}
        row = {name: draw(GOOD[name]) for name in GOOD if name in names}
        for name in draw(st.lists(st.sampled_from([*GOOD, "other"]), max_size=2)):
            row[name] = draw(ODD)
        found.append(row)
    return found


@dataclass
class Verdict:
    """What came of a body: typed rows by number, and what is wrong."""

    rows: dict[int, dict[str, Any]]
    wrong: list[tuple[int, str, str]]


def small(body: bytes, content_type: str) -> Verdict:
    """Judged whole in memory."""
    checked = check_small(body, parse_media_type(content_type), CONTRACT, STAMP)
    found = checked.table.to_pylist() if checked.tables else []
    wrong = sorted((item.row, item.field, item.code) for item in checked.rejects)
    return Verdict({row.pop("_row"): row for row in found}, wrong)


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """One DuckDB for all examples: opening one takes longer than an example."""
    with open_duck(tmp_path_factory.mktemp("duck"), 160) as connection:
        yield connection


def large(duck: duckdb.DuckDBPyConnection, body: bytes, header: str | None = None) -> Verdict:
    """Typed by SQL, with the row checker for what SQL finds wrong."""
    for table in ("known_regions", "known_industry_classes"):
        duck.execute(f"DROP TABLE IF EXISTS {table}")
    with TemporaryDirectory() as name:
        folder = Path(name)
        rejects = RejectFile(folder / "rejects.parquet", 20)
        typer = BulkTyper(duck, CONTRACT, STAMP, contract_schema(CONTRACT), folder, rejects)
        path = folder / "segment"
        path.write_bytes(body)
        names = CONTRACT.column_names
        form = None if header is None else parse_header(header, Columns(("id",), names, names))
        typer.finish(typer.begin(path, form, nullcontext()), nullcontext())
        drop_duplicates(typer)
        typer.close()
        rejects.close()
        found: dict[int, dict[str, Any]] = {}
        for file in typer.result.files:
            for place, row in enumerate(pq.read_table(file.path).to_pylist()):
                found[row.pop("_row") if file.has_row else file.first_row + place] = row
        wrong = list(read_rejects(rejects.path)) if rejects.count else []
    return Verdict(found, sorted((item.row, item.field, item.code) for item in wrong))


@settings(max_examples=250, deadline=None)
@given(given_rows=rows())
def test_json_rows_are_judged_the_same(duck: duckdb.DuckDBPyConnection, given_rows: list[dict[str, Any]]) -> None:
    """Every type, rule and code; typed values are equal too."""
    body = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in given_rows)

    assert large(duck, body) == small(body, "application/x-ndjson")


CELLS = st.one_of(ODD, *GOOD.values()).map(lambda value: "" if value is None else str(value))


@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_csv_rows_are_judged_the_same(duck: duckdb.DuckDBPyConnection, data: st.DataObject) -> None:
    """All values are text there; quotes and line ends within them are kept."""
    names = list(GOOD)
    lines = []
    for number in range(data.draw(st.integers(1, 6))):
        cells = {name: str(data.draw(GOOD[name])) for name in names} | {"id": f"r{number}"}
        for name in data.draw(st.lists(st.sampled_from(names), max_size=2)):
            cells[name] = data.draw(CELLS)
        lines.append(",".join('"' + cells[name].replace('"', '""') + '"' if cells[name] else "" for name in names))
    header, records = ",".join(names), "".join(line + "\n" for line in lines)

    assert large(duck, records.encode(), header) == small(f"{header}\n{records}".encode(), "text/csv; charset=utf-8")


def test_good_rows_take_the_fast_way(duck: duckdb.DuckDBPyConnection) -> None:
    """The comparison above would also hold if SQL gave up on everything: a right stretch becomes one file as it is."""
    row = {"id": "a", "uscc": USCC, "region": "370303", "industry": "3451", "month": "2026-10", "kind": "甲",
           "word": "abc", "count": 5, "amount": 1.5, "is_on": True, "day": "2026-10-31",
           "at": "2026-10-31T08:00:00+08:00"}  # fmt: skip
    with TemporaryDirectory() as name:
        folder = Path(name)
        for table in ("known_regions", "known_industry_classes"):
            duck.execute(f"DROP TABLE IF EXISTS {table}")
        typer = BulkTyper(
            duck, CONTRACT, STAMP, contract_schema(CONTRACT), folder, RejectFile(folder / "rejects.parquet", 20)
        )
        path = folder / "segment"
        path.write_bytes(b"".join(json.dumps(row | {"id": f"r{number}"}).encode() + b"\n" for number in range(3000)))
        typed = typer.finish(typer.begin(path, None, nullcontext()), nullcontext())
        typer.close()

        assert typed is not None
        assert pq.read_metadata(typed.path).num_rows == 3000
    assert (typed.rows, typed.has_row) == (3000, False)


@pytest.mark.parametrize(
    ("days", "kept"), [(["2026-1-2", "2026-01-02", "2026-01-03"], [1, 3]), (["2026-01-02", "2026-01-03"], [1, 2])]
)
def test_a_key_is_the_same_however_it_is_written(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path, days: list[str], kept: list[int]
) -> None:
    """Two texts of one day in two stretches are one key; of rows that differ none is lost."""
    contract = replace(CONTRACT, columns=(Column("day", "date", required=True),), key=("day",))
    rejects = RejectFile(tmp_path / "rejects.parquet", 20)
    typer = BulkTyper(duck, contract, STAMP, contract_schema(contract), tmp_path, rejects)
    for number, day in enumerate(days):
        path = tmp_path / f"segment-{number}"
        path.write_bytes(json.dumps({"day": day}).encode() + b"\n")
        typer.finish(typer.begin(path, None, nullcontext()), nullcontext())

    assert drop_duplicates(typer) == (len(kept) < len(days))
    typer.close()
    assert [file.first_row for file in typer.result.files] == kept
    assert sum(file.rows for file in typer.result.files) == len(kept)
    assert rejects.count == len(days) - len(kept)
