"""What follows when an attempt has ended: the record of the engine in words, and the next state of its job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compute_scheduler.domain.states import JobState, Outcome

RETRY_PAUSE_S = (1.0, 5.0, 30.0, 120.0, 600.0)
MOST_RETURNS = 20
# Causes that say who or what ended the command, in words; {…} come from the job's own limits.
_CAUSES = {
    "time_limit": "超过时限 {time_limit_s} 秒，已停止",
    "memory": "内存超过 {memory_mb} MB，已停止",
    "disk": "写入磁盘超过 {disk_mb} MB，已停止",
    "processes": "进程数超过 {processes}，已停止",
    "supervisor_lost": "监督进程意外结束，运行结果未知；残留进程已清除",
    "agent_record_missing": "代理没有这次运行的记录，运行结果未知",
    "centre_fenced": "中心已由运营方声明失效，运行结果未知",
    "input_missing": "输入文件无法取得：{detail}",
    "data_missing": "数据无法取得：{detail}",
    "engine_refused": "集群拒绝了作业：{detail}",
    "engine_cancelled": "作业在集群一侧被取消，不是经本平台",
    "engine_lost": "集群没有这次运行的记录，也没有它的结果标记；运行结果未知",
    "script_killed": "作业脚本在节点上被强行结束，命令已随之停止",
    "result_missing": "集群说已结束，但没有结果标记；运行结果未知（{detail}）",
    "node_failed": "运行它的节点失效，运行结果未知（{detail}）",
    "preempted": "被集群的其他作业抢占（{detail}）",
    "partner_lost": "借来的算力上运行结果未知：{detail}",
    "partner_failed": "{detail}",
}
# Nobody can say how these ended.
_LOST = frozenset(
    {
        "supervisor_lost",
        "agent_record_missing",
        "centre_fenced",
        "engine_lost",
        "script_killed",
        "result_missing",
        "node_failed",
        "preempted",
        "partner_lost",
    }
)


@dataclass(frozen=True)
class Ending:
    """How an attempt ended."""

    outcome: Outcome
    reason: str
    exit_code: int | None = None


@dataclass(frozen=True)
class Next:
    """What becomes of the job; `pause_s` is how long it stays out of the plan when it queues again."""

    state: JobState
    reason: str
    pause_s: float = 0.0


def ending_of(record: Mapping[str, Any], missing_outputs: list[str], limits: Mapping[str, Any]) -> Ending:
    """The outcome of an engine's record (`engine/watched.py`), in words for people."""
    cause = str(record.get("cause", "exit"))
    code = record.get("exit_code")
    if cause == "cancelled":
        return Ending("cancelled", "已按要求取消", code)
    if cause in ("never_began", "refused"):
        detail = f"（{record['detail']}）" if record.get("detail") else ""
        return Ending("returned", f"命令没有开始，退回队列{detail}"[:400])
    if cause == "reclaimed":
        return Ending(
            "preempted", f"出借方收回了算力，回到队列，保留排队次序（{record.get('detail', '')}）"[:400], code
        )
    if cause == "data_missing" and record.get("again"):
        return Ending("returned", f"数据没有到齐：{record.get('detail', '')}，退回队列"[:400])
    if cause != "exit":
        words = _CAUSES.get(cause, f"已停止（{cause}）").format_map(
            _Known(dict(limits) | {"detail": record.get("detail", "")})
        )
        return Ending("lost" if cause in _LOST else "failed", words, code)
    if record.get("signal"):
        return Ending("failed", f"命令被信号 {record['signal']} 结束")
    if code:
        detail = f"：{record['detail']}" if record.get("detail") else ""
        return Ending("failed", f"命令以退出码 {code} 结束{detail}"[:400], code)
    if missing_outputs:
        return Ending("failed", f"命令结束了，但没有留下声明的输出文件：{'、'.join(missing_outputs)}"[:400], code)
    return Ending("succeeded", "命令以退出码 0 结束", code)


def next_of(ending: Ending, *, failures: int, returns: int, retries: int, is_cancelled: bool) -> Next:
    """The state that the job takes. failures, returns: how often before this time."""
    if ending.outcome == "succeeded":
        return Next("succeeded", ending.reason)
    if is_cancelled or ending.outcome == "cancelled":
        return Next("cancelled", "已按要求取消")
    if ending.outcome == "preempted":
        return Next("queued", ending.reason)
    if ending.outcome == "returned":
        if returns + 1 >= MOST_RETURNS:
            return Next("failed", f"{returns + 1} 次都未能开始，已放弃：{ending.reason}")
        return Next("queued", ending.reason, pause_s=min(0.2 * returns, 5.0))
    if failures < retries:
        pause = RETRY_PAUSE_S[min(failures, len(RETRY_PAUSE_S) - 1)]
        return Next("queued", f"第 {failures + 1} 次运行没有成功（{ending.reason}），{pause:g} 秒后重试"[:480], pause)
    return Next("failed", ending.reason)


def ending_together(members: Sequence[tuple[int, Ending]]) -> Ending:
    """How a gang has ended when all its members have: as the worst of them, with the member's rank in the reason.

    members: rank and ending of each. It counts as returned only when no member began.
    """
    by_outcome: dict[str, tuple[int, Ending]] = {}
    for rank, ending in sorted(members, key=lambda member: member[0]):
        by_outcome.setdefault(ending.outcome, (rank, ending))
    if by_outcome.keys() == {"succeeded"}:
        return Ending("succeeded", f"{len(members)} 个成员都以退出码 0 结束", 0)
    if by_outcome.keys() == {"returned"}:
        return by_outcome["returned"][1]
    for outcome in ("failed", "lost", "preempted", "returned", "cancelled"):
        if outcome in by_outcome:
            rank, ending = by_outcome[outcome]
            as_job: Outcome = "lost" if outcome == "returned" else ending.outcome
            return Ending(as_job, f"成员 {rank}：{ending.reason}"[:400], ending.exit_code)
    raise ValueError("a gang without members has no end")


class _Known(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"
