"""Transfers as the scheduler books them: part of the links reserved, shared by jobs, given back at their end.

A version goes to a centre at most once at a time. What was booked first comes first on its links.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from brain_kit.events import emit
from brain_kit.ids import new_id
from sqlalchemy.orm import Session

from compute_scheduler.domain.data import Need
from compute_scheduler.domain.network import Ends, Link, Network, Reservation, Span
from compute_scheduler.domain.news import transfer_changed
from compute_scheduler.domain.transfers import Progress, chargeable, may_follow
from compute_scheduler.service import data
from compute_scheduler.settings import Settings
from compute_scheduler.store import network as replica_store
from compute_scheduler.store import transfers as store

Row = dict[str, Any]
# What has been reported is a moment old, so a booking that differs by less says nothing new.
CLOSE_MS = 2_000


@dataclass
class Booking:
    """Books what the jobs of one plan need, in the transaction that starts them."""

    session: Session
    settings: Settings
    now: datetime

    def book(self, job: Row, centre: str, attempts: Sequence[str]) -> list[Row] | None:
        """What is brought to a job's attempts: {dataset, version, view, transfer}; None: no way leads to the centre.

        A transfer that is on its way already is shared; without one in the answer the centre's agent has the files.
        """
        needs = [need for need in data.needs_of(job["spec"]) if need.files and need.version and need.view]
        if not needs:
            return []
        ground = data.load(self.session, self.settings, [need.dataset for need in needs], self.now)
        network = ground.network()
        items = []
        for need in dict.fromkeys(needs):
            key = {"dataset": need.dataset, "version": str(need.version), "view": need.view, "centre": centre}
            row = store.underway(self.session, key)
            if row is None and not replica_store.use_replica(self.session, key, self.now):
                found = _reservation(network, need, ground.atlas.holders(need), centre, data.ms_of(self.now))
                if found is None:
                    return None
                network.reserve(found)
                row = self._insert(key, need, found, ground.links, job["org"], attempts[0])
            if row is not None:
                store.add_users(self.session, row["id"], attempts, job["org"])
            items.append(
                {**{name: key[name] for name in ("dataset", "version", "view")}, "transfer": row and row["id"]}
            )
        return items

    def _insert(self, key: Row, need: Need, found: Reservation, links: Iterable[Link], org: str, payer: str) -> Row:
        row: Row = {
            "id": new_id("trf"),
            **key,
            "classification": need.classification,
            "source": found.source,
            **_reserved(found, links),
            "bytes": need.size,
            "sha256": "",
            "done_bytes": 0,
            "sent_bytes": 0,
            "charged_bytes": 0,
            "state": "booked",
            "code": "",
            "reason": "",
            "org": org,
            "payer": payer,
            "created_at": self.now,
            "updated_at": self.now,
        }
        store.insert(self.session, row)
        emit(self.session, transfer_changed(row))
        return row


def rebook(session: Session, settings: Settings, now: datetime, *, anew: str = "") -> None:
    """Books what is left of every transfer, in the order in which they came, and keeps what differs by seconds.

    So links that were given back or changed, and transfers that are late, change the times of the others; none is held
    up by one that came after it. One to whose centre no way leads any more fails: its jobs go back into the queue.
    anew: the transfer whose size has become known.
    """
    rows = [row for row in store.alive(session, lock=True) if row["path"]]
    if not rows:
        return
    links = data.links(session, now)
    network = Network(links, assumed_rate=data.assumed_rate(settings))
    for row in rows:
        left = max(1, (row["bytes"] or 0) - row["done_bytes"])
        found = network.earliest(left, [row["source"]], row["centre"], data.ms_of(now))
        if found is None:
            settle(session, row, "failed", now, code="unreachable", reason="链路已取消，没有路径通往这个中心")
            continue
        is_known = row["id"] != anew and row["ground"] == ground_of(data.path_of(row), links)
        if is_known and abs(found.finish_ms - data.ms_of(row["finish_at"])) <= CLOSE_MS:
            network.reserve(_kept(row))
            continue
        network.reserve(found)
        store.save(session, row["id"], **_reserved(found, links), updated_at=now)


def ground_of(path: Iterable[Ends], links: Iterable[Link]) -> str:
    """Digest of the links of a path as they are and will be."""
    wanted = set(path)
    return hashlib.sha256(repr([link for link in links if link.ends in wanted]).encode()).hexdigest()


def settle(session: Session, row: Row, after: str, now: datetime, *, code: str = "", reason: str = "") -> bool:
    """Takes a locked transfer to a state, and tells it; False when it may not follow on its own."""
    if not may_follow(row["state"], after):
        return False
    moment = {"started_at": now} if after == "moving" else {"ended_at": now}
    values = {"state": after, "code": code, "reason": reason[:500], "updated_at": now, **moment}
    store.save(session, row["id"], **values)
    row |= values
    emit(session, transfer_changed(row))
    return True


def release(session: Session, attempts: Iterable[str], now: datetime) -> dict[str, int]:
    """Attempts have ended: what nobody waits for any more is cancelled. Returns the bytes that each has to pay for."""
    owed: dict[str, int] = {}
    ended = set(attempts)
    left = store.leave(session, ended)
    waiting = store.users(session, left)
    for transfer in left:
        row = store.one(session, transfer, lock=True)
        if row is None:
            continue
        if row["payer"] in ended:
            # Beside the warehouse nothing goes over a link.
            count = chargeable(row["done_bytes"], row["sent_bytes"], row["charged_bytes"]) if row["path"] else 0
            owed[row["payer"]] = owed.get(row["payer"], 0) + count
            payer = next(iter(waiting[transfer]), row["payer"])
            store.save(session, transfer, charged_bytes=row["charged_bytes"] + count, payer=payer)
        if not waiting[transfer]:
            settle(session, row, "cancelled", now, code="not_needed", reason="没有作业再等待它")
    return owed


def progress_of(rows: Iterable[Row]) -> list[Progress]:
    """How far the transfers are that have not ended."""
    return [
        Progress(row["dataset"], row["done_bytes"], row["bytes"], row["finish_at"])
        for row in rows
        if row["ended_at"] is None
    ]


def _reservation(network: Network, need: Need, holders: Iterable[str], centre: str, at_ms: int) -> Reservation | None:
    """The booking of a version; one whose size nobody told gets a way, and its time once the size is known."""
    return network.earliest(need.size or 1, holders, centre, at_ms)


def _reserved(found: Reservation, links: Iterable[Link]) -> Row:
    return {
        "path": [list(ends) for ends in found.path],
        "spans": [[span.start_ms, span.end_ms, span.rate] for span in found.spans],
        "ground": ground_of(found.path, links),
        "finish_at": datetime.fromtimestamp(found.finish_ms / 1000, UTC),
    }


def _kept(row: Row) -> Reservation:
    spans: tuple[Span, ...] = data.spans_of(row)
    return Reservation(row["source"], row["centre"], data.path_of(row), spans, spans[-1].end_ms if spans else 0)
