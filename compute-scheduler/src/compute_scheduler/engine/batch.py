"""The engine of a centre whose jobs run in a cluster with a queue of its own; see `contract.Engine` and `cluster.py`.

A thread looks at the cluster and at the shared folder and does for each attempt what `rules.decide` says; the desk
takes claims; a few threads submit and cancel. What is remembered lies in the attempts' folders (`shared.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from compute_scheduler import steps
from compute_scheduler.engine import rules
from compute_scheduler.engine.cluster import Cluster, ClusterSilent, Submission, SubmissionRefused
from compute_scheduler.engine.contract import EngineInUse, Health, Hear, Json, Kept
from compute_scheduler.engine.copy import Copied, script
from compute_scheduler.engine.desk import Desk, Question
from compute_scheduler.engine.entries import Entries, Entry
from compute_scheduler.engine.folder import write_text
from compute_scheduler.engine.rounds import Rounds

ANSWER_S = 30.0
SUBMITTERS = 8
log = structlog.get_logger()


@dataclass(frozen=True)
class BatchSettings:
    """shared: the folder that agent and nodes share. address: where the desk listens; reach: its host for nodes.

    look_s: least seconds between two looks at the cluster; files are looked at four times as often.
    """

    shared: Path
    address: tuple[str, int] = ("127.0.0.1", 0)
    reach: str = ""
    look_s: float = 1.0
    grace_s: float = 5.0
    log_bytes: int = 8_000_000
    claim_s: float = 600.0
    times: rules.Times = field(default_factory=rules.Times)


class BatchEngine:
    """Jobs in a cluster. root: folder of the agent, its own; nodes need not reach it."""

    def __init__(self, root: Path, cluster: Cluster, settings: BatchSettings) -> None:
        self.root = root
        self.cluster = cluster
        self.settings = settings
        self._entries = Entries(root, settings.shared)
        self._hear: Hear = lambda event: None
        self._rounds = Rounds(
            cluster, self._entries, settings.times, settings.look_s, self._submit_soon, self._later, self._tell
        )
        self._stop = threading.Event()

    # contract.Engine ----------------------------------------------------------------------------------------------

    def open(self, hear: Hear) -> None:
        """Takes the folder, reads what was held, looks once, then answers copies. Raises EngineInUse."""
        self._hear = hear
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock_file = os.open(self.root / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock_file)
            raise EngineInUse(f"{self.root} 已被另一个代理使用 is used by another agent") from error
        with contextlib.suppress(FileNotFoundError):
            self._rounds.mark = (self.root / "mark").read_text(encoding="utf-8").strip()
        self._entries.open()
        self._pool = ThreadPoolExecutor(SUBMITTERS, thread_name_prefix="cluster")
        place = self.settings.shared / "desk" / "address"
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        self._desk = Desk(self.root, place, self.settings.address, self.settings.reach, self._answer)
        self._rounds.look_now()
        self._watch = threading.Thread(target=self._rounds.run, args=(self._stop,), name="cluster-watch", daemon=True)
        self._watch.start()

    def close(self) -> None:
        """Leaves the cluster; what waits and runs there goes on."""
        self._stop.set()
        self._rounds.wakeup.set()
        self._desk.close()
        self._watch.join(10.0)
        self._entries.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.cluster.close()
        os.close(self._lock_file)

    def nodes(self) -> list[Json]:
        """What the cluster had to give at the last look, nothing while it is silent."""
        look = self._rounds.look
        return look.nodes if look is not None else []

    def capabilities(self) -> Json:
        """The cluster confines its jobs, not we."""
        return {"engine": self.cluster.kind, "queues": True, "log_bytes": self.settings.log_bytes}

    def health(self) -> Health:
        """As of the last look."""
        return self._rounds.health

    def limits(self) -> Json:
        """None beside what a job asked for."""
        return {}

    def belongs_to(self, mark: str) -> None:
        """From now on copies of attempts that are not held are refused, and cancelled when they carry the mark."""
        if mark != self._rounds.mark:
            write_text(self.root / "mark", mark)
            self._rounds.mark = mark
        self._rounds.is_known = True
        self._rounds.wakeup.set()

    def held(self) -> list[str]:
        """Attempts with a folder."""
        return sorted(entry.attempt for entry in self._entries.all())

    def kept(self, attempt: str) -> Kept | None:
        """What is remembered."""
        with self._entries.guard:
            entry = self._entries.get(attempt)
            if entry is None:
                return None
            return Kept(entry.order, entry.nonce, entry.record, entry.claim == "granted")

    def take(self, attempt: str, order: Json) -> str:
        """Keeps an order with a token of its own."""
        secret = {"nonce": secrets.token_hex(16), "token": secrets.token_hex(16)}
        self._entries.folder(attempt).take({**order, **secret})
        entry = self._entries.recall(attempt)
        assert entry is not None
        return entry.nonce

    def store(self) -> Path:
        """In the shared folder."""
        return self.settings.shared / "data"

    def work(self, attempt: str) -> Path:
        """The working folder in the shared one."""
        return Path(self._entries.folder(attempt).work)

    def prepare(self, attempt: str) -> None:
        """Submits it, unless a copy has asked already or a submission may be under way."""
        with self._entries.guard:
            entry = self._entries.get(attempt)
            if entry is None:
                return
            entry.is_prepared = True
            if entry.record is not None or entry.claim == "granted":
                return
            asks, is_asked, asked_at = entry.claim == "asked", entry.is_asked, entry.asked_at
        if asks:
            self._hear({"event": "claim", "attempt": attempt, "nonce": entry.nonce})
        elif is_asked:
            self._rounds.wakeup.set()  # the next look tells whether it arrived
        else:
            self._submit_soon(entry, asked_at)

    def start(self, *attempts: str) -> None:
        """The service has granted: the copies that wait for their answer begin."""
        for attempt in attempts:
            self._start(attempt)

    def _start(self, attempt: str) -> None:
        with self._entries.guard:
            entry = self._entries.get(attempt)
            if entry is None or entry.record is not None:
                return
            self._entries.tell_places(entry)
            entry.folder.mark("begun")
            entry.claim, entry.beat_at = "granted", time.monotonic()
            steps.reached("cluster:begun")
            ending = entry.ending
        entry.answered.set()
        if ending:
            self.end(attempt, ending)

    def end(self, attempt: str, cause: str = "cancelled") -> None:
        """Ends it; one without a grant has ended at once, for no copy of it may begin any more."""
        with self._entries.guard:
            entry = self._entries.get(attempt)
            if entry is None or entry.record is not None:
                return
            entry.ending = entry.ending or cause
            if cause == "refused":
                entry.claim = "none"  # the service has said so
            is_open = entry.claim == "none"
            if is_open:
                entry.record = entry.folder.finish({"cause": entry.ending})
        entry.answered.set()
        if entry.claim == "granted":
            entry.folder.stop()
        self._rounds.cancel_copies(attempt)
        if is_open:
            self._hear({"event": "ended", "attempt": attempt, "record": entry.record})

    def finish(self, attempt: str, record: Json) -> Json:
        """Keeps the end of one that never began."""
        with self._entries.guard:
            entry = self._entries.get(attempt)
            if entry is None:
                return record
            entry.record = entry.folder.finish(record)
            return entry.record

    def read_log(self, attempt: str, offset: int, most_bytes: int) -> bytes:
        """A stretch of the log, up to its limit."""
        most = min(most_bytes, self.settings.log_bytes - offset)
        return self._entries.folder(attempt).read_log(offset, most)

    def wake(self) -> None:
        """Looks now."""
        self._rounds.wakeup.set()

    def forget(self, attempt: str) -> None:
        """Gives it up; a copy that still comes is an orphan."""
        self._entries.forget(attempt)

    # claims -------------------------------------------------------------------------------------------------------

    def _answer(self, asked: Question) -> tuple[int, Mapping[str, str]]:
        with self._entries.guard:
            entry = self._entries.get(asked.attempt)
            if entry is None:
                return (409 if self._rounds.is_known else 503), {}
            status = self._known_answer(entry, asked)
            if status is not None:
                return status, entry.places if asked.kind == "claims" else {}
            is_first = entry.claim == "none"
            if is_first:
                entry.folder.keep_claim(asked.nonce, asked.remote, asked.address)
                entry.claim, entry.nonce, entry.claimed_by = "asked", asked.nonce, asked.remote
                entry.address = asked.address
            is_told = is_first and entry.is_prepared
        if is_told:
            steps.reached("cluster:claim-kept")
            self._hear({"event": "claim", "attempt": asked.attempt, "nonce": asked.nonce})
        entry.answered.wait(ANSWER_S)
        return self._decided(entry)

    def _known_answer(self, entry: Entry, asked: Question) -> int | None:
        """What needs not be waited for; None for the copy whose claim the service decides."""
        if not hmac.compare_digest(entry.token, asked.token):
            return 403
        if asked.kind == "ended":
            self._rounds.wakeup.set()
            return 204
        if entry.record is not None or (entry.ending and entry.claim != "granted"):
            return 409
        if entry.claim == "granted":
            return 204 if entry.nonce == asked.nonce else 409
        # Another copy has asked; its answer decides.
        return 503 if entry.claim == "asked" and entry.nonce != asked.nonce else None

    def _decided(self, entry: Entry) -> tuple[int, Mapping[str, str]]:
        with self._entries.guard:
            if entry.claim == "granted" and entry.record is None:
                return 204, entry.places
            is_over = entry.record is not None or self._entries.get(entry.attempt) is None
            return (409 if is_over else 503), {}

    # inside -------------------------------------------------------------------------------------------------------

    def _tell(self, event: Json) -> None:
        self._hear(event)

    def _submit_soon(self, entry: Entry, asked_at: float) -> None:
        """Sends it, unless that was done since it was decided, when it had last been sent at `asked_at`."""
        with self._entries.guard:
            is_sent = entry.is_sending or entry.asked_at != asked_at
            if is_sent or entry.record is not None or entry.claim != "none":
                return
            entry.is_sending = True
        self._later(lambda: self._submit(entry))

    def _submit(self, entry: Entry) -> None:
        attempt = entry.folder.attempt
        try:
            submission = self._submission(entry)
            entry.folder.mark("asked")
            entry.is_asked, entry.asked_at = True, time.monotonic()
            steps.reached("cluster:submit-asked")
            remote = self.cluster.submit(submission)
            steps.reached("cluster:submit-answered")
            entry.asked_at = time.monotonic()
            self._hear({"event": "waits", "reasons": {attempt: f"已提交到集群，作业号 {remote}"}})
        except SubmissionRefused as refused:
            record = self.finish(attempt, {"cause": "engine_refused", "detail": str(refused)[:300]})
            self._hear({"event": "ended", "attempt": attempt, "record": record})
        except ClusterSilent as silent:
            entry.asked_at = time.monotonic()
            entry.tries += 1
            entry.next_at = entry.asked_at + min(0.25 * 2**entry.tries, 60.0)
            log.warning("submission_unanswered", attempt=attempt, error=str(silent))
            self._hear({"event": "waits", "reasons": {attempt: str(silent)}})
            self._rounds.wakeup.set()
        except OSError as error:
            log.warning("shared_folder_failed", attempt=attempt, error=str(error))
        finally:
            entry.is_sending = False

    def _submission(self, entry: Entry) -> Submission:
        order, folder, settings = entry.order, entry.folder, self.settings
        asked = order["resources"]
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": folder.work,
            "TMPDIR": os.path.join(folder.work, "tmp"),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": str(max(1, round(float(asked["cores"])))),
            **order.get("env", {}),
            "BRAIN_ATTEMPT": folder.attempt,
        }
        text = script(
            Copied(
                attempt=folder.attempt,
                folder=folder.shared,
                desk=settings.shared / "desk" / "address",
                token=entry.token,
                command=order["command"],
                env=env,
                time_limit_s=order["time_limit_s"],
                log_bytes=settings.log_bytes,
                beat_s=settings.times.beat_s,
                grace_s=settings.grace_s,
                claim_s=settings.claim_s,
            )
        )
        path = folder.write_script(text)
        kinds = dict(asked.get("accelerators", {}))
        cores, memory_mb, limit_s = float(asked["cores"]), int(asked["memory_mb"]), int(order["time_limit_s"])
        said = folder.shared / "cluster.log"
        return Submission(
            folder.attempt, self._rounds.mark, path, said, cores, memory_mb, kinds, limit_s, entry.members
        )

    def _later(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception:
                log.exception("cluster_work_failed")

        with contextlib.suppress(RuntimeError):  # it is being closed
            self._pool.submit(guarded)
