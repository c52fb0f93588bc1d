"""The generated Python client against the running platform it was generated from."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import importlib
import inspect
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from industry_brain.client.generate import generate
from service_portal.portal import calling
from service_portal.portal.catalogue import operation

from tests.e2e.played import OWNER, Stage

MONTHLY = "enterprise.enterprise_monthly"


@pytest.fixture(scope="module")
def folder(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client generated from the running platform's document."""
    folder: Path = tmp_path_factory.mktemp("client")
    generate(stage.document(), folder)
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Any]:
    """The generated package, imported from where it was written."""
    sys.path.insert(0, str(folder))
    yield importlib.import_module("brain_client")
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "brain_client"]:
        del sys.modules[name]


@pytest.fixture
def brain(client: Any, stage: Stage) -> Iterator[Any]:
    """The owner's manager."""
    with client.Brain(stage.url, stage.tokens["manager"]) as brain:
        yield brain


def rows(first: int, count: int) -> list[dict[str, Any]]:
    """Months of the owner, from the year `first`."""
    return [
        {"uscc": OWNER, "month": f"{first + number // 12}-{number % 12 + 1:02}", "revenue_10k_cny": 100.0 + number}
        for number in range(count)
    ]


def test_the_same_document_gives_the_same_files(stage: Stage, folder: Path, tmp_path: Path) -> None:
    """Byte for byte, so that a release can be checked; every operation of the document is in it."""
    written = generate(stage.document(), tmp_path)

    assert sorted(written) == sorted(stage.addresses())
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.read_bytes() == (tmp_path / path.relative_to(folder)).read_bytes(), path.name


def test_the_generated_package_passes_the_strict_type_checker(folder: Path) -> None:
    """A user's editor and type checker understand it."""
    cache = str(folder / ".mypy_cache")
    line = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--cache-dir", cache, "brain_client"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=240)

    assert done.returncode == 0, done.stdout


def test_a_wheel_can_be_built(folder: Path, tmp_path: Path) -> None:
    """As `make client` does, without a network."""
    uv = Path(sys.executable).parent / "uv"
    line = [str(uv), "build", "--quiet", "--wheel", "--no-build-isolation", "--offline", "--python", sys.executable]
    subprocess.run([*line, "--out-dir", str(tmp_path), str(folder)], check=True, timeout=120)

    assert [path.name for path in tmp_path.glob("*.whl")] == ["brain_client-0.1.0-py3-none-any.whl"]


def test_push_wait_and_query(brain: Any) -> None:
    """Rows pushed are there to be queried; a receipt is typed and counts them."""
    receipt = brain.data_hub.push(MONTHLY, rows(2001, 24), content_type="application/json", mode="upsert")
    final = brain.wait_for_push(receipt["id"], timeout_s=60)
    sql = "SELECT count(*) AS n, sum(revenue_10k_cny) AS r FROM enterprise.enterprise_monthly WHERE month < $m"
    page = brain.data_hub.query({"sql": sql, "parameters": {"m": "2003-01"}})

    assert (final["state"], final["accepted"], final["rejected"]) == ("committed", 24, 0)
    # 24 rows of 100, 101, ... 123: 24 * 100 + 23 * 24 / 2
    assert page["items"] == [{"n": 24, "r": 2676.0}]


def test_a_push_streams_a_file_and_counts_once(brain: Any, client: Any, tmp_path: Path) -> None:
    """A Path is read while it is sent; the same content under the same key is not taken twice."""
    table = pa.Table.from_pylist(rows(2010, 12))
    path = tmp_path / "months.parquet"
    pq.write_table(table, path)
    given = {"content_type": "application/vnd.apache.parquet", "mode": "upsert", "wait": 60, "idempotency_key": "f-1"}
    first = brain.data_hub.push(MONTHLY, path, **given)
    again = brain.data_hub.push(MONTHLY, path.read_bytes(), **given)

    assert first["state"] == "committed"
    assert again["id"] == first["id"]
    with pytest.raises(client.Conflict) as refused:
        brain.data_hub.push(MONTHLY, [{"uscc": OWNER, "month": "2010-01"}], idempotency_key="f-1")
    assert refused.value.status == 409


def test_answers_come_as_arrow_parquet_and_csv(brain: Any, tmp_path: Path) -> None:
    """A download is read whole, in pieces, or saved; three formats hold the same rows."""
    brain.data_hub.push(MONTHLY, rows(2020, 12), content_type="application/json", mode="upsert", wait=60)
    body = {"sql": f"SELECT month FROM {MONTHLY} WHERE month BETWEEN '2020-01' AND '2020-12' ORDER BY month"}
    expected = [f"2020-{month:02}" for month in range(1, 13)]

    with brain.data_hub.query_file(body, accept="application/vnd.apache.arrow.stream") as answer:
        assert pa.ipc.open_stream(answer.read()).read_all()["month"].to_pylist() == expected
    saved = brain.data_hub.query_file(body, accept="application/vnd.apache.parquet").save(tmp_path / "months.parquet")
    assert pq.read_table(saved)["month"].to_pylist() == expected
    with brain.data_hub.query_file(body, accept="text/csv") as answer:
        assert answer.media_type == "text/csv"
        assert b"".join(answer.iter_bytes()).decode().replace('"', "").split() == ["month", *expected]
    assert [path.name for path in tmp_path.iterdir()] == ["months.parquet"]


def test_iterators_walk_all_pages(brain: Any, client: Any, stage: Stage) -> None:
    """Every data set once, also with two a page; the catalogue holds what the platform ships."""
    names = [item["name"] for item in brain.data_hub.iterate_list_datasets(limit=2)]
    with client.Brain(stage.url, stage.tokens["operator"]) as operator:
        whole = operator.data_hub.list_datasets(limit=1000)

    assert len(names) == len(set(names)) > 15
    assert set(names) <= {item["name"] for item in whole["items"]}


def test_the_panorama_and_an_artefact_can_be_read(brain: Any) -> None:
    """Other services answer through the same client; a file keeps its digest."""
    chain = brain.government_services.list_chains()["items"][0]["id"]
    model = brain.government_services.read_panorama(chain, depth=1)
    content = brain.algorithm_dev.read_artefact("power-carbon", "1.0.0", "component.sql").read()

    assert model["nodes"]
    card = brain.algorithm_dev.read_version("power-carbon", "1.0.0")["card"]
    assert hashlib.sha256(content).hexdigest() == card["artefacts"][0]["sha256"]


def test_errors_are_typed_and_carry_the_problem(brain: Any, client: Any, stage: Stage) -> None:
    """What went wrong can be told by class, code and field, and reported by request id."""
    with pytest.raises(client.InvalidInput) as refused:
        brain.data_hub.query({"sql": "SELECT 1", "limit": 0})
    assert (refused.value.status, refused.value.code) == (422, "fields_invalid")
    assert any("limit" in error["field"] for error in refused.value.errors)
    assert refused.value.request_id.startswith("req_")
    with pytest.raises(client.NotFound):
        brain.data_hub.read_push("psh_nothing")
    with pytest.raises(client.NotPermitted):
        brain.service_portal.read_event_lag()
    with pytest.raises(client.Unauthenticated):
        client.Brain(stage.url, "bk_wrong").identity.me()
    with pytest.raises(client.WaitedTooLong) as late:
        client.connection.wait_until("job", lambda: "running", lambda _: False, timeout_s=0.1, pause_s=0.04)
    assert late.value.problem["last"] == "running"


def test_many_calls_are_under_way_at_once(client: Any, stage: Stage) -> None:
    """Fifty calls of the asynchronous client, and pushes beside them, all answered; downloads and iterators too."""

    async def work() -> tuple[list[Any], list[Any], list[str], bytes]:
        async with client.AsyncBrain(stage.url, stage.tokens["manager"], connections=16) as brain:
            body = {"sql": "SELECT 1 AS one"}
            pushes = [
                brain.data_hub.push(MONTHLY, rows(2030 + n, 1), content_type="application/json", mode="upsert")
                for n in range(5)
            ]
            me = await asyncio.gather(*(brain.identity.me() for _ in range(50)))
            receipts = await asyncio.gather(*pushes)
            final = await asyncio.gather(*(brain.wait_for_push(item["id"], timeout_s=60) for item in receipts))
            names = [item["name"] async for item in brain.data_hub.iterate_list_datasets(limit=5)]
            async with await brain.data_hub.query_file(body, accept="text/csv") as answer:
                content = await answer.read()
            with pytest.raises(client.NotFound):
                await brain.data_hub.read_push("psh_nothing")
            return me, final, names, content

    me, final, names, content = asyncio.run(work())
    assert {item["org"] for item in me} == {OWNER}
    assert len(me) == 50
    assert [item["state"] for item in final] == ["committed"] * 5
    assert len(names) > 15
    assert content.decode().replace('"', "").split() == ["one", "1"]


def test_every_python_line_of_the_catalogue_fits_the_client(client: Any, stage: Stage) -> None:
    """Each line names a method that is there, with arguments that it takes."""
    for identity in stage.addresses():
        shown = operation(stage.document(), identity)
        assert shown is not None
        tree = ast.parse(calling.python_line(shown, stage.url))
        service, _, _ = identity.partition(".")
        prefix = f"brain.{service}."
        found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        call = next(node for node in found if re.fullmatch(rf"brain\.{service}\.\w+", ast.unparse(node.func)))
        target = getattr(client.Brain(stage.url), service)
        method = getattr(target, ast.unparse(call.func).removeprefix(prefix))
        inspect.signature(method).bind(*call.args, **{str(item.arg): item.value for item in call.keywords})


@pytest.mark.parametrize("identity", ["data_hub.push", "data_hub.query", "data_hub.read_rows", "identity.list_keys"])
def test_lines_of_the_catalogue_work_as_they_stand(folder: Path, stage: Stage, identity: str, tmp_path: Path) -> None:
    """The Python line as a program of its own, the curl line in a shell; both with the key in the environment."""
    shown = operation(stage.document(), identity)
    assert shown is not None
    environment = os.environ | {"BRAIN_KEY": stage.tokens["manager"], "PYTHONPATH": str(folder)}
    python = [sys.executable, "-c", calling.python_line(shown, stage.url)]
    done = subprocess.run(python, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    line = calling.curl_line(shown, stage.url).replace("curl", "curl -sS --fail-with-body", 1)
    done = subprocess.run(["bash", "-c", line], env=environment, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout


class Failing(ThreadingHTTPServer):
    """A server that answers 503 or 429 to the first requests, then an empty object; counts what it gets."""

    def __init__(self, status: int, failures: int) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.status = status
        self.failures = failures
        self.seen: list[tuple[str, str | None]] = []
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answers(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        server: Any = self.server
        self.rfile.read(int(self.headers.get("content-length") or 0))
        server.seen.append((self.command, self.headers.get("idempotency-key")))
        status = server.status if len(server.seen) <= server.failures else 200
        body = b'{"code": "unavailable", "detail": "later"}' if status != 200 else b"{}"
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - names of the standard library

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.mark.parametrize(
    ("call", "status", "tries"),
    [
        (lambda brain: brain.identity.me(), 503, 3),
        (lambda brain: brain.data_hub.push("a.b", [], content_type="application/json"), 503, 3),
        (lambda brain: brain.data_hub.push("a.b", iter([b"x"]), content_type="text/csv"), 503, 1),
        (lambda brain: brain.identity.add_key({"org": "x", "name": "y"}), 503, 1),
        (lambda brain: brain.identity.add_key({"org": "x", "name": "y"}), 429, 3),
        (lambda brain: brain.algorithm_dev.delete_draft("a", "1.0.0", if_match='"1"'), 503, 1),
    ],
)
def test_only_what_cannot_happen_twice_is_tried_again(client: Any, call: Any, status: int, tries: int) -> None:
    """Reads and pushes (under one key) are repeated, creations and conditional edits are not; a 429 did nothing."""
    server = Failing(status, failures=2)
    try:
        with client.Brain(server.url, "key") as brain:
            if tries == 1:
                with pytest.raises(client.BrainError):
                    call(brain)
            else:
                call(brain)
        assert len(server.seen) == tries
        assert len({key for _, key in server.seen}) == 1
    finally:
        server.shutdown()
        server.server_close()


def test_nobody_at_the_address_is_said_soon(client: Any) -> None:
    """A typed error after a few tries, not an endless wait."""
    began = time.monotonic()
    with pytest.raises(client.Unreachable) as nobody:
        client.Brain("http://127.0.0.1:9").identity.me()

    assert nobody.value.code == "unreachable"
    assert time.monotonic() - began < 30


def test_threads_may_share_one_client(brain: Any) -> None:
    """Connections are pooled; answers are not mixed up."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: brain.data_hub.query({"sql": f"SELECT {n} AS n"})["items"][0]["n"], range(24)))

    assert found == list(range(24))


def test_an_open_file_is_a_body_too(brain: Any) -> None:
    """Anything that can be read is sent while it is read."""
    content = f"uscc,month,revenue_10k_cny\n{OWNER},2050-01,5\n".encode()
    receipt = brain.data_hub.push(MONTHLY, io.BytesIO(content), content_type="text/csv", mode="upsert", wait=60)

    assert (receipt["state"], receipt["accepted"]) == ("committed", 1)
