"""Transfers: a version of a data set on its way to a centre.

`booked` has its part of the links, `moving` has its first bytes there, `done` was verified and is a replica, `failed`
cannot be finished, `cancelled` is waited for by nobody or was stopped by an operator. What has ended holds no link.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from compute_scheduler.domain.network import Span

State = Literal["booked", "moving", "done", "failed", "cancelled"]
STATES: tuple[State, ...] = ("booked", "moving", "done", "failed", "cancelled")
ALIVE: tuple[State, ...] = ("booked", "moving")
TRANSITIONS: dict[str, frozenset[str]] = {
    "booked": frozenset({"moving", "done", "failed", "cancelled"}),
    "moving": frozenset({"done", "failed", "cancelled"}),
    "done": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
MB = 1_000_000


def may_follow(before: str, after: str) -> bool:
    """Whether a transfer in `before` may become `after`; staying as it is is no step."""
    return after in TRANSITIONS[before]


def rate_at(spans: Sequence[Span], at_ms: int) -> int | None:
    """Bytes a millisecond that a reservation allows at a moment; None: it needs no link, so nothing limits it.

    A transfer that is late goes on with its last rate until it has a new reservation.
    """
    if not spans:
        return None
    if at_ms >= spans[-1].end_ms:
        return spans[-1].rate
    return sum(span.rate for span in spans if span.start_ms <= at_ms < span.end_ms)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a transfer is. total: None before it is known. finish_at: None when no time can be told."""

    dataset: str
    done: int
    total: int | None
    finish_at: datetime | None


def words(items: Iterable[Progress]) -> str:
    """Why a job waits whose data are on their way, with the share that has arrived."""
    known = list(items)
    names = "、".join(item.dataset for item in known)
    done, total = sum(item.done for item in known), sum(item.total or 0 for item in known)
    if any(item.total is None for item in known) or not total:
        return f"数据在传输：{names}，正在读取文件清单"
    text = f"数据在传输：{names} {100 * done // total} %（{done / MB:.1f} / {total / MB:.1f} MB）"
    if any(item.finish_at is None for item in known):
        return f"{text}，暂时没有可用的链路"
    last = max(item.finish_at for item in known if item.finish_at is not None)
    return f"{text}，预计 {last:%Y-%m-%dT%H:%M:%SZ} 到齐"


def chargeable(done: int, sent: int, charged: int) -> int:
    """Bytes that are still to be paid for: what has arrived, but never more than was handed out for it.

    What an earlier transfer had left at the centre was paid then; what had to be fetched twice is paid once.
    """
    return max(0, min(done, sent) - charged)
