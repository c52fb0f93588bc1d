"""The engine of a centre whose jobs run in another brain, on what that one lends; see `contract.Engine`.

A thread looks at the other brain once a second and does for each attempt what `borrowing.next_step` says. What is
remembered lies in the attempts' folders. A job there is one attempt here: that brain takes it once, whatever is
repeated, holds its copy until it hears `begin`, and runs it once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from compute_scheduler.engine.borrowed import Borrowed, recalled
from compute_scheduler.engine.borrowing import Seen, Step, next_step, record_of, spec_of
from compute_scheduler.engine.contract import EngineInUse, Health, Hear, Json, Kept
from compute_scheduler.engine.folder import AttemptFolder, attempts_in
from compute_scheduler.engine.partner import Partner, PartnerRefused, PartnerSilent

WORKERS = 8
LOG_PART_BYTES = 1 << 18
KEPT_ORPHANS = 100
MOST_NAMED = 5000
log = structlog.get_logger()


class BrainEngine:
    """Jobs in another brain. root: folder of the agent, its own; look_s: least seconds between two looks."""

    def __init__(
        self, root: Path, partner: Partner, *, look_s: float = 1.0, log_bytes: int = 8_000_000, lost_s: float = 60.0
    ) -> None:
        self.root = root
        self.partner = partner
        self._look_s, self._log_bytes, self._lost_s = look_s, log_bytes, lost_s
        self._hear: Hear = lambda event: None
        self._guard = threading.Lock()
        self._held: dict[str, Borrowed] = {}
        self._mark = ""
        self._home: str | None = None
        self._look: Json | None = None
        self._health = Health("down", "还没有看到对方平台")
        self._told_state: tuple[list[Json], Health] | None = None
        self._suspects: frozenset[str] = frozenset()
        self._orphans: tuple[str, ...] = ()
        self._stop = threading.Event()
        self._soon = threading.Event()

    # contract.Engine ----------------------------------------------------------------------------------------------

    def open(self, hear: Hear) -> None:
        """Takes the folder, reads what was held, looks once. Raises EngineInUse."""
        self._hear = hear
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.root / "attempts").mkdir(exist_ok=True, mode=0o700)
        self._lock_file = os.open(self.root / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock_file)
            raise EngineInUse(f"{self.root} 已被另一个代理使用 is used by another agent") from error
        for name in attempts_in(self.root / "attempts"):
            if self._recall(name) is None:
                self._folder(name).remove()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="partner")
        self._round()
        self._watch = threading.Thread(target=self._run, name="partner-watch", daemon=True)
        self._watch.start()

    def close(self) -> None:
        """Leaves the other brain; what waits and runs there goes on."""
        self._stop.set()
        self._soon.set()
        self._watch.join(10.0)
        self._pool.shutdown(wait=True, cancel_futures=True)
        os.close(self._lock_file)

    def nodes(self) -> list[Json]:
        """What is lent now, nothing while the other brain is silent."""
        nodes: list[Json] = self._look["nodes"] if self._look is not None else []
        return nodes

    def capabilities(self) -> Json:
        """The other brain confines its jobs, not we."""
        look = self._look or {}
        partner = {"brain": look.get("brain"), "loan": self.partner.loan, "title": look.get("title", "")}
        return {"engine": "brain", "queues": True, "log_bytes": self._log_bytes, "partner": partner}

    def health(self) -> Health:
        """As of the last look."""
        return self._health

    def limits(self) -> Json:
        """None beside what a job asked for."""
        return {}

    def belongs_to(self, mark: str) -> None:
        """From now on jobs there that carry the mark and are not held here are strays, and cancelled."""
        self._mark = mark
        self._soon.set()

    def held(self) -> list[str]:
        """Attempts with a folder."""
        with self._guard:
            return sorted(self._held)

    def kept(self, attempt: str) -> Kept | None:
        """What is remembered."""
        entry = self._held.get(attempt)
        if entry is None:
            return None
        return Kept(entry.order, str(entry.order["nonce"]), entry.record, entry.is_granted)

    def take(self, attempt: str, order: Json) -> str:
        """Keeps an order; the nonce is the engine's own, since the other brain lets one copy begin at most."""
        self._folder(attempt).take({**order, "nonce": secrets.token_hex(16)})
        entry = self._recall(attempt)
        assert entry is not None
        return str(entry.order["nonce"])

    def work(self, attempt: str) -> Path:
        """Where inputs come to and outputs are fetched to."""
        return Path(self._folder(attempt).work)

    def store(self) -> Path:
        """Jobs that read data sets are not lent, so nothing comes here."""
        return self.root / "data"

    def prepare(self, attempt: str) -> None:
        """Has it submitted; one that is there already asks again."""
        entry = self._held.get(attempt)
        if entry is not None:
            entry.is_prepared = True
            self._soon.set()

    def start(self, *attempts: str) -> None:
        """The service has granted: the other brain is told so."""
        for attempt in attempts:
            self._start(attempt)

    def _start(self, attempt: str) -> None:
        with self._guard:
            entry = self._held.get(attempt)
            if entry is None or entry.record is not None:
                return
            if not entry.is_granted:
                entry.folder.begin()
                entry.is_granted = True
        self._later(entry, lambda: self.partner.begin(attempt))

    def end(self, attempt: str, cause: str = "cancelled") -> None:
        """Ends it; without a grant it has ended at once, for no copy of it can begin any more."""
        with self._guard:
            entry = self._held.get(attempt)
            if entry is None or entry.record is not None:
                return
            entry.ending = entry.ending or cause
            if cause == "refused":
                entry.is_granted = False  # the service has said so
            is_open = not entry.is_granted
            if is_open:
                entry.record = entry.folder.finish({"cause": entry.ending})
        self._soon.set()
        if is_open:
            self._hear({"event": "ended", "attempt": attempt, "record": entry.record})

    def finish(self, attempt: str, record: Json) -> Json:
        """Keeps the end of one that never began."""
        with self._guard:
            entry = self._held.get(attempt)
            if entry is None:
                return record
            entry.record = entry.folder.finish(record)
            return entry.record

    def read_log(self, attempt: str, offset: int, most_bytes: int) -> bytes:
        """A stretch of the log as far as it was fetched."""
        return self._folder(attempt).read_log(offset, most_bytes)

    def wake(self) -> None:
        """Looks now."""
        self._soon.set()

    def forget(self, attempt: str) -> None:
        """Gives it up; a job of it that still lives there is a stray."""
        with self._guard:
            entry = self._held.pop(attempt, None)
        if entry is not None:
            entry.folder.remove()

    # rounds -------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            self._soon.wait(self._look_s)
            self._soon.clear()
            if self._stop.wait(min(0.05, self._look_s)):  # what comes together is looked at together
                return
            try:
                self._round()
            except Exception:
                log.exception("partner_round_failed")

    def _round(self) -> None:
        with self._guard:
            entries = list(self._held.values())
        began = time.monotonic()
        try:
            self._look = self._whole_look([entry.attempt for entry in entries])
            words = "" if self._look["available"] else str(self._look["words"])
            self._health = Health("up", words, orphans=self._orphans)
        except PartnerSilent as silent:
            if self._health.state != "down":
                log.warning("partner_silent", loan=self.partner.loan, error=str(silent))
            self._look = None
            self._health = Health("down", str(silent), orphans=self._orphans)
        if self._look is not None:
            told = {job["attempt"]: job for job in self._look["jobs"]}
            for entry in entries:
                self._follow(entry, told.get(entry.attempt), began)
            self._end_strays(frozenset(self._look["strays"]))
        state = (self.nodes(), self._health)
        if state != self._told_state:
            self._told_state = state
            self._hear({"event": "state"})

    def _whole_look(self, attempts: list[str]) -> Json:
        look = self.partner.look(self._home, self._mark, attempts[:MOST_NAMED])
        for place in range(MOST_NAMED, len(attempts), MOST_NAMED):
            more = self.partner.look(self._home, self._mark, attempts[place : place + MOST_NAMED])
            look["jobs"] += more["jobs"]
        return look

    def _follow(self, entry: Borrowed, told: Json | None, began: float) -> None:
        now = time.monotonic()
        if told is not None or not entry.is_granted:
            entry.unknown_since = None
        elif entry.unknown_since is None:
            entry.unknown_since = now
        unknown_s = now - entry.unknown_since if entry.unknown_since is not None else 0.0
        is_fresh = began > entry.asked_at and not entry.is_busy
        seen = Seen(
            told, is_fresh, entry.is_prepared, entry.is_granted, bool(entry.ending), entry.record is not None, unknown_s
        )
        self._do(entry, next_step(seen, self._lost_s), told, now)
        if told is not None and entry.record is None:
            news = entry.news(told)
            if news is not None:
                self._hear(news)

    def _do(self, entry: Borrowed, step: Step, told: Json | None, now: float) -> None:
        attempt = entry.attempt
        match step:
            case "submit":
                if now >= entry.next_at:
                    self._later(entry, lambda: self._submit(entry))
            case "claim":
                self._hear({"event": "claim", "attempt": attempt, "nonce": entry.order["nonce"]})
            case "begin":
                self._later(entry, lambda: self.partner.begin(attempt))
            case "cancel":
                self._later(entry, lambda: self.partner.cancel(attempt))
            case "collect":
                assert told is not None
                known = told
                self._later(entry, lambda: self._collect(entry, known))
            case "lost":
                self._finish(entry, {"cause": "partner_lost", "detail": "对方平台没有这次运行的记录"})
            case _:
                if told is not None and told["log_bytes"] > entry.log_size:
                    self._later(entry, lambda: self._fetch_log(entry))

    def _submit(self, entry: Borrowed) -> None:
        order, work = entry.order, Path(entry.folder.work)
        hops = order.get("hops", [])
        if hops:
            self._home = hops[-1]
        try:
            inputs = {name: self.partner.put_input(work / name) for name in order["inputs"]}
            self.partner.submit(entry.attempt, self._mark, hops, spec_of(order, inputs))
            entry.tries = 0
        except PartnerRefused as refused:
            # What does not fit there, or comes too late for the loan, may run elsewhere.
            cause = "engine_refused" if refused.code == "lending_loop" else "never_began"
            self._finish(entry, {"cause": cause, "detail": str(refused)[:300]})
        except PartnerSilent:
            entry.tries += 1
            entry.next_at = time.monotonic() + min(0.25 * 2**entry.tries, 30.0)
            raise
        finally:
            entry.asked_at = time.monotonic()
            self._soon.set()

    def _collect(self, entry: Borrowed, told: Json) -> None:
        """Brings log and outputs here, then keeps how it ended."""
        self._fetch_log(entry)
        if told["end"]["began"] and told["end"]["outcome"] == "succeeded":
            for name, item in told["outputs"].items():
                self.partner.fetch_output(entry.attempt, item["sha256"], Path(entry.folder.work) / name)
        self._finish(entry, record_of(told, entry.log_size, entry.ending))

    def _fetch_log(self, entry: Borrowed) -> None:
        while entry.log_size < self._log_bytes:
            part = self.partner.read_log(entry.attempt, entry.log_size, LOG_PART_BYTES)
            if not part:
                break
            with open(entry.folder.log, "ab") as file:
                file.write(part)
            entry.log_size += len(part)
            self._hear({"event": "output", "attempts": [entry.attempt]})

    def _finish(self, entry: Borrowed, record: Json) -> None:
        with self._guard:
            if entry.record is not None:
                return
            entry.record = entry.folder.finish(record)
        self._hear({"event": "ended", "attempt": entry.attempt, "record": entry.record})

    def _end_strays(self, strays: frozenset[str]) -> None:
        """Jobs there with our mark that are not held: the service has ended them. Seen twice, for one may be new."""
        found = strays - self._held.keys()
        for attempt in sorted(found & self._suspects):
            if attempt not in self._orphans:
                log.warning("orphan_cancelled", attempt=attempt, loan=self.partner.loan)
                self._orphans = (*self._orphans, attempt)[-KEPT_ORPHANS:]
            with contextlib.suppress(PartnerSilent):  # the next look shows it again
                self.partner.cancel(attempt)
        self._suspects = frozenset(found)

    # inside -------------------------------------------------------------------------------------------------------

    def _folder(self, attempt: str) -> AttemptFolder:
        return AttemptFolder(self.root / "attempts", attempt)

    def _recall(self, attempt: str) -> Borrowed | None:
        with self._guard:
            if attempt in self._held:
                return self._held[attempt]
            folder = self._folder(attempt)
            facts = folder.facts()
            if facts is None:
                return None
            entry = recalled(folder, facts)
            self._held[attempt] = entry
            return entry

    def _later(self, entry: Borrowed, work: Callable[[], None]) -> None:
        """One thing at a time for an attempt; what is not done now is decided anew at the next look."""
        with self._guard:
            if entry.is_busy:
                self._soon.set()
                return
            entry.is_busy = True

        def guarded() -> None:
            try:
                work()
            except PartnerSilent as silent:
                log.warning("partner_unanswered", attempt=entry.attempt, error=str(silent))
            except Exception:
                log.exception("partner_work_failed", attempt=entry.attempt)
            finally:
                entry.is_busy = False

        try:
            self._pool.submit(guarded)
        except RuntimeError:  # it is being closed
            entry.is_busy = False
