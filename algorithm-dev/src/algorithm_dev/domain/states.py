"""What may happen to a version of a component and to a run, as tables."""

from __future__ import annotations

VERSION_MOVES: dict[tuple[str, str], str] = {
    ("draft", "submit"): "submitted",
    ("submitted", "approve"): "published",
    ("submitted", "reject"): "rejected",
    ("published", "withdraw"): "withdrawn",
}
"""(state, action) to the next state. A draft may be changed and removed; everything later is immutable."""
VERSION_WORDS = {
    "draft": "草稿",
    "submitted": "待审批",
    "published": "已发布",
    "rejected": "已退回",
    "withdrawn": "已撤回",
}

RUN_MOVES: dict[str, frozenset[str]] = {
    "accepted": frozenset({"staged", "failed", "cancelled"}),
    "staged": frozenset({"queued", "failed", "cancelled"}),
    "queued": frozenset({"running", "computed", "failed", "cancelled"}),
    "running": frozenset({"queued", "computed", "failed", "cancelled"}),
    "computed": frozenset({"registered", "failed", "cancelled"}),
    "registered": frozenset({"pushed", "failed"}),
    "pushed": frozenset({"succeeded", "failed"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
"""State of a run to those that may follow. Once rows may have been pushed a run can no longer be cancelled."""
RUN_WORDS = {
    "accepted": "已受理，正在读取输入",
    "staged": "输入已备好，正在提交作业",
    "queued": "作业排队",
    "running": "作业运行",
    "computed": "计算完成，正在登记结果数据集",
    "registered": "结果数据集已登记，正在写入",
    "pushed": "结果已写入，正在入仓",
    "succeeded": "成功",
    "failed": "失败",
    "cancelled": "已取消",
}
FINAL_RUNS = frozenset(state for state, following in RUN_MOVES.items() if not following)
WAITING_FOR_JOB = frozenset({"queued", "running"})


class MoveRefused(ValueError):
    """The state does not allow the action."""

    def __init__(self, state: str, action: str) -> None:
        super().__init__(f"{state}: {action}")
        self.state = state
        self.action = action


def version_after(state: str, action: str) -> str:
    """The state of a version after an action. Raises MoveRefused."""
    following = VERSION_MOVES.get((state, action))
    if following is None:
        raise MoveRefused(state, action)
    return following


def may_follow(state: str, following: str) -> bool:
    """Whether a run may go from one state to the other."""
    return following in RUN_MOVES[state]
