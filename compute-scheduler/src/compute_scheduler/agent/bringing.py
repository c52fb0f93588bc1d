"""Brings versions of data sets to the centre for the attempts that wait for them.

A version comes once, however many attempts want it. It is fetched in stretches at the rate that the platform allows at
that moment, goes on at the byte where it stopped (also after this process was killed), and is there only when every
file and the whole have the SHA-256 that they should have. What it knows lies in the depot's folders.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from brain_kit.problems import Problem

from compute_scheduler.agent.depot import Depot, Incoming, NoRoom, folder_name, whole_digest
from compute_scheduler.agent.link import Link, is_passing

Json = dict[str, Any]
Done = Callable[[Json | None], None]
AT_ONCE = 4
SAY_EVERY_S = 1.0
STRETCH_S = 2.0
LEAST_STRETCH, MOST_STRETCH = 1 << 18, 1 << 24
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
# With these the job may find its data elsewhere, or later: it goes back into the queue.
AGAIN = frozenset({"transfer_ended", "data_stays", "unreachable", "replica_gone"})
DATA = "brain-data"
log = structlog.get_logger()


class _Stopped(Exception):
    """Nobody waits for it any more."""


class _Refused(Exception):
    """It cannot be finished: a code, and words for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass
class _Move:
    """A transfer. state: moving, done, failed. rate: bytes a second, None: any, 0: none now."""

    transfer: str
    item: Json
    state: str = "moving"
    done_bytes: int = 0
    sha256: str = ""
    code: str = ""
    detail: str = ""
    rate: int | None = None
    said_at: float = float("-inf")
    stop: threading.Event = field(default_factory=threading.Event)

    def document(self) -> Json:
        """As it is reported."""
        return {
            "transfer": self.transfer,
            "state": self.state,
            "done_bytes": self.done_bytes,
            "sha256": self.sha256,
            "code": self.code[:40],
            "detail": self.detail[:500],
        }


@dataclass
class _Wanted:
    """An attempt that waits: the folders that have not come yet, and who is told when they have."""

    missing: set[str]
    done: Done


class Bringing:
    """Fetches beside the other work; `changed` is set when there is something to report."""

    def __init__(self, link: Link, depot: Depot, changed: threading.Event) -> None:
        self._link = link
        self._depot = depot
        self._changed = changed
        self._guard = threading.Lock()
        self._filling: dict[str, threading.Lock] = {}
        self._moves: dict[str, _Move] = {}
        self._wanted: dict[str, _Wanted] = {}
        self._users: dict[str, set[str]] = {}  # folder to attempts
        self._dropped: list[str] = []
        self._workers: ThreadPoolExecutor | None = None

    def open(self) -> None:
        """Begins to work."""
        self._workers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bringing")

    def close(self) -> None:
        """Stops; what has come stays."""
        with self._guard:
            for move in self._moves.values():
                move.stop.set()
        if self._workers is not None:
            self._workers.shutdown(wait=False, cancel_futures=True)

    def replicas(self) -> list[Json]:
        """Versions at the centre."""
        return self._depot.replicas()

    def settled(self, order: Json, work: Path) -> Json:
        """The order with where its command finds its data, which it may read and not change."""
        readable = [str(self._depot.files(folder_name(item))) for item in order["data"]]
        return order | {"env": order["env"] | {"BRAIN_DATA": str(work / DATA)}, "readable": readable}

    def want(self, attempt: str, items: list[Json], work: Path, done: Done) -> None:
        """Brings what an attempt reads, then calls `done` with None or with the record of why it cannot begin."""
        names = [folder_name(item) for item in items]

        def arrived(record: Json | None) -> None:
            done(record if record is not None else self._shown(items, work))

        with self._guard:
            for name in names:
                self._users.setdefault(name, set()).add(attempt)
            self._wanted[attempt] = _Wanted(set(names), arrived)
        for name, item in zip(names, items, strict=True):
            self._ask(name, item)

    def leave(self, attempt: str) -> None:
        """An attempt needs its data no more."""
        with self._guard:
            self._wanted.pop(attempt, None)
            for name in [name for name, users in self._users.items() if attempt in users]:
                self._users[name].discard(attempt)
                if not self._users[name]:
                    del self._users[name]
            unwanted = [move for move in self._moves.values() if folder_name(move.item) not in self._users]
            for move in unwanted:
                move.stop.set()
                if move.state == "moving":
                    del self._moves[move.transfer]

    def say(self) -> tuple[list[Json], list[Json]]:
        """What a report carries: transfers with something new to tell, and copies that are gone."""
        now = time.monotonic()
        with self._guard:
            due = [move for move in self._moves.values() if now - move.said_at >= SAY_EVERY_S]
            for move in due:
                move.said_at = now
            dropped, self._dropped = self._dropped, []
        return [move.document() for move in due], [_named(name) for name in dropped]

    def unsaid(self, dropped: Iterable[Json]) -> None:
        """A report did not arrive."""
        with self._guard:
            self._dropped = [folder_name(item) for item in dropped] + self._dropped
            for move in self._moves.values():
                move.said_at = float("-inf")

    def hear(self, answers: Iterable[Mapping[str, Any]]) -> None:
        """What the platform answers: rates, and transfers that are over."""
        for answer in answers:
            with self._guard:
                move = self._moves.get(answer["transfer"])
            if move is None:
                continue
            if answer["state"] in ("booked", "moving"):
                move.rate = answer["rate"]
            elif move.state == "moving":
                self._end(move, "failed", "transfer_ended", answer["reason"] or "传输已结束")
                self._forget(move)
            else:
                self._forget(move)

    # one transfer -------------------------------------------------------------------------------------------------

    def _ask(self, name: str, item: Json) -> None:
        """Begins what is missing; several that ask for one version get the same."""
        is_here = self._depot.holds(name)
        transfer = item["transfer"]
        if transfer is None:
            if is_here:
                self._depot.use(name)
                self._tell(name, None)
            else:  # it was registered, and is not here: let it be brought
                with self._guard:
                    self._dropped.append(name)
                self._tell(name, _record("replica_gone", f"中心没有数据集 {item['dataset']} 的副本"))
                self._changed.set()
            return
        with self._guard:
            move = self._moves.get(transfer)
            is_new = move is None
            if move is None:
                move = self._moves[transfer] = _Move(transfer, item)
        if is_here:
            move.sha256 = self._depot.digest(name)
            self._depot.use(name)
            self._end(move, "done")
            self._tell(name, None)
        elif move.state == "failed":
            self._tell(name, _record(move.code, f"数据集 {item['dataset']}：{move.detail}"))
        elif is_new:
            assert self._workers is not None
            self._workers.submit(self._carry, move)

    def _carry(self, move: _Move) -> None:
        name = folder_name(move.item)
        with self._guard:
            filling = self._filling.setdefault(name, threading.Lock())
        with filling:
            try:
                self._fill(move, name)
            except _Stopped:
                return
            except _Refused as refused:
                self._end(move, "failed", refused.code, refused.detail)
            except NoRoom as full:
                self._end(move, "failed", "no_room", str(full))
            except OSError as error:
                is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                self._end(move, "failed", "no_room" if is_full else "disk", f"写入副本失败：{error.strerror}")
            except Exception as error:
                log.exception("bringing_failed", transfer=move.transfer)
                self._end(move, "failed", "agent", f"代理出错：{type(error).__name__}")
            else:
                self._end(move, "done")
            finally:
                self._depot.leave(name)

    def _fill(self, move: _Move, name: str) -> None:
        if not self._depot.holds(name):
            manifest = self._patiently(move, lambda: self._link.transfer_manifest(move.transfer))
            move.rate = manifest["rate"]
            move.done_bytes = self._depot.begin(name, manifest)
            with self._guard:
                in_use = set(self._users)
            for gone in self._depot.make_room(name, manifest["bytes"], in_use):
                with self._guard:
                    self._dropped.append(gone)
            for item in manifest["files"]:
                self._fetch(move, self._depot.files(name), item)
            if whole_digest(manifest["files"]) != manifest["sha256"]:
                raise _Refused("checksum_mismatch", "整体的 SHA-256 与清单不符")
            self._depot.finish(name, manifest)
        move.sha256 = self._depot.digest(name)

    def _fetch(self, move: _Move, folder: Path, item: Json) -> None:
        """One file; when it is not what it should be, once more."""
        incoming = Incoming(folder, item)
        if incoming.is_done:
            return
        with incoming:
            for number in (1, 2):
                while incoming.offset < incoming.size:
                    self._stretch(move, incoming, item["name"])
                if incoming.close():
                    return
                move.done_bytes -= incoming.size
                log.warning("file_damaged", transfer=move.transfer, file=item["name"], number=number)
        raise _Refused(
            "checksum_mismatch", f"文件 {item['name']} 两次取到的内容都与 SHA-256 {item['sha256'][:12]}… 不符"
        )

    def _stretch(self, move: _Move, incoming: Incoming, name: str) -> None:
        """As much as a few seconds allow; what breaks off is asked for again from where it stopped."""
        while move.rate == 0:
            if move.stop.wait(0.2):
                raise _Stopped
        rate = move.rate
        wanted = MOST_STRETCH if rate is None else max(LEAST_STRETCH, min(MOST_STRETCH, int(rate * STRETCH_S)))
        wanted = min(wanted, incoming.size - incoming.offset)

        def read() -> None:
            began, count = time.monotonic(), 0
            with self._link.transfer_bytes(move.transfer, name, incoming.offset, wanted) as chunks:
                for chunk in chunks:
                    taken = incoming.add(chunk)
                    move.done_bytes += taken
                    count += taken
                    ahead_s = count / rate - (time.monotonic() - began) if rate else 0.0
                    if move.stop.wait(max(0.0, ahead_s)):
                        raise _Stopped
                    if move.rate == 0:
                        return

        before = incoming.offset
        self._patiently(move, read, is_over=lambda: incoming.offset > before)

    def _patiently(self, move: _Move, work: Callable[[], Any], is_over: Callable[[], bool] = lambda: False) -> Any:
        """Does it, again while the platform does not answer. Raises _Refused, _Stopped."""
        number = 0
        while True:
            if move.stop.is_set():
                raise _Stopped
            try:
                return work()
            except Problem as problem:
                if not is_passing(problem):
                    raise _Refused(problem.code, problem.detail) from problem
                if number in (0, 5) or number % 60 == 0:
                    log.warning("bringing_waits", transfer=move.transfer, code=problem.code)
            if move.stop.wait(PAUSES_S[min(number, len(PAUSES_S) - 1)]):
                raise _Stopped
            if is_over():
                return None
            number += 1

    # ends ---------------------------------------------------------------------------------------------------------

    def _end(self, move: _Move, state: str, code: str = "", detail: str = "") -> None:
        with self._guard:
            if move.state != "moving":
                return
            move.state, move.code, move.detail = state, code, detail
            move.said_at = float("-inf")
        move.stop.set()
        what = f"数据集 {move.item['dataset']}：{detail}"
        self._tell(folder_name(move.item), None if state == "done" else _record(code, what))
        self._changed.set()

    def _forget(self, move: _Move) -> None:
        with self._guard:
            self._moves.pop(move.transfer, None)

    def _tell(self, name: str, record: Json | None) -> None:
        """A folder is there, or will not come: attempts that lack nothing more go on."""
        ready: list[_Wanted] = []
        with self._guard:
            for attempt in [attempt for attempt, wanted in self._wanted.items() if name in wanted.missing]:
                self._wanted[attempt].missing.discard(name)
                if record is not None or not self._wanted[attempt].missing:
                    ready.append(self._wanted.pop(attempt))
        for wanted in ready:
            wanted.done(record)

    def _shown(self, items: list[Json], work: Path) -> Json | None:
        """Makes the data visible in the job's folder, a link a data set; the record of what is in the way."""
        shown = [item["dataset"] for item in items]
        try:
            (work / DATA).mkdir(parents=True, exist_ok=True)
            for item in items:
                is_alone = shown.count(item["dataset"]) == 1
                place = work / DATA / (item["dataset"] if is_alone else f"{item['dataset']}@{item['version']}")
                if not place.is_symlink():
                    os.symlink(self._depot.files(folder_name(item)), place)
        except OSError as error:
            return _record("disk", f"作业目录中不能建立 {DATA}：{error.strerror}")
        return None


def _record(code: str, detail: str) -> Json:
    return {"cause": "data_missing", "detail": detail[:400], "again": code in AGAIN}


def _named(name: str) -> Json:
    dataset, version, *view = name.split("@")
    return {"dataset": dataset, "version": version, "view": view[0] if view else "whole"}
