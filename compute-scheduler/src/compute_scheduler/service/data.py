"""What the data of jobs say of where they run: read from the tables, reckoned by `domain.data`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from brain_kit.clock import rfc3339
from sqlalchemy.orm import Session

from compute_scheduler.clients import DatasetFacts
from compute_scheduler.domain.data import MICRO, Atlas, Need, Placed, Version, price_of
from compute_scheduler.domain.ledger import in_force
from compute_scheduler.domain.network import BYTES_MS_PER_GBIT_S, Ends, Link, Network, Span, ends_of
from compute_scheduler.domain.snapshot import QueuedJob
from compute_scheduler.settings import Settings
from compute_scheduler.store import centres as centre_store
from compute_scheduler.store import inventory as inventory_store
from compute_scheduler.store import ledger as ledger_store
from compute_scheduler.store import network as store
from compute_scheduler.store import transfers as transfer_store

Row = dict[str, Any]
READ_EVERY_S = 0.5
# What a start would take changes with the windows of links, so it is reckoned anew that often.
RECKON_EVERY_S = 60.0


@dataclass(frozen=True)
class Ground:
    """All that decides on data: where it is and may be, and the links."""

    atlas: Atlas
    links: tuple[Link, ...]
    assumed_rate: int
    reserved: tuple[tuple[Ends, Span], ...] = ()

    def network(self) -> Network:
        """The links with what transfers on their way have reserved."""
        taken: dict[Ends, list[Span]] = {}
        for ends, span in self.reserved:
            taken.setdefault(ends, []).append(span)
        return Network(self.links, taken, self.assumed_rate)


def load(session: Session, settings: Settings, datasets: Iterable[str], now: datetime) -> Ground:
    """What stands in the tables for these data sets."""
    names = set(datasets)
    centres = regions(session)
    held: dict[Version, set[str]] = {}
    for row in store.replicas_of(session, names):
        held.setdefault((row["dataset"], row["version"], row["view"]), set()).add(row["centre"])
    moving: dict[Version, dict[str, int]] = {}
    underway = transfer_store.alive(session)
    for row in underway:
        if row["finish_at"] is not None:
            version = (row["dataset"], row["version"], row["view"])
            moving.setdefault(version, {})[row["centre"]] = ms_of(row["finish_at"])
    prices = ledger_store.all_price_lists(session).values()
    lists = {centre: in_force(prices, centre, now) for centre in centres}
    atlas = Atlas(
        centres,
        tuple(settings.compute_scheduler_data_centres),
        {version: frozenset(where) for version, where in held.items()},
        {row["dataset"]: tuple(row["stays_in"]) for row in store.rules(session, names)},
        frozenset(settings.compute_scheduler_staying_classes),
        {centre: found.gb_moved for centre, found in lists.items() if found is not None},
        moving,
    )
    reserved = tuple((ends, span) for row in underway for ends in path_of(row) for span in spans_of(row))
    return Ground(atlas, links(session, now), assumed_rate(settings), reserved)


def regions(session: Session) -> dict[str, str]:
    """Every centre with its region code, '' unknown."""
    stated = {centre: row["region"] for centre, row in inventory_store.all_inventory(session).items()}
    return {row["id"]: stated.get(row["id"], "") for row in centre_store.all_centres(session)}


def assumed_rate(settings: Settings) -> int:
    """Of two centres that no path joins."""
    return _rate(settings.compute_scheduler_assumed_gbit_s)


def path_of(transfer: Row) -> tuple[Ends, ...]:
    """The links that a transfer takes."""
    return tuple((one, other) for one, other in transfer["path"])


def spans_of(transfer: Row) -> tuple[Span, ...]:
    """What a transfer has reserved of each of its links."""
    return tuple(Span(start, end, rate) for start, end, rate in transfer["spans"])


def links(session: Session, now: datetime) -> tuple[Link, ...]:
    """The links with their windows from a moment on."""
    windows: dict[tuple[str, str], list[Span]] = {}
    for row in store.windows(session, now):
        span = Span(ms_of(row["start_at"]), ms_of(row["end_at"]), _rate(row["gbit_s"]))
        windows.setdefault((row["one"], row["other"]), []).append(span)
    known = [(ends_of(row["one"], row["other"]), row) for row in inventory_store.all_links(session)]
    return tuple(Link(ends, _rate(row["capacity_gbit_s"]), tuple(windows.get(ends, ()))) for ends, row in known)


def needs_of(spec: Mapping[str, Any]) -> tuple[Need, ...]:
    """What a job's specification says of its data, as it was found at submission."""
    asked = spec.get("datasets", ())
    return tuple(
        Need(
            row["dataset"], row["version"], row["bytes"], row["class"], row.get("view", ""),
            bool(asked[place].get("files", True)) if place < len(asked) else True,
        )
        for place, row in enumerate(spec.get("data", ()))
    )  # fmt: skip


def told(facts: Iterable[DatasetFacts]) -> list[Row]:
    """What is kept of data sets with the job that reads them."""
    return [
        {
            "dataset": item.dataset,
            "version": item.version,
            "bytes": item.size,
            "class": item.classification,
            "view": item.view,
        }
        for item in facts
    ]


def placed_job(job: QueuedJob, placed: Placed) -> QueuedJob:
    """The job with what its data say of where it runs."""
    centres = job.centres if placed.centres is None else placed.centres
    return replace(job, centres=centres, home=placed.home, stages=placed.stages, nowhere=placed.centres == ())


def objection(placed: Placed, job: QueuedJob) -> str | None:
    """Why a job's data leave it no centre, None when they leave one."""
    if placed.centres != ():
        return None
    what = "、".join(placed.bound) if placed.bound else "作业的数据集"
    where = f"作业指定的中心 {'、'.join(job.centres)}" if job.centres else "任何算力中心"
    return f"数据不出域：{what} 不能到达{where}；请改 centre、去掉该数据集，或请所有者调整数据规则"


class DataView:
    """Places the queued jobs that read data, between plans: anew when something that decides on data has changed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._plain: dict[str, tuple[QueuedJob, tuple[Need, ...]]] = {}
        self._ground: Ground | None = None
        self._names: set[str] = set()
        self._read = self._reckoned = float("-inf")

    def note(self, job: QueuedJob, needs: tuple[Need, ...]) -> None:
        """A job that has come into the queue, as it stands in the tables."""
        self._plain.pop(job.id, None)
        if needs:
            self._plain[job.id] = (job, needs)

    def place(
        self,
        session: Session,
        queued: dict[str, QueuedJob],
        known: Mapping[str, QueuedJob],
        now: datetime,
        clock: float,
    ) -> None:
        """Puts jobs with data in the place of themselves in `queued`. known: those placed before, by id."""
        self._plain = {job_id: item for job_id, item in self._plain.items() if job_id in queued}
        if not self._plain:
            return
        is_new = self._look(session, now, clock)
        assert self._ground is not None
        network, at_ms = self._ground.network(), ms_of(now)
        found: dict[tuple[tuple[Need, ...], tuple[str, ...]], Placed] = {}
        for job_id, (job, needs) in self._plain.items():
            before = known.get(job_id)
            if not is_new and before is queued[job_id]:
                continue
            key = (needs, job.centres)
            if key not in found:
                found[key] = self._ground.atlas.place(needs, network, at_ms, job.centres)
            placed = placed_job(job, found[key])
            queued[job_id] = before if before == placed else placed

    def _look(self, session: Session, now: datetime, clock: float) -> bool:
        """Whether every job has to be placed anew."""
        names = {need.dataset for _, needs in self._plain.values() for need in needs}
        if clock - self._read < READ_EVERY_S and names <= self._names:
            return False
        ground = load(session, self._settings, names, now)
        self._read, self._names = clock, names
        is_new = ground != self._ground or clock - self._reckoned >= RECKON_EVERY_S
        self._ground = ground
        if is_new:
            self._reckoned = clock
        return is_new


def quotes(session: Session, settings: Settings, facts: DatasetFacts, now: datetime) -> Row:
    """What bringing a version to each centre takes now, and where it may be."""
    ground = load(session, settings, [facts.dataset], now)
    need = Need(facts.dataset, facts.version, facts.size, facts.classification, facts.view)
    allowed, holders, network = ground.atlas.allowed(need), ground.atlas.holders(need), ground.network()
    items = []
    for row in centre_store.all_centres(session):
        centre = row["id"]
        found = network.earliest(need.size or 0, holders, centre, ms_of(now))
        size = need.size if centre not in holders else 0
        price = ground.atlas.gb_price.get(centre)
        items.append(
            {
                "centre": centre,
                "title": row["title"],
                "holds": centre in holders,
                "allowed": allowed is None or centre in allowed,
                "bytes": size,
                "seconds": None if found is None or size is None else (found.finish_ms - ms_of(now)) / 1000,
                "yuan": None if price is None or size is None else price_of(size, price) / MICRO,
                "source": found and found.source,
                "path": [list(ends) for ends in found.path] if found else [],
            }
        )
    rule = ground.atlas.rules.get(facts.dataset)
    return {
        "dataset": facts.dataset,
        "version": facts.version,
        "classification": facts.classification,
        "stays_in": list(rule) if rule is not None else None if allowed is None else sorted(allowed),
        "rule": "own" if rule is not None else "none" if allowed is None else "class",
        "as_of": rfc3339(now),
        "items": items,
    }


def _rate(gbit_s: float) -> int:
    return round(gbit_s * BYTES_MS_PER_GBIT_S)


def ms_of(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return int(moment.timestamp() * 1000)
