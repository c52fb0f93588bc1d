"""Capacity that one brain lends to another: when it is lent, how it looks as nodes, what is too much, its way here.

Amounts are by resource name as in quotas: `cores`, `memory_mb`, and accelerators by kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from compute_scheduler.domain.resources import ANY_OF

Amounts = Mapping[str, float]
# Hours are those of the clock on the wall in China, which knows no summer time.
CHINA = timezone(timedelta(hours=8))
PARTNER_ENGINE = "brain"
"""The kind of engine of a centre whose jobs run in another brain."""


@dataclass(frozen=True)
class Availability:
    """Whether a loan gives anything now; `code` and `words` say why it does not."""

    is_open: bool
    code: str = ""
    words: str = ""


@dataclass(frozen=True)
class LentRun:
    """A lent job that holds something. began_at: calendar seconds."""

    job: str
    demand: Amounts
    began_at: float


def availability(loan: Mapping[str, Any], now: datetime) -> Availability:
    """Whether work is taken for the loan now. loan: state, from_at, until_at, hours."""
    if loan["state"] == "recalled":
        return Availability(False, "loan_recalled", "出借方已收回这份出借")
    if loan["from_at"] is not None and now < loan["from_at"]:
        return Availability(False, "loan_not_begun", f"出借从 {_local(loan['from_at'])} 开始")
    if loan["until_at"] is not None and now >= loan["until_at"]:
        return Availability(False, "loan_over", f"出借已于 {_local(loan['until_at'])} 到期")
    if loan["hours"] and not any(_is_within(now, *hours) for hours in loan["hours"]):
        told = "、".join(f"{start}–{end}" for start, end in loan["hours"])
        return Availability(False, "loan_outside_hours", f"只在每天 {told}（北京时间）出借")
    return Availability(True)


def _local(moment: datetime) -> str:
    return moment.astimezone(CHINA).strftime("%Y-%m-%d %H:%M")


def _is_within(now: datetime, start: str, end: str) -> bool:
    """Whether a moment lies between two times of day; from a later to an earlier one leads over midnight."""
    clock = now.astimezone(CHINA).strftime("%H:%M")
    return start <= clock < end if start < end else clock >= start or clock < end


def lent_nodes(nodes: Iterable[Mapping[str, Any]], lent: Amounts) -> list[dict[str, Any]]:
    """What is lent, laid over the lender's nodes: the shapes in which the borrower's jobs fit, their sum what is lent.

    nodes: {id, cores, memory_mb, accelerators, own}, `own` the amounts that jobs of the lender hold. The largest come
    first, so that what is lent can take large jobs. Names say nothing of the lender's machines; what its own jobs hold
    of a lent part is told as foreign work, which the borrower's plan keeps off.
    """
    left = {name: float(amount) for name, amount in lent.items()}
    told: list[dict[str, Any]] = []
    ordered = sorted(nodes, key=lambda node: (-node["cores"], -node["memory_mb"], str(node["id"])))
    for node in ordered:
        whole = {"cores": node["cores"], "memory_mb": node["memory_mb"], **node["accelerators"]}
        part = {name: min(float(amount), left.get(name, 0.0)) for name, amount in whole.items()}
        if part["cores"] <= 0 or part["memory_mb"] < 1:
            continue
        for name, amount in part.items():
            left[name] = left.get(name, 0.0) - amount
        told.append(_node(f"lent-{len(told) + 1}", whole, part, node["own"]))
    return told


def _node(name: str, whole: Amounts, part: Amounts, own: Amounts) -> dict[str, Any]:
    load: dict[str, float] = {}
    for resource, amount in part.items():
        free = float(whole[resource]) - float(own.get(resource, 0.0))
        if amount > free:
            load[f"foreign_{resource}"] = round(amount - max(0.0, free), 3)
    kinds = {kind: int(n) for kind, n in part.items() if kind not in ("cores", "memory_mb") and n >= 1}
    return {
        "name": name,
        "cores": round(part["cores"], 3),
        "memory_mb": int(part["memory_mb"]),
        "accelerators": kinds,
        "load": load,
    }


def excess(running: Iterable[LentRun], lent: Amounts) -> list[str]:
    """Lent jobs that are over what is lent: those that began last, until the others fit; by order of beginning."""
    ordered = sorted(running, key=lambda run: (run.began_at, run.job))
    held: dict[str, float] = {}
    over: list[str] = []
    for run in ordered:
        grown = {name: held.get(name, 0.0) + amount for name, amount in run.demand.items()}
        if all(amount <= _given(lent, name) + 1e-9 for name, amount in grown.items() if amount > 0):
            held |= grown
        else:
            over.append(run.job)
    return over


def _given(lent: Amounts, name: str) -> float:
    """What is lent of a resource; of any of several kinds the most of one."""
    return max(float(lent.get(kind, 0.0)) for kind in name.split(ANY_OF))


def hop_objection(hops: Sequence[str], own: str) -> tuple[str, str] | None:
    """(code, words) when a job may not be lent here. hops: the brains that it has left, the first its home."""
    if own in hops:
        return "lending_loop", "这个作业是从本平台借出去的，不能再借回来（回路）"
    if len(hops) > 1:
        return "lent_twice", f"这个作业已经转借过一次（经过 {len(hops)} 个平台），不能再转借"
    return None


@dataclass(frozen=True)
class Difference:
    """How two brains' figures of one attempt differ: the field, here, there."""

    field: str
    here: Any
    there: Any


# Both brains take a duration from the same engine's clock; what is left is rounding.
SAME_S = 0.01


def differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[Difference]:
    """What differs between this brain's figures of an attempt and the partner's."""
    found = []
    for name in ("wall_s", "core_s", "memory_mb_s"):
        size = max(abs(here[name]), abs(there[name]))
        if abs(here[name] - there[name]) > max(SAME_S, size * 1e-6):
            found.append(Difference(name, here[name], there[name]))
    kinds = sorted(here["accelerator_s"].keys() | there["accelerator_s"].keys())
    for kind in kinds:
        one, other = here["accelerator_s"].get(kind, 0.0), there["accelerator_s"].get(kind, 0.0)
        if abs(one - other) > SAME_S:
            found.append(Difference(f"accelerator_s.{kind}", one, other))
    # What was taken back is cancelled to the lender and preempted to the borrower.
    if here["outcome"] != there["outcome"] and {here["outcome"], there["outcome"]} != {"cancelled", "preempted"}:
        found.append(Difference("outcome", here["outcome"], there["outcome"]))
    return found
