"""What the engine of a centre in another brain does next for an attempt, from what it remembers and what it was told.

Pure. The other brain keeps one job an attempt and lets its command begin only after `begin`; so everything here may be
asked for twice, and what is not known is waited for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]
Step = Literal["wait", "submit", "claim", "begin", "cancel", "collect", "lost"]


@dataclass(frozen=True)
class Seen:
    """An attempt. told: the other brain's word (`service/lent.py`), None when it knows none of it.

    is_fresh: it was asked after the last submission was answered or given up. unknown_s: for how long it has been known
    that the other brain does not know an attempt that it was let begin.
    """

    told: Json | None
    is_fresh: bool
    is_prepared: bool
    is_granted: bool
    is_ending: bool
    has_record: bool
    unknown_s: float = 0.0


def next_step(seen: Seen, lost_s: float) -> Step:
    """The step. lost_s: after so long an attempt that was let begin and is unknown there counts as lost."""
    told = seen.told
    if told is None:
        return _unknown(seen, lost_s)
    is_live = told["end"] is None
    if seen.has_record:
        return "cancel" if is_live else "wait"
    if not is_live:
        return "collect"
    if seen.is_ending:
        return "cancel"
    if seen.is_granted:
        return "wait" if told["granted"] else "begin"
    return "claim" if told["asks"] and seen.is_prepared else "wait"


def _unknown(seen: Seen, lost_s: float) -> Step:
    if seen.has_record or not seen.is_prepared or not seen.is_fresh:
        return "wait"
    if seen.is_granted:
        return "lost" if seen.unknown_s > lost_s else "wait"
    return "wait" if seen.is_ending else "submit"


def record_of(told: Mapping[str, Any], log_bytes: int, ending: str) -> Json:
    """The record of an ended job of the other brain, as engines keep it (`watched.py`). ending: why we ended it."""
    end = told["end"]
    record: Json = {"partner_job": told["job"], "log_bytes": log_bytes}
    if not end["began"]:
        return record | {"cause": ending or "never_began", "detail": str(told["reason"])[:200]}
    measured = {name: end[name] for name in ("run_s", "cpu_s", "peak_memory_mb") if end.get(name) is not None}
    return record | measured | {"exit_code": end["exit_code"], **_cause(told, end, ending)}


def _cause(told: Mapping[str, Any], end: Mapping[str, Any], ending: str) -> Json:
    words = str(told["reason"])[:300]
    if end["outcome"] == "succeeded":
        return {"cause": "exit"}
    if end["reclaimed"]:
        return {"cause": "reclaimed", "detail": words}
    if end["outcome"] == "lost":
        return {"cause": "partner_lost", "detail": words}
    if end["outcome"] in ("cancelled", "preempted"):
        return {"cause": ending or "engine_cancelled"}
    return {"cause": "exit"} if end["exit_code"] else {"cause": "partner_failed", "detail": words}


def spec_of(order: Mapping[str, Any], inputs: Mapping[str, str]) -> Json:
    """The job that the other brain is asked for. inputs: name to digest, as it was handed over."""
    # These names belong to whoever runs the job; the job's id is told there again.
    env = {name: value for name, value in order.get("env", {}).items() if not name.startswith("BRAIN_")}
    return {
        "name": str(order["attempt"]),
        "command": order["command"],
        "env": env,
        "resources": {name: order["resources"][name] for name in ("cores", "memory_mb", "accelerators")},
        "time_limit_s": order["time_limit_s"],
        "inputs": {name: {"sha256": digest} for name, digest in inputs.items()},
        "outputs": order["outputs"],
    }
