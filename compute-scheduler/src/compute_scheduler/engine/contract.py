"""What an agent asks of an engine. An engine is where jobs run: this machine, Slurm, Ray, Kubernetes.

The agent drives every engine through the same steps, one attempt at a time, and owns nothing that a crash could lose:

    take      keeps the order, durable; the same attempt may be taken again and the first word stands;
              `readable` of an order are folders that its command reads and does not change
    (the agent brings the inputs into `work`)
    prepare   asks for a copy of the job to be made; from now on each copy must claim before it may begin
    claim     heard by the agent: a copy asks, with a nonce of its own; the agent asks the service
    start     the service has granted the claim: the copy that holds the nonce begins, no other ever does
    end       the attempt has to end: before the grant it never begins, after it the command is ended
    ended     heard by the agent: the record of how it ended is kept and never changes again
    (the agent collects the outputs from `work`, reports, and the service acknowledges)
    forget    gives the attempt up; whatever copy is left of it is refused, cancelled and told as an orphan

`prepare`, `start`, `end` may be called again at any time, also after a restart of the agent, and never run a command
twice: an engine that cannot know whether a request arrived looks for the attempt's id before it asks again, and the
claim refuses whatever slips through. "Unknown" is never "failed": an engine that does not answer says so in `health`
and its attempts wait.

What `hear` gets, from any thread, is one of
    {"event": "claim", "attempt", "nonce"}     a copy asks whether it may begin
    {"event": "ended", "attempt", "record"}    `record` as in `engine/watched.py`; causes in `domain/outcomes.py`
    {"event": "output", "attempts"}            there is more of their logs to read
    {"event": "state"}                         `nodes` or `health` have changed
    {"event": "waits", "reasons"}              attempt to words: why the engine has not begun it
    {"event": "notice", "reasons"}             attempt to words: what will become of one that runs
    {"event": "gone"}                          what watched the commands has died; the agent calls `wake`
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Json = dict[str, Any]
Hear = Callable[[Json], None]


class EngineInUse(Exception):
    """Another agent works with this engine's folder."""


@dataclass(frozen=True)
class Kept:
    """What an engine remembers of an attempt.

    order: as it was taken. nonce: of the copy that claims, or the engine's own before one has. record: how it ended.
    is_begun: the claim was granted and the command may have run.
    """

    order: Json
    nonce: str
    record: Json | None
    is_begun: bool


@dataclass(frozen=True)
class Health:
    """Whether the engine answers, and what the operator of the centre should know.

    state: `up`, or `down`: it takes nothing and `nodes` is empty; `detail` says why, without secrets.
    foreign_jobs: jobs of others that it runs. orphans: copies of ours that were found without their attempt and
    cancelled, the newest last. shares: whether it gives parts of an accelerator.
    """

    state: str = "up"
    detail: str = ""
    foreign_jobs: int = 0
    orphans: tuple[str, ...] = ()
    shares: bool = False

    def document(self) -> Json:
        """As it is reported."""
        return {
            "state": self.state,
            "detail": self.detail[:300],
            "foreign_jobs": self.foreign_jobs,
            "orphans": list(self.orphans[-20:]),
            "shares": self.shares,
        }


class Engine(Protocol):
    """An engine as its agent drives it; every method may be called from any thread after `open`."""

    def open(self, hear: Hear) -> None:
        """Takes the engine for this agent. Raises EngineInUse."""
        ...

    def close(self) -> None:
        """Leaves it; what runs goes on."""
        ...

    def nodes(self) -> list[Json]:
        """Nodes that take work now: {name, cores, memory_mb, accelerators, load}; at once, from the last look."""
        ...

    def capabilities(self) -> Json:
        """What the engine can enforce, for the centre's page; `engine` is its kind.

        `queues`: it keeps waiting, unclaimed, what it has no room for, so it may be handed more than fits.
        """
        ...

    def health(self) -> Health:
        """Whether it answers; at once, from the last look."""
        ...

    def limits(self) -> Json:
        """Amounts that the words of an outcome name beside what the job asked for, such as `disk_mb`."""
        ...

    def belongs_to(self, mark: str) -> None:
        """Told once a session: how copies of this centre's attempts are told from everybody else's."""
        ...

    def held(self) -> list[str]:
        """Attempts that it holds, whether they run or have ended."""
        ...

    def kept(self, attempt: str) -> Kept | None:
        """What it remembers of an attempt, None when it holds none of that id."""
        ...

    def take(self, attempt: str, order: Json) -> str:
        """Keeps an order, durable; returns the nonce of the engine's own copy."""
        ...

    def work(self, attempt: str) -> Path:
        """The job's working folder as the agent reaches it, for inputs and outputs."""
        ...

    def store(self) -> Path:
        """A folder that jobs reach under the same path, for data that several of them read; also before `open`."""
        ...

    def prepare(self, attempt: str) -> None:
        """Has a copy made that claims before it begins."""
        ...

    def start(self, *attempts: str) -> None:
        """Lets the copies begin whose claims were granted. Raises OSError when all have to be asked for again."""
        ...

    def end(self, attempt: str, cause: str = "cancelled") -> None:
        """Ends an attempt for a cause: `cancelled`, or `refused` when its claim was."""
        ...

    def finish(self, attempt: str, record: Json) -> Json:
        """Keeps how an attempt ended that never began; returns the record that stands."""
        ...

    def read_log(self, attempt: str, offset: int, most_bytes: int) -> bytes:
        """A stretch of what the command printed; empty at its end."""
        ...

    def wake(self) -> None:
        """Makes sure that what has begun is watched. Raises OSError when it cannot."""
        ...

    def forget(self, attempt: str) -> None:
        """Gives an attempt up whose end the service has kept, or whose claim it has refused."""
        ...
