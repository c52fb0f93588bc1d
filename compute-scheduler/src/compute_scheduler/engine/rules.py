"""What follows from what is known of an attempt in a cluster: pure, so that every combination can be tried.

The specification, in order of what is proven:

1. A copy that was granted and left its marker has ended as the marker says, whatever the cluster tells.
2. A granted copy is over only when the cluster, asked now, has no running job for it, and its beat has stopped; then it
   is fenced (it ends itself when it sees the fence) and given up. Without an answer of the cluster nothing is decided.
3. An attempt without a grant has not begun and never will once its end is kept here, because its claim is refused. So
   it may be ended, or given back to the queue, at any time; a copy that still comes is an orphan.
4. A submission is sent (again) only when a look that began after the last one shows no job of the attempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from compute_scheduler.engine.cluster import Copy

Json = dict[str, Any]
Claim = Literal["none", "asked", "granted"]
Do = Literal["wait", "submit", "fence", "end"]
# The cluster's word for these does not prove that the processes are gone.
UNPROVEN = frozenset({"node_failed"})
REFUSED_CODE, UNCLAIMED_CODE = 113, 114
# What a marker says of a copy that was ended by others, and what that is called when the cluster says nothing.
_FROM_OUTSIDE = {"terminated": "engine_cancelled", "killed": "script_killed"}


@dataclass(frozen=True)
class Times:
    """beat_s: how often a copy beats. lost_s: silence after which a copy that the cluster does not know is given up.

    patience_s: how long an attempt that has not begun waits for a silent cluster before it is given back.
    """

    beat_s: float = 5.0
    lost_s: float = 60.0
    patience_s: float = 60.0


@dataclass(frozen=True)
class View:
    """An attempt as it stands.

    copies: its jobs in the cluster; None when the cluster does not answer, or was looked at before the last submission.
    claimed_by: the cluster's id of the copy whose claim was granted. ending: the cause for which it shall end.
    marker: what the granted copy left when it ended. quiet_s: since its last beat. silent_s: since the cluster's last
    answer. is_fenced: the copy has been told to end itself.
    """

    claim: Claim = "none"
    copies: tuple[Copy, ...] | None = None
    claimed_by: str = ""
    ending: str = ""
    marker: Mapping[str, Any] | None = None
    quiet_s: float = 0.0
    silent_s: float = 0.0
    is_fenced: bool = False


def decide(view: View, times: Times) -> tuple[Do, Json]:
    """What to do now, with the record when it is `end`."""
    if view.claim == "granted":
        return _granted(view, times)
    if view.claim == "asked":
        return "wait", {}  # the service's answer decides
    if view.ending:
        return "end", {"cause": view.ending}
    if view.copies is None:
        if view.silent_s > times.patience_s:
            return "end", {"cause": "never_began", "detail": "cluster silent"}
        return "wait", {}
    if not view.copies:
        return "submit", {}
    if any(copy.phase != "ended" for copy in view.copies):
        return "wait", {}
    return "end", {"cause": "never_began", "detail": view.copies[-1].words}


def _granted(view: View, times: Times) -> tuple[Do, Json]:
    if view.marker is not None:
        return _marked(view, view.marker, times)
    if view.copies is None:
        return "wait", {}
    own = _own(view)
    if any(copy.phase == "running" for copy in own):
        return "wait", {}
    # One that waits is a second start of what had begun, and may wait for ever: Slurm holds it, Kueue has suspended it.
    last = own[-1] if own and own[-1].phase == "ended" else None
    # Exit codes of a copy that left: the cluster's record is about a later copy than the one that was granted.
    is_proven = last is not None and last.cause not in UNPROVEN and last.code not in (REFUSED_CODE, UNCLAIMED_CODE)
    enough_s = 3 * times.beat_s if is_proven else times.lost_s
    if view.quiet_s < enough_s:
        return "wait", {}
    if not view.is_fenced:
        return "fence", {}
    if view.quiet_s < enough_s + 3 * times.beat_s:
        return "wait", {}
    return "end", _told(view, last if is_proven or (last and last.cause in UNPROVEN) else None)


def _marked(view: View, marker: Mapping[str, Any], times: Times) -> tuple[Do, Json]:
    record = {name: value for name, value in marker.items() if name != "cause" and value is not None}
    cause = marker["cause"]
    if cause == "stopped":
        return "end", record | {"cause": view.ending or "engine_lost"}
    if cause not in _FROM_OUTSIDE or view.ending:
        return "end", record | {"cause": view.ending if cause in _FROM_OUTSIDE else cause}
    # The cluster ended it, and says why a moment later; or somebody killed its script, of which no cluster need know.
    ended = [copy for copy in _own(view) if copy.phase == "ended" and copy.cause != "exit"]
    if ended:
        return "end", record | {"cause": ended[-1].cause, "detail": ended[-1].words}
    if view.quiet_s < 6 * times.beat_s:
        return "wait", {}
    return "end", record | {"cause": _FROM_OUTSIDE[cause]}


def _own(view: View) -> list[Copy]:
    return [copy for copy in view.copies or () if copy.remote == view.claimed_by or not view.claimed_by]


def _told(view: View, copy: Copy | None) -> Json:
    """The record of a copy that left no marker."""
    if view.ending:
        return {"cause": view.ending}
    if copy is None:
        return {"cause": "engine_lost"}
    if copy.cause == "exit":
        return {"cause": "result_missing", "detail": copy.words}
    return {"cause": copy.cause, "detail": copy.words}
