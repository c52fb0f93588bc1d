"""Bad bodies: each is refused with a precise problem, costs little, and leaves the service well."""

from __future__ import annotations

import io
import json
import socket
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data_hub.bodies import ARROW, PARQUET, XLSX, arrow, bodies, csv_text, ndjson, parquet, xlsx
from tests.data_hub.hub import PROVIDER, Hub, contract, running

THING = "public.thing"
LIMIT = 3_000_000
GOOD = [{"id": f"good{place}", "n": place} for place in range(200)]


@pytest.fixture(scope="module", params=["small", "large"])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub that takes every body the way of small ones, and one that takes every body the way of large ones."""
    options: dict[str, Any] = {"data_hub_push_limit_bytes": LIMIT, "data_hub_unpacked_limit_bytes": 20_000_000}
    if request.param == "large":
        options |= {"data_hub_small_push_bytes": 0, "data_hub_segment_bytes": 1 << 16}
    else:
        options |= {"data_hub_small_push_bytes": LIMIT}
    for hub in running(tmp_path_factory.mktemp(request.param), **options):
        columns = {"id": "string", "n": {"logicalType": "integer", "required": True}, "text": "string"}
        assert hub.put_contract(THING, contract(THING, columns, ["id"], example={"id": "a", "n": 1})).status == 201
        yield hub


@pytest.fixture(autouse=True)
def still_well(hub: Hub) -> Iterator[None]:
    """After each bad body a good one lands, and nothing of the bad one is in the spool or the table."""
    before = len(hub.rows(THING))
    yield
    receipt = hub.push(THING, GOOD, mode="upsert").json()
    assert (receipt["state"], receipt["accepted"]) == ("committed", 200), receipt
    assert len(hub.rows(THING)) in (before, 200, before + 1)
    left = [path.name for path in (hub.platform.settings.home / "spool" / "data-hub").iterdir()]
    assert [name for name in left if name.startswith("psh_")] == []


def refused(hub: Hub, body: Any, content_type: str, **options: Any) -> dict[str, Any]:
    """The problem of a push that is refused as a whole."""
    answer = hub.push(THING, body, content_type, **options)
    assert answer.headers["content-type"] == "application/problem+json", answer.data
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status
    assert problem["type"] == f"urn:brain:problem:{problem['code']}"
    assert problem["detail"]
    return problem


@cache
def zip_bomb(unpacked_bytes: int, *, announced: int | None = None) -> bytes:
    """An XLSX whose sheet unpacks to a lot; the directory may announce less than that."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as part:
            for _ in range(unpacked_bytes >> 20):
                part.write(b" " * (1 << 20))
    data = out.getvalue()
    if announced is None:
        return data
    directory = data.rindex(b"PK\x01\x02")
    return data[: directory + 24] + struct.pack("<I", announced) + data[directory + 28 :]


TRUNCATED_ARROW = arrow(GOOD)[:-300]
HUGE_BATCH = arrow([{"id": "x", "n": 1, "text": "y" * (300 << 20)}])
PACKED_LINES = zlib.compress(b'{"id": "a", "n": 1}\n' * 1_500_000)
DEEP = "[" * 100_000 + "]" * 100_000

WHOLE = [
    ("not JSON", b"hello", "application/json", 422, "malformed_body"),
    ("a number", b"42", "application/json", 422, "malformed_body"),
    ("JSON cut off", b'[{"id": "a", "n": 1}, {"id"', "application/json", 422, "malformed_body"),
    ("empty NDJSON", b"\n \n", "application/x-ndjson", 422, "empty_body"),
    ("empty array", b"[]", "application/json", 422, "empty_body"),
    ("nothing", b"", "text/csv", 422, "empty_body"),
    ("a header only", b"id,n\n", "text/csv", 422, "empty_body"),
    ("a column missing", b"id\na\n", "text/csv", 422, "columns_mismatch"),
    ("a column unknown", b"id,n,colour\na,1,red\n", "text/csv", 422, "columns_mismatch"),
    ("a column twice", b"id,n,n\na,1,1\n", "text/csv", 422, "columns_mismatch"),
    ("bytes of no charset", b"id,n\n\x80\xff,1\n", "text/csv", 422, "charset_unknown"),
    ("Parquet cut off", parquet(GOOD)[:-100], PARQUET, 422, "truncated_parquet"),
    ("Parquet of 10 bytes", parquet(GOOD)[:10], PARQUET, 422, "truncated_parquet"),
    ("Parquet damaged in its footer", parquet(GOOD)[:-40] + b"\xff" * 32 + parquet(GOOD)[-8:], PARQUET, 422, None),
    ("not Parquet", ndjson(GOOD), PARQUET, 422, "not_parquet"),
    ("Parquet with a nested column", parquet([{"id": "a", "n": [1]}]), PARQUET, 422, "nested_column"),
    ("Parquet with an unknown column", parquet([{"id": "a", "n": 1, "x": 1}]), PARQUET, 422, "columns_mismatch"),
    ("Arrow cut off", TRUNCATED_ARROW, ARROW, 422, "malformed_arrow"),
    ("not Arrow", b"\x00" * 100, ARROW, 422, "malformed_arrow"),
    ("Arrow batch that unpacks to 300 MB", HUGE_BATCH, ARROW, 422, "batch_too_large"),
    ("not XLSX", ndjson(GOOD), XLSX, 422, "malformed_xlsx"),
    ("XLSX cut off", xlsx(GOOD)[:-200], XLSX, 422, "malformed_xlsx"),
    ("another type", b"x", "application/pdf", 415, "format_unsupported"),
    ("another charset", b"id,n\n", "text/csv; charset=utf-16", 415, "format_unsupported"),
    ("an unknown encoding", b"x", "text/csv", 415, "encoding_unsupported"),
    ("broken gzip", b"\x1f\x8bnonsense", "text/csv", 422, "malformed_encoding"),
    ("cut off gzip", zlib.compress(ndjson(GOOD))[:-9], "application/x-ndjson", 422, "malformed_encoding"),
    ("gzip that unpacks to 30 MB", PACKED_LINES, "application/x-ndjson", 413, "body_too_large"),
]  # fmt: skip
ENCODINGS = {
    "an unknown encoding": "br",
    "broken gzip": "gzip",
    "cut off gzip": "gzip",
    "gzip that unpacks to 30 MB": "gzip",
}


@pytest.mark.parametrize(("name", "body", "content_type", "status", "code"), WHOLE, ids=[case[0] for case in WHOLE])
def test_a_body_that_cannot_be_read_is_refused(
    hub: Hub, name: str, body: bytes, content_type: str, status: int, code: str | None
) -> None:
    """With a stable code and what to do; memory stays where it was."""
    process = psutil.Process()
    before = process.memory_info().rss

    headers = {"Content-Encoding": ENCODINGS[name]} if name in ENCODINGS else None
    problem = refused(hub, body, content_type, headers=headers)

    assert problem["status"] == status
    assert code is None or problem["code"] == code
    assert process.memory_info().rss - before < 250e6
    if status == 422:
        assert (problem["state"], problem["accepted"]) == ("refused", 0)
        kept = hub.call("GET", f"/v1/pushes/{problem['id']}").json()
        assert (kept["state"], kept["problems"][0]["code"]) == ("refused", problem["code"])


def test_a_header_that_does_not_fit_names_columns_and_the_nearest(hub: Hub) -> None:
    """Got, expected, unknown with a suggestion, missing."""
    problem = refused(hub, b"id,nn\na,1\n", "text/csv")

    assert problem["got"] == ["id", "nn"]
    assert problem["expected"] == ["id", "n", "text"]
    assert problem["unknown"] == [{"column": "nn", "nearest": None}] or problem["unknown"][0]["column"] == "nn"
    assert problem["missing"] == ["n"]


def test_an_xlsx_that_unpacks_to_gigabytes_is_refused_unread(hub: Hub) -> None:
    """Ten gigabytes announced, or announced as a kilobyte: the real bytes count, and only up to the limit."""
    honest, lying = zip_bomb(1 << 30), zip_bomb(400 << 20, announced=1000)
    before = psutil.Process().memory_info().rss
    started = time.monotonic()

    assert refused(hub, honest, XLSX)["code"] == "xlsx_too_large"
    assert refused(hub, lying, XLSX)["code"] in ("xlsx_too_large", "malformed_xlsx")

    assert time.monotonic() - started < 20
    assert psutil.Process().memory_info().rss - before < 150e6


@pytest.mark.parametrize(
    ("name", "line", "field", "code"),
    [
        ("deep JSON", f'{{"id": "deep", "n": 1, "text": {DEEP}}}', None, None),
        ("invalid UTF-8", b'{"id": "x\xff\xfe", "n": 1}', "", "malformed_line"),
        ("a NUL byte", '{"id": "a\\u0000b", "n": 1}', "id", "nul_byte"),
        ("a raw NUL byte", b'{"id": "a\x00b", "n": 1}', "", "malformed_line"),
        ("a line of 1.5 MB", f'{{"id": "{"x" * 1_500_000}", "n": 1}}', "", "malformed_line"),
        ("a list", '["id", "n"]', "", "malformed_line"),
        ("two objects", '{"id": "a", "n": 1} {"id": "b", "n": 1}', "", "malformed_line"),
        ("a fraction", '{"id": "a", "n": 1.5}', "n", "wrong_type"),
        ("a boolean for a number", '{"id": "a", "n": true}', "n", "wrong_type"),
        ("a number for a text", '{"id": 5, "n": 1}', "id", "wrong_type"),
        ("an object for a text", '{"id": "a", "n": 1, "text": {"a": 1}}', "text", "wrong_type"),
        ("a number beyond 64 bits", '{"id": "a", "n": 18446744073709551616}', "n", "wrong_type"),
    ],
)
def test_a_bad_line_comes_back_and_the_others_land(
    hub: Hub, name: str, line: str | bytes, field: str | None, code: str | None
) -> None:
    """Line 101 of 201 is wrong; 200 rows land whatever it is."""
    lines = ndjson(GOOD).split(b"\n")
    lines.insert(100, line if isinstance(line, bytes) else line.encode())

    receipt = hub.push(THING, b"\n".join(lines), mode="upsert").json()

    assert (receipt["state"], receipt["received"], receipt["accepted"]) == ("committed", 201, 200), receipt
    (reject,) = receipt["rejects"]
    assert reject["row"] == 101
    if code is not None:
        assert (reject["field"], reject["code"]) == (field, code)


def test_a_csv_record_with_too_few_values_comes_back(hub: Hub) -> None:
    """Its number does not count the header."""
    lines = csv_text(GOOD).splitlines()
    lines[50] = "only-one"

    receipt = hub.push(THING, "\n".join(lines).encode(), "text/csv", mode="upsert").json()

    assert (receipt["accepted"], [(item["row"], item["code"]) for item in receipt["rejects"]]) == (
        199,
        [(50, "malformed_line")],
    )


def test_a_body_over_the_limit_is_refused_by_its_announcement(hub: Hub) -> None:
    """Before a byte of it is read."""
    with socket.create_connection(("127.0.0.1", hub.port), timeout=10) as line:
        line.sendall(head(hub, {"Content-Length": str(LIMIT + 1)}))
        answer = line.recv(65536)

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"body_too_large" in answer


def test_a_body_over_the_limit_is_refused_by_count(hub: Hub) -> None:
    """Chunked, so nothing announces its length."""
    answer = hub.push(THING, (b'{"id": "a", "n": 1}\n' * 5000 for _ in range(100)))

    assert (answer.status, answer.json()["code"]) == (413, "body_too_large")


def head(hub: Hub, headers: dict[str, str]) -> bytes:
    """The beginning of a push by hand."""
    given = {
        "Host": "x", "Authorization": f"Bearer {hub.signer.token(PROVIDER, 'provider')}",
        "Content-Type": "application/x-ndjson", "Idempotency-Key": "by-hand",
    } | headers  # fmt: skip
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"POST /v1/datasets/{THING}/pushes?mode=upsert&wait=5 HTTP/1.1\r\n{lines}\r\n".encode()


def test_a_caller_who_leaves_half_way_leaves_nothing(hub: Hub) -> None:
    """And may send the same again under the same Idempotency-Key."""
    body = ndjson([{"id": "half", "n": 1}])
    with socket.create_connection(("127.0.0.1", hub.port), timeout=10) as line:
        line.sendall(head(hub, {"Content-Length": str(len(body) + 100)}) + body)
        time.sleep(0.3)
    deadline = time.monotonic() + 10
    while True:
        again = hub.push(THING, body, mode="upsert", key="by-hand")
        if again.status != 409 or time.monotonic() > deadline:
            break
        time.sleep(0.1)

    assert again.json()["state"] == "committed"
    assert "Idempotent-Replay" not in again.headers
    hub.push(THING, [{"id": "half"}], mode="delete")


def test_wrong_roles_and_unknown_names_are_refused(hub: Hub) -> None:
    """Also a key that no header should carry."""
    cases = [
        (hub.push(THING, GOOD, role="auditor"), 403, "push_not_permitted"),
        (hub.push("public.nothing", GOOD), 404, "dataset_unknown"),
        (hub.push(THING, GOOD, mode="replace"), 422, "fields_invalid"),
        (hub.push(THING, GOOD, key="x" * 201), 422, "idempotency_key_invalid"),
        (hub.push(THING, GOOD, headers={"Authorization": "Bearer nonsense"}), 401, "token_invalid"),
    ]
    assert [(answer.status, answer.json()["code"]) for answer, _, _ in cases] == [
        (status, code) for _, status, code in cases
    ]


def test_many_bad_bodies_at_once_do_not_hinder_good_ones(hub: Hub) -> None:
    """Twelve callers send nonsense while one pushes."""

    def nonsense() -> None:
        for body, content_type in bodies([{"wrong": 1}] * 50).values():
            hub.push(THING, body, content_type, wait=0)

    threads = [threading.Thread(target=nonsense) for _ in range(4)]
    for thread in threads:
        thread.start()
    states = [hub.push(THING, GOOD, mode="upsert").json()["state"] for _ in range(5)]
    for thread in threads:
        thread.join()

    assert states == ["committed"] * 5


def test_a_parquet_file_that_announces_a_trillion_rows_is_refused(hub: Hub) -> None:
    """Its footer is read, its rows are not."""
    out = io.BytesIO()
    pq.write_table(pa.table({"id": ["a"], "n": [1]}), out)
    data = out.getvalue()
    length = struct.unpack("<I", data[-8:-4])[0]
    footer = bytearray(data[-8 - length : -8])
    # num_rows is field 3 of the footer: a compact-protocol i64, here the byte 0x02 for one row.
    place = footer.index(b"\x16\x02\x19")
    huge = bytearray()
    value = 10**12 << 1
    while value > 127:
        huge.append(value & 127 | 128)
        value >>= 7
    huge.append(value)
    footer[place + 1 : place + 2] = huge
    lying = data[: -8 - length] + bytes(footer) + struct.pack("<I", len(footer)) + b"PAR1"

    assert refused(hub, lying, PARQUET)["code"] in ("too_many_rows", "malformed_parquet")


def test_the_detail_is_a_sentence_without_secrets(hub: Hub) -> None:
    """No path of the server, no trace."""
    for _, body, content_type, _, _ in WHOLE:
        text = json.dumps(hub.push(THING, body, content_type, wait=0).json(), ensure_ascii=False)
        assert str(hub.platform.settings.home) not in text
        assert "Traceback" not in text
