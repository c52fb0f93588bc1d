"""Logs of jobs: as text from an offset, and live."""

from __future__ import annotations

import json
from typing import Any

from brain_kit.database import Database

from compute_scheduler.domain import states
from compute_scheduler.service import control
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.store import accounts
from compute_scheduler.store import jobs as store

Row = dict[str, Any]
PAGE_BYTES = 1 << 18


def read(
    database: Database, actor: Actor, job_id: str, *, epoch: int | None, offset: int, limit: int, rank: int = 0
) -> Row:
    """{attempt, offset, next, data, ended} of a job's log, by default that of its last attempt. Raises JobUnknown.

    rank: which member of a gang.
    """
    with database.reading() as session:
        job = control.visible(session, actor, job_id)
        attempts = store.attempts_of(session, job_id)
        chosen = [row for row in attempts if row["rank"] == rank and epoch in (None, row["epoch"])]
        if not chosen:
            ended = job["state"] in states.FINAL
            return {"attempt": None, "offset": offset, "next": offset, "data": b"", "ended": ended}
        data = accounts.read_log(session, chosen[-1]["id"], offset, limit)
    # The last part comes with the end, in one transaction: an attempt that has ended says no more.
    ended = chosen[-1]["state"] == "ended" and len(data) < limit
    return {"attempt": chosen[-1]["epoch"], "offset": offset, "next": offset + len(data), "data": data, "ended": ended}


class Follower:
    """A job's log and states as server-sent events: `log` {attempt, offset, text}, `state`, at last `end`.

    The id of a `log` event is `<attempt>:<offset>`; a browser that comes back sends it, and the log goes on from there.
    """

    def __init__(self, database: Database, actor: Actor, job_id: str, *, last: str = "", rank: int = 0) -> None:
        self._database = database
        self._rank = rank
        self._actor = actor
        self._job_id = job_id
        epoch, _, offset = last.partition(":")
        is_place = epoch.isdigit() and offset.isdigit()
        self._epoch = int(epoch) if is_place else 0
        self._offset = int(offset) if is_place else 0
        self._held = b""
        self._told: tuple[Any, ...] = ()
        self.is_over = False

    def step(self) -> list[bytes]:
        """What is new; empty when nothing is. Raises JobUnknown."""
        job = control.get_job(self._database, self._actor, self._job_id)
        news = []
        if (state := (job["state"], job["reason"], job["attempt"])) != self._told:
            self._told = state
            told = ("state", "reason", "attempt", "exit_code", "started_at", "ended_at")
            news.append(_event("state", {name: job[name] for name in told}))
        if job["attempt"] != self._epoch:
            self._epoch, self._offset, self._held = job["attempt"], 0, b""
        place: Any = {"epoch": self._epoch, "rank": self._rank, "offset": self._offset}
        part = read(self._database, self._actor, self._job_id, limit=PAGE_BYTES, **place)
        if part["data"]:
            self._offset = part["next"]
            text, self._held = _whole_characters(self._held + part["data"])
            place = f"{self._epoch}:{self._offset}"
            news.append(_event("log", {"attempt": self._epoch, "offset": self._offset, "text": text}, place))
        elif job["state"] in states.FINAL:
            self.is_over = True
            news.append(_event("end", {name: job[name] for name in ("state", "reason", "exit_code")}))
        return news


def _event(name: str, data: Row, identity: str = "") -> bytes:
    head = f"id: {identity}\n" if identity else ""
    return f"{head}event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _whole_characters(data: bytes) -> tuple[str, bytes]:
    """The text, and the bytes of a character that is not complete yet."""
    for cut in range(min(3, len(data)) + 1):
        try:
            return data[: len(data) - cut].decode(), data[len(data) - cut :]
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", "replace"), b""
