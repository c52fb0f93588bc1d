"""The service as an agent calls it: the same routes in this process, or through the gateway with the centre's key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from brain_kit.client import ServiceClient
from brain_kit.problems import Problem, TimedOut, Unavailable, problem_from

Json = dict[str, Any]
CHUNK_BYTES = 1 << 20
CALL_S = 30.0


class Link:
    """Calls the routes `/v1/agents/{centre}/...`. Raises Problem when refused, Unavailable when nobody answers."""

    def __init__(self, client: ServiceClient, centre: str, prefix: str = "") -> None:
        self._client = client
        self._base = f"{prefix}/v1/agents/{centre}"

    def open_session(self, body: Mapping[str, Any]) -> Json:
        """Begins a session."""
        return self._post("/sessions", body)

    def pull(self, body: Mapping[str, Any]) -> Json:
        """Asks for work and waits for it."""
        return self._post("/pulls", body, CALL_S + float(body["wait_s"]))

    def report(self, body: Mapping[str, Any]) -> Json:
        """Says what has happened."""
        return self._post("/reports", body)

    def exchange(self, told: Sequence[Json], after: int) -> Json:
        """Tells the lender's figures of borrowed attempts and answers the borrower's: {items, next}."""
        return self._post("/figures", {"told": list(told), "after": after})

    def fetch_input(self, attempt: str, digest: str, target: Path) -> None:
        """Writes an input of an attempt to a file."""
        path = f"{self._base}/attempts/{attempt}/inputs/{digest}"
        with self._client.stream("GET", path, timeout_s=300.0) as answer, target.open("wb") as file:
            if answer.status >= 400:
                raise _refusal(answer)
            for chunk in answer.iter_bytes():
                file.write(chunk)

    def transfer_manifest(self, transfer: str) -> Json:
        """The files of a transfer."""
        path = f"{self._base}/transfers/{transfer}/manifest"
        answer: Json = self._client.request("GET", path, timeout_s=300.0).json()
        return answer

    @contextmanager
    def transfer_bytes(self, transfer: str, name: str, offset: int, length: int) -> Iterator[Iterator[bytes]]:
        """A stretch of a file of a transfer, as it comes."""
        path = f"{self._base}/transfers/{transfer}/files/{quote(name)}"
        params = {"offset": offset, "length": length}
        with self._client.stream("GET", path, params=params, timeout_s=120.0) as answer:
            if answer.status >= 400:
                raise _refusal(answer)
            yield answer.iter_bytes()

    def put_output(self, attempt: str, source: Path) -> Json:
        """Hands a file over; answers its digest and size."""
        headers = {"content-type": "application/octet-stream", "content-length": str(source.stat().st_size)}
        reply = self._client.request(
            "PUT", f"{self._base}/attempts/{attempt}/outputs", content=_chunks(source), headers=headers, timeout_s=300.0
        )
        answer: Json = reply.json()
        return answer

    def _post(self, path: str, body: Mapping[str, Any], timeout_s: float = CALL_S) -> Json:
        answer: Json = self._client.request("POST", self._base + path, json=body, timeout_s=timeout_s).json()
        return answer


def link_to(url: str, key: str, centre: str) -> Link:
    """A link through the gateway at `url` with the centre's key."""
    from brain_kit.transports import HttpTransport

    transport = HttpTransport("compute-scheduler", url)
    client = ServiceClient("compute-scheduler", lambda: transport, lambda: key)
    return Link(client, centre, "/api/compute-scheduler")


def is_passing(problem: Problem) -> bool:
    """Whether the same call may succeed later."""
    return isinstance(problem, Unavailable | TimedOut) or problem.status >= 500 or problem.status == 429


def _refusal(answer: Any) -> Problem:
    import json

    try:
        return problem_from(answer.status, json.loads(b"".join(answer.iter_bytes())))
    except ValueError:
        return problem_from(answer.status, None)


def _chunks(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
