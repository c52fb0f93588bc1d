"""Logs without secrets, and traces in the W3C form."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import structlog
from brain_kit.telemetry import configure_logging, current_headers, mask_text, server_span
from brain_kit.telemetry.metrics import RequestMetrics, exposition
from hypothesis import given
from hypothesis import strategies as st

KEY = "bk_CWyAtTFxH6t9_JQd2esY9eUZcmxRPKY9KRIqIRt7Jt9AmTxDNgK-vBac"
TOKEN = "eyJhbGciOiJFZERTQSIsImtpZCI6InNpZyJ9.eyJzdWIiOiJvcGVyYXRvciJ9.aiaSI-qLWPVfsl8l6omSl5Cvb8SwJJi"
PASSWORD = "Hunter2-x"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SECRET_NAMES = [
    "password",
    "old_password",
    "secret",
    "x-service-secret",
    "token",
    "refresh_token",
    "api_key",
    "X-API-Key",
    "Authorization",
    "cookie",
    "Set-Cookie",
    "credentials",
    "private_key",
]


@pytest.fixture(params=["console", "json"])
def log(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A logger of the process's logs, in both forms."""
    configure_logging("DEBUG", request.param)
    yield structlog.get_logger()
    configure_logging()


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_field_that_holds_a_secret_is_masked(log: Any, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """At the top and however deep."""
    log.info("signed_in", **{name: PASSWORD})
    log.info("signed_in", body={"inner": [{name: PASSWORD, "kept": "visible"}]})

    written = capsys.readouterr().err
    assert PASSWORD not in written
    assert written.count("***") == 2
    assert "visible" in written


@pytest.mark.parametrize(
    "text",
    [
        f"refused {KEY} of somebody",
        f"token {TOKEN}",
        f"postgresql://brain:{PASSWORD}@db:5432/brain",
        f"s3://ACCESS:{PASSWORD}@s3:9000/bucket?region=x",
        f"GET /x?a=1&token={PASSWORD}&b=2",
        f"GET /x?api_key={PASSWORD}",
        f'{{"user": "a", "password": "{PASSWORD}"}}',
        f"SignIn(user='a', password='{PASSWORD}')",
        f"{{'refresh_token': '{PASSWORD}'}}",
        f"Authorization: Bearer {PASSWORD}",
        f"/bucket/x?X-Amz-Signature={PASSWORD}",
    ],
)
def test_a_text_that_holds_a_secret_is_masked(log: Any, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As the event, as a field, as an argument of a library's log line, as the text of an object or an error."""

    class Thing:
        def __repr__(self) -> str:
            return text

    log.info(text)
    log.info("x", url=text, items=[text, text.encode()], thing=Thing(), error=ValueError(text))
    logging.getLogger("library").warning("cannot open %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("failed", argument=Thing())

    written = capsys.readouterr().err
    assert written.count("***") >= 7
    for secret in (KEY, TOKEN, PASSWORD):
        assert secret not in written


def test_local_variables_stay_out_of_tracebacks(log: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """They hold request bodies."""
    body = "local " + PASSWORD
    try:
        raise ValueError(len(body))
    except ValueError:
        log.exception("failed")

    written = capsys.readouterr().err
    assert "ValueError" in written
    assert PASSWORD not in written


@given(
    st.recursive(
        st.sampled_from([KEY, TOKEN]) | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    )
)
def test_no_key_or_token_is_written_wherever_it_hides(value: Any) -> None:
    """Any nesting of lists and maps, in values and as parts of texts."""
    from brain_kit.telemetry import mask_event

    rendered = json.dumps(mask_event(None, "", {"value": value, "text": f"<{value}>"}), default=str)

    assert KEY not in rendered
    assert TOKEN not in rendered


@pytest.mark.parametrize(
    "text", ["invalid token: expired", "the secret of success", "password policy", "三年 token 数", "a=b&c=d", ""]
)
def test_plain_texts_stay_as_they_are(text: str) -> None:
    """A log that masks everything tells nothing."""
    assert mask_text(text) == text


def test_a_line_carries_request_and_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON object a line, with what finds its companions."""
    configure_logging("INFO", "json")
    incoming = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
    with server_span("GET /x", incoming, {}), structlog.contextvars.bound_contextvars(request_id="req_1"):
        structlog.get_logger().info("push_accepted", rows=3)
        structlog.get_logger().debug("not_written")
    configure_logging()

    (line,) = capsys.readouterr().err.splitlines()
    written = json.loads(line)
    assert {"event": "push_accepted", "rows": 3, "request_id": "req_1", "trace_id": TRACE_ID}.items() <= written.items()
    assert written["level"] == "info"


def test_handlers_of_others_stay() -> None:
    """Test tools and hosts put their own on the root logger."""
    foreign = logging.NullHandler()
    logging.getLogger().addHandler(foreign)

    configure_logging()
    configure_logging()

    assert logging.getLogger().handlers.count(foreign) == 1
    assert len([handler for handler in logging.getLogger().handlers if "_ErrorStream" in repr(type(handler))]) == 1
    logging.getLogger().removeHandler(foreign)


def test_a_span_continues_the_incoming_trace() -> None:
    """W3C Trace Context: same trace id and flags, a span id of its own; outside there is none."""
    assert current_headers() == {}
    with server_span("a", f"00-{TRACE_ID}-00f067aa0ba902b7-00", {}) as outer:
        assert re.fullmatch(f"00-{TRACE_ID}-[0-9a-f]{{16}}-00", outer)
        assert "00f067aa0ba902b7" not in outer
        with server_span("b", outer, {}) as inner:
            assert inner.split("-")[1] == TRACE_ID
            assert current_headers() == {"traceparent": inner}
        assert current_headers() == {"traceparent": outer}
    assert current_headers() == {}


@pytest.mark.parametrize(
    "incoming", [None, "", "nonsense", f"00-{TRACE_ID}-short-01", f"00-{'G' * 32}-00f067aa0ba902b7-01", "x" * 5000]
)
def test_a_bad_traceparent_starts_a_new_trace(incoming: str | None) -> None:
    """It comes from outside and goes into logs."""
    with server_span("a", incoming, {}) as made:
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", made)


def test_metrics_of_two_services_make_one_text() -> None:
    """Prometheus refuses a second HELP or TYPE line of a metric."""
    one, two = RequestMetrics("one"), RequestMetrics("two")
    one.observe("GET", "/v1/x", 200, 0.01)
    two.observe("GET", "/v1/y", 500, 0.02)

    text = exposition(one.registry, two.registry)[0].decode()

    lines = [line for line in text.splitlines() if line.startswith("#")]
    assert len(lines) == len(set(lines))
    assert 'brain_http_requests_total{method="GET",route="/v1/y",service="two",status="500"} 1.0' in text


EXPORT = """
import sys
from brain_kit.telemetry import configure_tracing, name_span, server_span
configure_tracing("demo", sys.argv[1])
if not sys.argv[1]:
    with server_span("GET /x", None, {}) as made:
        print(made)
    print([name for name in sys.modules if name.startswith("opentelemetry.sdk")])
else:
    from opentelemetry import trace
    with server_span("GET /x/17", sys.argv[2], {"http.request.method": "GET"}) as made:
        name_span("GET /x/{id}", {"http.response.status_code": 500})
        print(made)
    trace.get_tracer_provider().force_flush()
"""


def test_nothing_is_imported_or_exported_without_an_endpoint() -> None:
    """The SDK costs memory and time at the start; the trace id is there all the same."""
    ran = subprocess.run([sys.executable, "-c", EXPORT, ""], capture_output=True, text=True, check=True)

    made, imported = ran.stdout.splitlines()
    assert made.startswith("00-")
    assert imported == "[]"


def test_spans_go_to_the_endpoint() -> None:
    """With the caller's trace id, to where OTLP/HTTP is spoken."""
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}/v1/traces"
    incoming = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
    ran = subprocess.run(
        [sys.executable, "-c", EXPORT, endpoint, incoming], capture_output=True, text=True, check=True, timeout=60
    )
    server.shutdown()

    assert ran.stdout.split("-")[1] == TRACE_ID
    assert received[0][0] == "/v1/traces"
    assert bytes.fromhex(TRACE_ID) in received[0][1]
    assert b"GET /x/{id}" in received[0][1]
    assert b"/x/17" not in received[0][1]  # spans of one route have one name


def test_routes_tell_requests_errors_and_times_by_hand() -> None:
    """Twenty requests: nineteen of 3 ms, one of 4 s that failed; the 95th percentile lies in the bucket up to 5 ms."""
    metrics = RequestMetrics("sample")
    for _ in range(18):
        metrics.observe("GET", "/v1/x", 200, 0.003)
    metrics.observe("GET", "/v1/x", 404, 0.003)
    metrics.observe("GET", "/v1/x", 503, 4.0)
    metrics.observe("POST", "/v1/y", 200, 100.0)

    assert metrics.routes() == [
        {
            "method": "GET", "route": "/v1/x", "requests": 20, "errors": 1, "refused": 1,
            "mean_ms": 202.85, "p95_ms": 5.0,
        },
        {
            "method": "POST", "route": "/v1/y", "requests": 1, "errors": 0, "refused": 0,
            "mean_ms": 100000.0, "p95_ms": None,
        },
    ]  # fmt: skip


def test_a_scrape_has_cumulative_buckets_over_all_statuses_of_a_route() -> None:
    """By hand: 1 ms lies in the first bucket, 2 s in that up to 2.5 s, 61 s beyond the last."""
    metrics = RequestMetrics("sample")
    for status, seconds in ((200, 0.001), (404, 2.0), (200, 61.0)):
        metrics.observe("GET", "/v1/x", status, seconds)
    for method in ("BREW", "WHEN"):
        metrics.observe(method, "/v1/x", 405, 0.002)

    lines = exposition(metrics.registry)[0].decode().splitlines()

    label = 'method="GET",route="/v1/x",service="sample"'
    buckets = [line for line in lines if line.startswith("brain_http_request_seconds_bucket{") and '"GET"' in line]
    assert [line.rsplit(" ", 1)[1] for line in buckets] == ["1.0"] * 10 + ["2.0"] * 5 + ["3.0"]
    assert 'le="0.001"' in buckets[0]
    assert 'le="+Inf"' in buckets[-1]
    assert f"brain_http_request_seconds_sum{{{label}}} 63.001" in lines
    assert f"brain_http_request_seconds_count{{{label}}} 3.0" in lines
    assert f'brain_http_requests_total{{{label},status="200"}} 2.0' in lines
    other = 'method="other",route="/v1/x",service="sample",status="405"'
    assert f"brain_http_requests_total{{{other}}} 2.0" in lines
    assert not [line for line in lines if "BREW" in line]
