"""What a cluster's engine does again and again: look, decide for each attempt, tell what is new, end orphans."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from compute_scheduler import steps
from compute_scheduler.engine import rules
from compute_scheduler.engine.cluster import Cluster, ClusterSilent, Copy, Look
from compute_scheduler.engine.contract import Health, Hear
from compute_scheduler.engine.entries import Entries, Entry

Json = dict[str, Any]
# A look is repeated no sooner than so many times what it took, so that a busy cluster is not kept busy by looking.
LOOK_SHARE, LONGEST_S = 4.0, 20.0
# What was given up so shortly before a look may still be in it.
FORGOTTEN_S = 10.0
KEPT_ORPHANS = 20
log = structlog.get_logger()


@dataclass
class Rounds:
    """One thread's work. later: does something in another thread.

    submit: has an attempt sent, unless it was sent again since the moment at which it was last sent.
    """

    cluster: Cluster
    entries: Entries
    times: rules.Times
    look_s: float
    submit: Callable[[Entry, float], None]
    later: Callable[[Callable[[], None]], None]
    hear: Hear
    mark: str = ""
    is_known: bool = False
    health: Health = field(default_factory=lambda: Health("down", "尚未联系到集群"))
    look: Look | None = None
    wakeup: threading.Event = field(default_factory=threading.Event)
    _began: float = float("-inf")
    _ended: float = float("-inf")
    _answered: float = field(default_factory=time.monotonic)
    _suspects: frozenset[tuple[str, str]] = frozenset()
    _orphans: tuple[str, ...] = ()

    def run(self, stop: threading.Event) -> None:
        """Goes round until stopped."""
        while not stop.is_set():
            self.wakeup.wait(self.look_s / 4)
            self.wakeup.clear()
            if stop.is_set():
                return
            try:
                self.round()
            except Exception:
                log.exception("cluster_round_failed")
                stop.wait(self.look_s)

    def round(self) -> None:
        """One round; the cluster is looked at when it is due."""
        took_s = self._ended - self._began if self.look is not None else 0.0
        is_looking = time.monotonic() - self._ended >= max(self.look_s, min(LOOK_SHARE * took_s, LONGEST_S))
        if is_looking:
            self.look_now()
        copies: dict[str, list[Copy]] = {}
        for copy in self.look.copies if self.look else ():
            copies.setdefault(copy.attempt, []).append(copy)
        grown: list[str] = []
        reasons: dict[str, str] = {}
        for entry in self.entries.all():
            if entry.record is None:
                self._attend(entry, tuple(copies.get(entry.attempt, ())), is_looking, reasons)
            size = entry.folder.log_size() if entry.claim == "granted" else 0
            if size != entry.log_size:
                entry.log_size = size
                grown.append(entry.attempt)
        if grown:
            self.hear({"event": "output", "attempts": grown})
        if reasons:
            self.hear({"event": "waits", "reasons": reasons})
        if is_looking and self.look is not None and self.is_known:
            self._end_orphans(self.look)
            self._release(self.look)

    def look_now(self) -> None:
        """Looks at the cluster; without an answer what was seen before is nothing to decide by."""
        before, nodes = self.health, _known(self.look)
        self._began = time.monotonic()
        try:
            self.look = self.cluster.look(self.mark)
            self._answered = time.monotonic()
            self.health = Health("up", "", self.look.foreign_jobs, self._orphans, self.look.shares)
        except ClusterSilent as silent:
            self.look = None
            self.health = Health("down", str(silent), 0, self._orphans)
            if before.state == "up":
                log.warning("cluster_silent", kind=self.cluster.kind, error=str(silent))
        self._ended = time.monotonic()
        if self.health != before or _known(self.look) != nodes:
            self.hear({"event": "state"})

    def _attend(self, entry: Entry, copies: tuple[Copy, ...], is_looking: bool, reasons: dict[str, str]) -> None:
        asked_at = entry.asked_at
        view = self._view(entry, copies)
        do, record = rules.decide(view, self.times)
        if do == "end":
            self._finish(entry, record)
        elif do == "fence":
            log.warning("copy_fenced", attempt=entry.attempt, remote=entry.claimed_by)
            entry.is_fenced = True
            entry.folder.stop()
        elif do == "submit" and entry.is_prepared and time.monotonic() >= entry.next_at:
            self.submit(entry, asked_at)
        if not is_looking:
            return
        # A copy that has said that it ended is told as running for a while by clusters; its end is no reason to end it.
        done = view.claimed_by if view.marker is not None else ""
        living = [copy for copy in copies if copy.phase != "ended" and copy.remote != done]
        if entry.ending or entry.record is not None:
            for copy in living:
                self._cancel(copy)
        elif entry.claim == "none" and living and living[0].words != entry.words:
            entry.words = living[0].words
            reasons[entry.attempt] = living[0].words

    def _view(self, entry: Entry, copies: tuple[Copy, ...]) -> rules.View:
        now = time.monotonic()
        is_late = entry.is_sending or not self._began > entry.asked_at
        marker = None
        if entry.claim == "granted":
            beat = entry.folder.beat()
            if beat != entry.beat:
                entry.beat, entry.beat_at = beat, now
            marker = entry.folder.marker(entry.nonce)
        return rules.View(
            claim=entry.claim,
            copies=None if self.look is None or is_late else copies,
            claimed_by=entry.claimed_by,
            ending=entry.ending,
            marker=marker,
            quiet_s=now - entry.beat_at,
            silent_s=now - self._answered if self.look is None else 0.0,
            is_fenced=entry.is_fenced,
        )

    def _finish(self, entry: Entry, record: Json) -> None:
        with self.entries.guard:
            # Between deciding and here a copy may have claimed: then nothing is proven any more.
            if entry.record is not None or (record["cause"] == "never_began" and entry.claim != "none"):
                return
            entry.record = entry.folder.finish(record)
        steps.reached("cluster:end-kept")
        entry.answered.set()
        if record["cause"] in ("engine_lost", "script_killed"):
            self.cancel_copies(entry.attempt)  # one that waits to start again
        self.hear({"event": "ended", "attempt": entry.attempt, "record": entry.record})

    def _end_orphans(self, look: Look) -> None:
        """Copies with our mark whose attempt is not held: the service has ended it, so its epoch is stale.

        Seen in two looks, since what has just ended may still be told as running.
        """
        found = {
            (copy.attempt, copy.remote): copy
            for copy in look.copies
            if copy.phase != "ended"
            and self.entries.get(copy.attempt) is None
            and not self.entries.forgotten_after(copy.attempt, self._began - FORGOTTEN_S)
        }
        for key in found.keys() & self._suspects:
            told = f"{key[0]} {key[1]}"
            if told not in self._orphans:  # a cluster may take its time to end one
                log.warning("orphan_cancelled", attempt=key[0], remote=key[1])
                self._orphans = (*self._orphans, told)[-KEPT_ORPHANS:]
            self._cancel(found[key])
        self._suspects = frozenset(found.keys() - self._suspects)
        self.entries.forget_forgotten(self._began - 100 * FORGOTTEN_S)

    def _release(self, look: Look) -> None:
        """What has ended and is held no more: the service has recorded it, so the cluster may forget it."""
        for copy in look.copies:
            if copy.is_kept and copy.phase == "ended" and self.entries.get(copy.attempt) is None:
                steps.reached("cluster:release")
                self._ask(self.cluster.release, copy)

    def _cancel(self, copy: Copy) -> None:
        self._ask(self.cluster.cancel, copy)

    def _ask(self, what: Callable[[Copy], None], copy: Copy) -> None:
        def work() -> None:
            try:
                what(copy)
            except ClusterSilent as silent:
                log.warning("cluster_unanswered", attempt=copy.attempt, remote=copy.remote, error=str(silent))

        self.later(work)

    def cancel_copies(self, attempt: str) -> None:
        """Ends the copies of an attempt that the last look has shown; the next look shows the others."""
        for copy in self.look.copies if self.look else ():
            if copy.attempt == attempt and copy.phase != "ended":
                self._cancel(copy)


def _known(look: Look | None) -> list[Json]:
    """Nodes without how busy they are, which changes at every look."""
    if look is None:
        return []
    quiet = [node["load"].items() for node in look.nodes]
    return [
        node | {"load": {name: value for name, value in load if name != "load_1m"}}
        for node, load in zip(look.nodes, quiet, strict=True)
    ]
