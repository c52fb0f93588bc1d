"""Calls between services, the same in one process and over HTTP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog
from brain_kit.client import ServiceUnreachable
from brain_kit.problems import Conflict, TimedOut, Unauthenticated
from brain_kit.service import Platform
from brain_kit.settings import PlatformSettings
from brain_kit.telemetry import server_span

from tests.brain_kit.echo import Witness, in_process, over_http, register

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class World:
    """A caller's platform and what the called service saw."""

    def __init__(self, platform: Platform, witness: Witness) -> None:
        self.platform = platform
        self.witness = witness
        self.echo = platform.client("echo")


@pytest.fixture(params=[in_process, over_http])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """The echo service, reached in both ways."""
    with request.param(tmp_path) as (platform, witness):
        yield World(platform, witness)


def silent_server() -> tuple[socket.socket, str]:
    """A server that takes connections and closes each without an answer."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_call_brings_method_query_body_and_answer(world: World) -> None:
    """Parameters may repeat; those without a value are left out."""
    reply = world.echo.request("PUT", "/v1/echo", params={"a": [1, 2], "b": None, "c": "机床 & x"}, json={"k": "值"})

    assert reply.status == 200
    assert reply.json() == {
        "method": "PUT",
        "query": [["a", "1"], ["a", "2"], ["c", "机床 & x"]],
        "size": len('{"k":"值"}'.encode()),
    }


def test_a_call_goes_with_the_services_own_token(world: World) -> None:
    """It is asked for once and kept."""
    for _ in range(3):
        assert world.echo.request("GET", "/v1/who").json() == {"subject": "service:caller", "roles": ["service"]}

    assert world.witness.tokens_given == 1


def test_many_callers_at_once_ask_for_one_token(world: World) -> None:
    """A start with a hundred requests must not be a hundred requests to identity."""
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: world.echo.request("GET", "/v1/who"), range(40)))

    assert world.witness.tokens_given == 1


def test_an_ending_token_is_renewed(tmp_path: Path) -> None:
    """Thirty seconds before its end it counts as ended."""
    with in_process(tmp_path, lifetime_s=30) as (platform, witness):
        for _ in range(3):
            platform.client("echo").request("GET", "/v1/who")

        assert witness.tokens_given == 3


def test_a_call_without_a_token_is_nobodys(world: World) -> None:
    """The empty token asks for no credentials at all."""
    with pytest.raises(Unauthenticated) as refusal:
        world.echo.request("GET", "/v1/who", token="")

    assert refusal.value.code == "credentials_missing"
    assert world.witness.tokens_given == 0


def test_a_refusal_arrives_as_the_problem_it_was(world: World) -> None:
    """Status, code, sentence and data."""
    with pytest.raises(Conflict) as refusal:
        world.echo.request("GET", "/v1/conflict", token="")

    problem = refusal.value
    assert (problem.status, problem.code, problem.detail) == (409, "rows_broken", "第 3 行不合要求")
    assert problem.members == {"errors": [{"row": 3, "field": "month"}], "dataset": "public.enterprise"}
    assert world.echo.request("GET", "/v1/conflict", token="", raise_errors=False).status == 409


def test_trace_and_request_id_go_along(world: World) -> None:
    """One id finds the lines of all services; the trace id stays, the span is new."""
    with server_span("test", TRACE, {}), structlog.contextvars.bound_contextvars(request_id="req_test_1234"):
        reply = world.echo.request("GET", "/v1/echo", token="")

    sent = world.witness.headers[0]
    assert sent["x-request-id"] == "req_test_1234"
    assert reply.headers["x-request-id"] == "req_test_1234"
    assert sent["traceparent"].split("-")[1] == TRACE.split("-")[1]
    assert sent["traceparent"] != TRACE


def test_an_answer_streams(world: World) -> None:
    """The first chunk is here long before the last one is made."""
    with world.echo.stream("GET", "/v1/stream", params={"chunks": 2, "stall_after": 1}, token="") as answer:
        chunks = answer.iter_bytes()
        started = time.monotonic()
        first = next(chunks)
        waited = time.monotonic() - started
        rest = b"".join(chunks)

    assert (first, rest) == (b"\x00" * 1000, b"\x01" * 1000)
    assert waited < 2


def test_a_large_answer_arrives_whole(world: World) -> None:
    """Every byte once, in order."""
    params = {"chunks": 300, "size": 100_000}
    with world.echo.stream("GET", "/v1/stream", params=params, token="") as answer:
        received = b"".join(answer.iter_bytes())

    assert received == b"".join(bytes([number % 256]) * 100_000 for number in range(300))


def test_a_service_stops_working_when_its_caller_leaves(world: World) -> None:
    """An export of a million chunks ends soon after the reader is gone, and not in memory."""
    with world.echo.stream("GET", "/v1/stream", params={"chunks": 1_000_000}, token="") as answer:
        next(answer.iter_bytes())

    assert world.witness.closed.wait(10)
    assert world.witness.sent < 100_000


def test_a_slow_reader_slows_the_service(tmp_path: Path) -> None:
    """A body larger than memory passes through: only a few chunks wait."""
    with in_process(tmp_path) as (platform, witness):
        params = {"chunks": 1000, "size": 10}
        with platform.client("echo").stream("GET", "/v1/stream", params=params, token="") as answer:
            next(answer.iter_bytes())
            time.sleep(0.5)
            assert witness.sent < 20


def test_a_body_streams_to_the_service(world: World) -> None:
    """Chunk by chunk, without being gathered first."""

    def body() -> Iterator[bytes]:
        for number in range(5):
            yield bytes([number]) * 1000
            deadline = time.monotonic() + 5
            while sum(map(len, world.witness.received)) < (number + 1) * 1000:
                assert time.monotonic() < deadline, "the service waits for the whole body"
                time.sleep(0.005)

    reply = world.echo.request("POST", "/v1/upload", content=body(), token="")

    assert reply.json() == {"size": 5000}
    assert b"".join(world.witness.received) == b"".join(bytes([number]) * 1000 for number in range(5))


def test_an_error_while_sending_is_the_callers_own(world: World) -> None:
    """A file that cannot be read further is told as that, and not as a fault of the service."""

    def body() -> Iterator[bytes]:
        yield b"x"
        raise FileNotFoundError("spool gone")

    with pytest.raises(FileNotFoundError, match="spool gone"):
        world.echo.request("POST", "/v1/upload", content=body(), token="")


def test_a_late_answer_is_given_up(world: World) -> None:
    """The caller goes on in time."""
    started = time.monotonic()
    with pytest.raises(TimedOut) as late:
        world.echo.request("GET", "/v1/slow", token="", timeout_s=0.3)

    assert time.monotonic() - started < 2
    assert late.value.members["service"] == "echo"


def test_an_answer_that_stalls_half_way_is_given_up(world: World) -> None:
    """The head came in time, the body did not."""
    params = {"chunks": 3, "stall_after": 1}
    with (
        pytest.raises(TimedOut),
        world.echo.stream("GET", "/v1/stream", params=params, token="", timeout_s=0.5) as answer,
    ):
        b"".join(answer.iter_bytes())


def test_an_answer_that_breaks_off_is_no_whole_answer(world: World) -> None:
    """Half an export must not be taken for all of it."""
    with pytest.raises(ServiceUnreachable):
        world.echo.request("GET", "/v1/stream", params={"chunks": 5, "crash_after": 3}, token="")


def test_calls_may_nest(world: World) -> None:
    """Twenty chains of five calls at once: no call waits for a thread that waits for it."""
    with ThreadPoolExecutor(20) as pool:
        params = {"depth": 5}
        replies = list(pool.map(lambda _: world.echo.request("GET", "/v1/nested", params=params, token=""), range(20)))

    assert [reply.json() for reply in replies] == [5] * 20


def test_a_service_without_an_address_is_told_by_name(tmp_path: Path) -> None:
    """With what to set."""
    platform = Platform(PlatformSettings(home=tmp_path))

    with pytest.raises(ServiceUnreachable, match="BRAIN_SERVICES") as problem:
        platform.client("data-hub").request("GET", "/healthz", token="")

    assert (problem.value.status, problem.value.code) == (503, "service_unreachable")
    platform.close()


def test_only_calls_that_may_be_repeated_are(tmp_path: Path) -> None:
    """A connection that breaks after the request was sent: a GET is tried again, a POST and a streamed body are not."""
    listener, url = silent_server()
    taken: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                taken.append(connection.recv(10_000).split(b" ")[0])

    threading.Thread(target=serve, daemon=True).start()
    platform = Platform(PlatformSettings(home=tmp_path, services={"echo": url}))
    for method, content in (("GET", None), ("POST", b"x"), ("PUT", iter([b"x"]))):
        with pytest.raises(ServiceUnreachable):
            platform.client("echo").request(method, "/v1/echo", content=content, token="")
    listener.close()
    platform.close()

    assert taken == [b"GET", b"GET", b"GET", b"POST", b"PUT"]


def test_platforms_of_one_process_stay_apart(tmp_path: Path) -> None:
    """Tests and tools build several; each calls its own services."""
    with in_process(tmp_path / "a") as (one, seen_by_one), in_process(tmp_path / "b") as (two, seen_by_two):
        one.client("echo").request("GET", "/v1/echo")
        two.client("echo").request("GET", "/v1/who")

        assert (len(seen_by_one.headers), len(seen_by_two.headers)) == (1, 0)
        assert (seen_by_one.tokens_given, seen_by_two.tokens_given) == (1, 1)
        with pytest.raises(Unauthenticated):
            two.client("echo").request("GET", "/v1/who", token=one.service_token())


def test_a_call_under_way_fails_when_the_platform_stops(tmp_path: Path) -> None:
    """Nobody waits for an answer that cannot come; and the platform may be used again."""
    platform = Platform(PlatformSettings(home=tmp_path))
    witness = register(platform)
    failures: list[BaseException] = []

    def call() -> None:
        try:
            platform.client("echo").request("GET", "/v1/slow", params={"seconds": 1}, token="")
        except ServiceUnreachable as error:
            failures.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    deadline = time.monotonic() + 5
    while not witness.calls and time.monotonic() < deadline:
        time.sleep(0.01)
    platform.close()
    caller.join(5)

    assert [type(failure) for failure in failures] == [ServiceUnreachable]
    assert platform.client("echo").request("GET", "/v1/echo", token="").status == 200
    platform.close()
