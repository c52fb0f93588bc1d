"""Queries that explode in memory or time are stopped, callers that vanish are noticed, and the service lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from brain_kit.client import Reply
from data_hub.domain.query.problems import EngineBusy, QueryCancelled, TooManyQueries
from data_hub.engine.query_admission import Admission
from data_hub.engine.query_engine import QueryControl

from tests.data_hub.small_warehouse import CHEM_KEY, OPERATOR, STEEL_KEY, ReadingService, filled

LIMIT_S = 2.0
LONG = "SELECT count(*) FROM range(1000000000000)"
MEMORY = {"query_memory_limit"}
TIME = {"query_time_limit"}
BOMBS = [
    ("SELECT repeat('x', 4000000000)", MEMORY),
    ("SELECT lpad('x', 2000000000, 'y')", MEMORY | TIME),
    ("SELECT printf('%2000000000d', 1)", MEMORY | TIME),
    ("SELECT list(i) FROM range(1000000000) t(i)", MEMORY),
    ("SELECT string_agg(repeat('x', 1000000), '') FROM range(10000)", MEMORY),
    ("SELECT list(repeat('x', 100000) || i) FROM range(100000) t(i)", MEMORY),
    ("SELECT list_transform(range(100000000), lambda x: x * 2)", MEMORY | TIME),
    ("SELECT map(range(100000000), range(100000000))", MEMORY | TIME),
    ("SELECT range(1000000000000)", {"query_failed"}),
    ("SELECT histogram(i) FROM range(100000000) t(i)", MEMORY | TIME),
    (LONG, TIME),
    ("SELECT count(*) FROM range(1000000) a, range(1000000) b", TIME),
    ("SELECT count(*) FROM range(100000) a(i) JOIN range(100000) b(i) ON a.i < b.i", TIME),
    ("SELECT max(levenshtein(repeat('a', 200000), repeat('b', 200000)))", TIME),
    (
        "SELECT sum(length(regexp_replace(repeat('a', 1000) || i, '(a|aa)+', 'b', 'g'))) FROM range(100000000) t(i)",
        TIME,
    ),
    ("SELECT count(*) FROM (SELECT DISTINCT md5(i::VARCHAR) FROM range(2000000000) t(i))", MEMORY | TIME),
    ("SELECT list_reduce(range(100000000), lambda x, y: x + y)", MEMORY | TIME),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingService]:
    """Narrow limits, so that every test is short."""
    made = ReadingService(
        tmp_path_factory.mktemp("limits"),
        data_hub_query_seconds=LIMIT_S,
        data_hub_query_memory_mib=256,
        data_hub_query_process_mib=1024,
        data_hub_query_temp_mib=128,
        data_hub_query_concurrency=2,
        data_hub_query_concurrency_per_org=1,
        data_hub_query_wait_s=0.0,
    )
    filled(made)
    yield made
    made.close()


def sandboxes() -> list[psutil.Process]:
    """Query processes of this test process that live."""
    return [child for child in psutil.Process().children() if _is_sandbox(child)]


def _is_sandbox(child: psutil.Process) -> bool:
    try:
        return "data_hub.engine.sandbox.worker" in " ".join(child.cmdline())
    except psutil.NoSuchProcess:  # also a zombie: it was killed and waits to be collected
        return False


def is_running(service: ReadingService, key: str) -> bool:
    """Whether the organisation's newest query runs."""
    items = service.call(key, "GET", "/v1/queries").json()["items"]
    return bool(items) and items[0]["state"] == "running"


def until(condition: Callable[[], Any], limit_s: float = 60.0) -> Any:
    """Wait for a condition; its value."""
    end = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)
    return value


def code(reply: Reply) -> str:
    """The problem code of an answer, empty when it is none."""
    return str(reply.json().get("code", ""))


@pytest.mark.parametrize(("sql", "codes"), BOMBS, ids=[sql[:50] for sql, _ in BOMBS])
def test_a_bomb_is_stopped_and_the_next_query_answered(service: ReadingService, sql: str, codes: set[str]) -> None:
    """Within the limit and a little; the platform's own memory hardly grows."""
    before = psutil.Process().memory_info().rss
    started = time.monotonic()
    reply = service.query(STEEL_KEY, sql)

    assert code(reply) in codes, reply.content
    assert time.monotonic() - started < LIMIT_S + 3
    assert psutil.Process().memory_info().rss - before < 100e6
    # On a busy machine a new process may take the whole limit of a query to begin.
    assert until(lambda: service.query(STEEL_KEY, "SELECT 42 AS n").json().get("items")) == [{"n": 42}]


def test_many_rows_for_a_page_are_cut_off_and_said_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A JSON result keeps as many rows as the setting says."""
    service = ReadingService(tmp_path_factory.mktemp("kept"), data_hub_query_kept_rows=5_000)
    try:
        page = service.query(OPERATOR, "SELECT i FROM range(1000000000) t(i)", limit=1000).json()
    finally:
        service.close()

    assert (page["rows"], page["truncated"], page["next"], len(page["items"])) == (5_000, True, "1000", 1000)


def test_an_export_over_a_limit_names_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A file is whole or an error: rows and bytes each have their limit."""
    service = ReadingService(
        tmp_path_factory.mktemp("export"), data_hub_query_export_rows=1_000, data_hub_query_export_mib=1
    )
    try:
        rows = service.query(OPERATOR, "SELECT i FROM range(1001) t(i)", accept="text/csv")
        fits = service.query(OPERATOR, "SELECT i FROM range(1000) t(i)", accept="text/csv")
        size = service.query(OPERATOR, "SELECT repeat('x', 10000) FROM range(999)", accept="text/csv")
        left = list((service.settings.home / "data-hub/results").iterdir())
    finally:
        service.close()

    assert (code(rows), rows.json()["limit"]) == ("query_rows_limit", 1_000)
    assert (fits.status, fits.content.count(b"\n")) == (200, 1_001)
    assert (code(size), size.json()["limit_mib"]) == ("query_size_limit", 1)
    assert left == []


def test_a_cancelled_query_stops_at_once(service: ReadingService) -> None:
    """By the id that the caller chose; the history says so."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(service.query, STEEL_KEY, LONG, id="my-own-query-1")
        until(lambda: service.call(STEEL_KEY, "GET", "/v1/queries").json()["items"][0]["id"] == "my-own-query-1")
        started = time.monotonic()
        foreign = service.call(CHEM_KEY, "DELETE", "/v1/queries/my-own-query-1")
        cancelled = service.call(STEEL_KEY, "DELETE", "/v1/queries/my-own-query-1")
        reply = running.result()

    history = service.call(STEEL_KEY, "GET", "/v1/queries").json()["items"][0]
    assert (foreign.status, cancelled.status) == (404, 204)
    assert (reply.status, code(reply)) == (409, "query_cancelled")
    assert time.monotonic() - started < 1.0
    assert (history["id"], history["state"], history["problem"]) == ("my-own-query-1", "cancelled", "query_cancelled")
    assert service.call(STEEL_KEY, "DELETE", "/v1/queries/my-own-query-1").status == 204
    assert service.call(STEEL_KEY, "DELETE", "/v1/queries/no-such-query").status == 404


def test_an_id_cannot_be_used_twice_but_is_free_to_others(service: ReadingService) -> None:
    """Ids belong to the credential, so nobody learns that another has used one."""
    assert service.query(STEEL_KEY, "SELECT 1", id="shared-id-0001").status == 200
    assert code(service.query(STEEL_KEY, "SELECT 1", id="shared-id-0001")) == "query_id_in_use"
    assert service.query(CHEM_KEY, "SELECT 1", id="shared-id-0001").status == 200
    assert service.query(CHEM_KEY, "SELECT 1", id="bad id!").status == 422


def test_one_organisation_cannot_take_all_places(service: ReadingService) -> None:
    """Its second query is turned away with 429, a third organisation's third query with 503; both say when to retry."""
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(service.query, STEEL_KEY, LONG)
        until(lambda: is_running(service, STEEL_KEY))
        until(sandboxes)
        mine = service.query(STEEL_KEY, "SELECT 1")
        second = pool.submit(service.query, CHEM_KEY, LONG)
        until(lambda: is_running(service, CHEM_KEY))
        time.sleep(0.2)
        theirs = service.query(OPERATOR, "SELECT 1")
        outcomes = {code(first.result()), code(second.result())}

    assert (mine.status, code(mine), int(mine.headers["retry-after"])) == (429, "query_concurrency", 2)
    assert (theirs.status, code(theirs), int(theirs.headers["retry-after"])) == (503, "query_engine_busy", 2)
    assert outcomes == TIME
    assert service.query(STEEL_KEY, "SELECT 1").status == 200


def test_a_query_waits_for_a_place_before_it_is_turned_away() -> None:
    """Short queues are served, and a cancelled query leaves the queue."""
    admission = Admission(total=1, per_org=1, wait_s=5)
    free = threading.Event()

    def hold() -> None:
        with admission.place("a", QueryControl(time.monotonic() + 9)):
            free.wait(5)

    holder = threading.Thread(target=hold)
    holder.start()
    threading.Timer(0.2, free.set).start()
    with admission.place("b", QueryControl(time.monotonic() + 9)):
        waited = free.is_set()
    holder.join()

    assert waited
    cancelled = QueryControl(time.monotonic() + 9)
    cancelled.cancelled.set()
    with admission.place("a", QueryControl(time.monotonic() + 9)):
        with pytest.raises(QueryCancelled), admission.place("b", cancelled):
            pass
        impatient = Admission(total=1, per_org=1, wait_s=0)
        with impatient.place("a", QueryControl(time.monotonic() + 9)):
            with pytest.raises(TooManyQueries), impatient.place("a", QueryControl(time.monotonic() + 9)):
                pass
            with pytest.raises(EngineBusy), impatient.place("b", QueryControl(time.monotonic() + 9)):
                pass


def test_a_query_ends_when_its_caller_hangs_up(service: ReadingService) -> None:
    """The process is freed long before the time limit, and the history knows."""
    client = service.platform.client("data-hub")

    def ask_and_leave() -> None:
        with client.stream(
            "POST", "/v1/queries", json={"sql": LONG}, token=service.token(CHEM_KEY), timeout_s=0.5
        ) as answer:
            b"".join(answer.iter_bytes())

    with pytest.raises(Exception, match="没有应答"):
        ask_and_leave()
    state = until(
        lambda: next(
            (
                item
                for item in service.call(CHEM_KEY, "GET", "/v1/queries").json()["items"]
                if item["sql"] == LONG and item["state"] != "running" and item["state"] != "timed_out"
            ),
            None,
        ),
        LIMIT_S,
    )

    assert state["state"] == "cancelled"
    assert state["elapsed_ms"] < LIMIT_S * 1000


def test_a_killed_query_process_is_an_error_of_one_query_alone(service: ReadingService) -> None:
    """Whatever ends the process, the caller gets an answer and the next query a new process."""
    service.query(STEEL_KEY, "SELECT 1")  # so that the process which is killed has started
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(service.query, STEEL_KEY, LONG)
        until(lambda: is_running(service, STEEL_KEY))
        time.sleep(0.5)
        for child in sandboxes():
            child.kill()
        reply = running.result()

    assert code(reply) == "query_memory_limit"
    assert service.query(STEEL_KEY, "SELECT 1").status == 200


def test_query_processes_have_no_environment_and_end_when_idle(service: ReadingService) -> None:
    """No secret is in reach of a query; nothing is left over."""
    service.query(STEEL_KEY, "SELECT 1")
    environment = until(lambda: [child.environ() for child in sandboxes() if child.status() != psutil.STATUS_ZOMBIE])[0]
    pool = service.reading.pool

    def nothing_left() -> bool:
        pool.tend()  # again, since a process that ran for an earlier test may come back late
        return sandboxes() == []

    assert set(environment) <= {"HOME", "LANG", "MALLOC_ARENA_MAX", "ARROW_DEFAULT_MEMORY_POOL", "LC_CTYPE"}
    pool._idle_limit_s, kept = -1.0, pool._idle_limit_s
    until(nothing_left)
    pool._idle_limit_s = kept
    assert list((service.settings.home / "data-hub/sandbox").iterdir()) == []
