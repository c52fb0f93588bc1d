"""What `batch.BatchEngine` asks of a cluster with a queue of its own: Slurm, Ray, Kubernetes.

A cluster is looked at, gets jobs submitted, and is asked to end them; everything that must not be lost is in the
engine's folders, and what decides is in `rules.py`. A cluster's own record of a job is a hint, never a proof: Slurm
runs a job twice or forgets it when its controller is killed. So an implementation

- names each job by its attempt and marks it with the centre's mark, both where `look` finds them again;
- raises ClusterSilent for every answer that is no evidence (no connection, time-out, 5xx, a refused credential),
  and SubmissionRefused only when it is certain that no job was made and none will be by asking again;
- runs `Submission.script` by bash, once or more often: the script claims before it begins;
- never returns a secret in words or errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

Json = dict[str, Any]
Phase = Literal["waiting", "running", "ended"]


class ClusterSilent(Exception):
    """No answer, or one that says nothing about any job; the text is for the centre's operator."""


class SubmissionRefused(Exception):
    """The cluster will never take this job; nothing was made. The text is for the job's owner."""


@dataclass(frozen=True)
class Submission:
    """One attempt as it goes to a cluster.

    script: a bash script that every node reaches; it is all that has to run. log: where the cluster may put what the
    script itself says before it begins. accelerators: whole devices by kind, or part of one. time_limit_s: the script
    keeps it; the cluster's own limit is the backstop. members: how many the gang has of which it is one, else 1.
    """

    attempt: str
    mark: str
    script: Path
    log: Path
    cores: float
    memory_mb: int
    accelerators: dict[str, float]
    time_limit_s: int
    members: int = 1


@dataclass(frozen=True)
class Copy:
    """One job of the cluster that carries our mark, as the cluster tells it.

    remote: the cluster's id, which is no key: it may come again. words: why it waits, or how it ended.
    cause: of an ended one `exit`, `time_limit`, `memory`, `node_failed`, `preempted` or `engine_cancelled`.
    code: exit code when it is known. is_kept: the cluster keeps what it knows of this ended one until `release`.
    """

    attempt: str
    remote: str
    phase: Phase
    cause: str = ""
    code: int | None = None
    words: str = ""
    is_kept: bool = False


@dataclass(frozen=True)
class Look:
    """A cluster at one moment.

    nodes: those that take work: {name, cores, memory_mb, accelerators, load}, whole; what jobs of others hold of one is
    told in `load` as foreign_cores, foreign_memory_mb and foreign_KIND, and the plan keeps off it.
    foreign_jobs: unfinished jobs without our mark. shares: whether it gives parts of an accelerator.
    """

    copies: tuple[Copy, ...]
    nodes: list[Json]
    foreign_jobs: int = 0
    shares: bool = False


class Cluster(Protocol):
    """A cluster; methods are called from several threads."""

    kind: str

    def look(self, mark: str) -> Look:
        """Everything at once. Raises ClusterSilent."""
        ...

    def submit(self, submission: Submission) -> str:
        """Makes a job; returns the cluster's id. Raises ClusterSilent (it may have been made), SubmissionRefused."""
        ...

    def cancel(self, copy: Copy) -> None:
        """Ends a job, whether it waits or runs; one that is not there is no error. Raises ClusterSilent."""
        ...

    def release(self, copy: Copy) -> None:
        """The result of an ended one with `is_kept` is recorded: the cluster may forget it. Raises ClusterSilent."""
        ...

    def close(self) -> None:
        """Gives connections back."""
        ...
