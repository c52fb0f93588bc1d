"""Another brain as the engine of a centre uses it: what is lent there, through its gateway, with the loan's key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from brain_kit.client import ServiceClient
from brain_kit.problems import Problem, TimedOut, Unavailable
from brain_kit.transports import HttpTransport

Json = dict[str, Any]
CALL_S = 30.0
FILE_S = 300.0
CHUNK_BYTES = 1 << 20
# Answers that say for certain that no job was made.
_REFUSED = frozenset({"lending_loop", "loan_not_open", "job_refused", "fields_invalid", "queue_full", "no_quota"})


class PartnerSilent(Exception):
    """No answer, or one that says nothing about any job; the text is for the centre's operator, without secrets."""


class PartnerRefused(Exception):
    """The partner has not taken a job and will not by asking again. code: why."""

    def __init__(self, words: str, code: str) -> None:
        super().__init__(words)
        self.code = code


class Partner:
    """The calls of `/v1/loans/{loan}`. Every one raises PartnerSilent when nothing can be known."""

    def __init__(self, client: ServiceClient, loan: str, prefix: str = "") -> None:
        self.loan = loan
        self._client = client
        self._base = f"{prefix}/v1/loans/{loan}"

    def look(self, brain: str | None, mark: str, attempts: Sequence[str]) -> Json:
        """What is lent and how the attempts stand (`service/lent.py`)."""
        return self._json("POST", "/looks", {"brain": brain, "mark": mark, "attempts": list(attempts)})

    def submit(self, attempt: str, mark: str, hops: Sequence[str], spec: Mapping[str, Any]) -> str:
        """Makes a job; returns the partner's id of it. Raises PartnerRefused."""
        body = {"attempt": attempt, "mark": mark, "hops": list(hops), "spec": dict(spec)}
        return str(self._json("POST", "/jobs", body, may_refuse=True)["job"])

    def begin(self, attempt: str) -> None:
        """The attempt was granted: its copy may begin."""
        self._json("POST", f"/jobs/{attempt}/begin", {})

    def cancel(self, attempt: str) -> None:
        """Ends the job of an attempt; one that is not there is no error."""
        self._json("POST", f"/jobs/{attempt}/cancel", {}, absent={"lent_job_unknown"})

    def read_log(self, attempt: str, offset: int, limit: int) -> bytes:
        """A stretch of a log."""
        params = {"offset": offset, "limit": limit}
        content: bytes = self._request("GET", f"/jobs/{attempt}/log", params=params).content
        return content

    def put_input(self, path: Path) -> str:
        """Hands a file over; returns its digest."""
        headers = {"content-type": "application/octet-stream", "content-length": str(path.stat().st_size)}
        reply = self._request("PUT", "/files", content=_chunks(path), headers=headers, timeout_s=FILE_S)
        return str(reply.json()["sha256"])

    def fetch_output(self, attempt: str, digest: str, target: Path) -> None:
        """Writes an output to a file, whole or not at all."""
        partial = target.with_name(f"{target.name}.part")
        target.parent.mkdir(parents=True, exist_ok=True)
        seen = hashlib.sha256()
        try:
            path = f"{self._base}/jobs/{attempt}/outputs/{digest}"
            with self._client.stream("GET", path, timeout_s=FILE_S) as answer, partial.open("wb") as file:
                if answer.status >= 400:
                    raise PartnerSilent(f"取输出文件时对方平台答复 {answer.status}")
                for chunk in answer.iter_bytes():
                    seen.update(chunk)
                    file.write(chunk)
        except Problem as problem:
            raise _silent(problem) from problem
        if seen.hexdigest() != digest:
            raise PartnerSilent("取来的输出文件与 sha256 不符")
        partial.replace(target)

    def exchange(self, told: Sequence[Json], after: int) -> Json:
        """Tells this side's figures and answers the partner's: {items, next}."""
        return self._json("POST", "/figures", {"told": list(told), "after": after})

    def _json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any],
        *,
        may_refuse: bool = False,
        absent: frozenset[str] | set[str] = frozenset(),
    ) -> Json:
        try:
            reply = self._client.request(method, self._base + path, json=body, timeout_s=CALL_S)
            answer: Json = reply.json()
            return answer
        except Problem as problem:
            if problem.code in absent:
                return {}
            if may_refuse and problem.code in _REFUSED:
                raise PartnerRefused(problem.detail, problem.code) from problem
            raise _silent(problem) from problem
        except ValueError as error:
            raise PartnerSilent("对方平台的答复不是 JSON") from error

    def _request(self, method: str, path: str, **options: Any) -> Any:
        try:
            return self._client.request(method, self._base + path, **({"timeout_s": CALL_S} | options))
        except Problem as problem:
            raise _silent(problem) from problem


def partner_at(url: str, key_file: Path, loan: str) -> Partner:
    """A partner through its gateway at `url`; the key is read again for each call, so a new one needs no restart."""

    def key() -> str:
        try:
            return key_file.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise PartnerSilent(f"读不到借入密钥文件 {key_file.name}") from error

    transport = HttpTransport("compute-scheduler", url)
    return Partner(ServiceClient("compute-scheduler", lambda: transport, key), loan, "/api/compute-scheduler")


def _silent(problem: Problem) -> PartnerSilent:
    if isinstance(problem, Unavailable | TimedOut):
        return PartnerSilent("对方平台没有答复，等待它恢复")
    if problem.status in (401, 403):
        return PartnerSilent(f"对方平台拒绝了借入密钥（{problem.code}），请向出借方要新的密钥")
    return PartnerSilent(f"对方平台答复 {problem.status} {problem.code}")


def _chunks(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
