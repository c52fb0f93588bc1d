"""Why a job waits, in words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from compute_scheduler.domain.decisions import Reason
from compute_scheduler.domain.placement import Lacking
from compute_scheduler.domain.quota import Shortage
from compute_scheduler.domain.resources import ANY_OF, MILLI
from compute_scheduler.domain.shapes import Shape
from compute_scheduler.domain.snapshot import Node
from compute_scheduler.domain.timeline import Obstacle, Reserved

NOT_BEFORE = Reason("not_before", "还没有到可以开始的时间（重试前的等待或指定的开始时间）")
DATA_STAYS = Reason(
    "data_stays", "数据不出域：作业所读的数据集没有一个都允许或都能到达的算力中心；请调整数据规则、链路或作业的 centre"
)
CYCLE_LIMIT = Reason("cycle_limit", "本轮启动的作业数已到上限，下一轮继续安排")
WINDOWS = ("maintenance_ahead", "reserved_for_others")
_NAMES = {"cores": "CPU 核", "memory_mb": "内存"}


def name_of(resource: str) -> str:
    """What people call a resource."""
    return _NAMES.get(resource, f"加速卡 {resource.replace(ANY_OF, ' 或 ')}")


def amount_of(resource: str, units: int) -> str:
    """An amount with its unit."""
    if resource == "cores":
        return f"{units / MILLI:g} 核"
    return f"{units} MB" if resource == "memory_mb" else f"{units / MILLI:g} 张"


def tenant_unknown(tenant: str) -> Reason:
    """The tenant has no account."""
    return Reason("tenant_unknown", f"租户 {tenant} 没有登记，不能使用算力", tenant)


def centre_unknown(centres: Iterable[str]) -> Reason:
    """None of the centres that the job names is there."""
    names = "、".join(centres)
    return Reason("centre_unknown", f"指定的算力中心 {names} 不存在", names)


def centre_closed(centres: Iterable[str]) -> Reason:
    """Only centres that take no new jobs could run it."""
    names = "、".join(centres)
    return Reason("centre_closed", f"算力中心 {names} 暂停接收新作业（排空或失去联系），恢复后安排", names)


def nodes_closed() -> Reason:
    """Only nodes that take no new jobs could run it."""
    return Reason("nodes_closed", "能容纳本作业的节点都在维护或失去联系，恢复后安排")


def never_fits(resource: str | None, asked: int, most: int) -> Reason:
    """No node is large enough, even empty."""
    if resource is None:
        return Reason("never_fits", "没有一个节点同时有这么多 CPU 核、内存和加速卡，请减小申请量")
    what = name_of(resource)
    have, want = amount_of(resource, most), amount_of(resource, asked)
    return Reason("never_fits", f"{what}：单个节点最多 {have}，本作业要 {want}，请减小申请量", resource)


def kind_unknown(kind: str, known: Iterable[str]) -> Reason:
    """No node has accelerators of the kind, or of any of several."""
    have = "、".join(known) or "没有加速卡"
    words = f"没有型号为 {kind.replace(ANY_OF, ' 或 ')} 的加速卡，现有型号：{have}"
    return Reason("kind_unknown", words, kind)


def too_late(start_at: float, end_at: float) -> Reason:
    """Running jobs leave no room early enough for the deadline."""
    words = (
        f"按正在运行的作业的时限，最早 {_moment(start_at)} 有足够的空闲，用满时限到 {_moment(end_at)}，晚于截止时间；"
        "减小申请量、缩短时限或推后截止时间"
    )
    return Reason("deadline_profile", words, None, start_at)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def dependency(job_id: str) -> Reason:
    """Another job must succeed first."""
    return Reason("dependency", f"等待作业 {job_id} 成功结束", job_id)


def dependency_failed(job_id: str) -> Reason:
    """The job that had to succeed first has not."""
    words = f"所依赖的作业 {job_id} 没有成功，本作业不再运行；可在它重试成功后重试本作业"
    return Reason("dependency_failed", words, job_id)


def gang_never_fits(gang: int, most: int) -> Reason:
    """No centre is large enough for all members at one time, even empty."""
    words = f"没有一个算力中心能同时容纳 {gang} 个成员（最多 {most} 个），请减少成员数或每个成员的申请量"
    return Reason("never_fits", words, "gang")


def quota(tenant: str, short: Shortage) -> Reason:
    """The tenant may not take so much now, or ever."""
    what, left = name_of(short.resource), amount_of(short.resource, max(short.available, 0))
    want = amount_of(short.resource, short.asked)
    if short.never:
        words = f"配额不足：租户 {tenant} 的{what}配额再空闲也容不下本作业（要 {want}），请减小申请量或提高配额"
        return Reason("quota_never", words, short.resource)
    words = f"配额不足：租户 {tenant} 的{what}还可用 {left}，本作业要 {want}，本租户或同组的作业结束后安排"
    return Reason("quota", words, short.resource)


def lacking_resource(shape: Shape, lacking: Lacking) -> str | None:
    """The name of the resource that is short."""
    if lacking == "reserved":
        return None
    if lacking != "accelerators":
        return lacking
    return "、".join(kind for kind, _ in shape.accelerators) or "cores"


def resources(shape: Shape, lacking: Lacking, node: Node, start_at: float, is_late: bool, going: int) -> Reason:
    """The job is the first of its kind that is blocked; its start is reserved (a gang's in one centre)."""
    resource = lacking_resource(shape, lacking)
    what = "节点已为别的作业预留" if resource is None else f"{name_of(resource)}不足"
    late = _more(is_late, going)
    where = f"节点 {node.id} " if shape.gang == 1 else f"算力中心 {node.centre} 为 {shape.gang} 个成员"
    return Reason("resources", f"{what}，已在{where}预留开始时间{late}", resource, start_at)


def _more(is_late: bool, going: int) -> str:
    late = "；按现有作业的时限，可能赶不上截止时间" if is_late else ""
    return late + (f"；已请 {going} 个低优先级作业让出" if going else "")


def no_room(shape: Shape, lacking: Lacking) -> Reason:
    """No node has room, and the first blocked jobs of its kind have their starts reserved already."""
    resource = lacking_resource(shape, lacking)
    what = "空闲资源" if resource is None else name_of(resource)
    return Reason("priority", f"{what}不足，同类作业中排在前面的先开始", resource)


def in_line() -> Reason:
    """Without backfill, nothing passes the first blocked job."""
    return Reason("priority", "同类作业中排在前面的还没有开始；当前策略不允许插空")


def reserved(job_id: str) -> Reason:
    """A node has room now, but the job would still run when a reserved start is due."""
    return Reason("reservation", f"现有空闲已为作业 {job_id} 预留；缩短时限可以插空先行", job_id)


def barred(obstacle: Obstacle, now: float) -> Reason:
    """A node has room now, but a reserved start or a window is in the way; whose reservation it is, is not told."""
    if isinstance(obstacle, Reserved):
        return reserved(obstacle.job_id)
    window = obstacle.window
    until = f"{_moment(window.start_at)} 至 {_moment(window.end_at)}"
    if window.is_maintenance:
        words = f"算力中心 {window.centre} 的节点在维护窗口中（{until}），结束后安排"
        if window.start_at > now:
            words = f"算力中心 {window.centre} 的节点将维护（{until}），本作业的时限会延续到其中；缩短时限可以先行"
        return Reason("maintenance_ahead", words, window.id)
    words = f"算力中心 {window.centre} 的空闲已为其他单位预留（{until}）"
    words += "；缩短时限可以先行" if window.start_at > now else "，结束后或有其他空闲时安排"
    return Reason("reserved_for_others", words, window.id)


def after_window(why: Reason, start_at: float, is_late: bool, going: int) -> Reason:
    """The same for the first job of its kind: its start is reserved."""
    return Reason(why.code, f"{why.words}；已预留开始时间{_more(is_late, going)}", why.resource, start_at)


def reservation_ahead(reservation: str, start_at: float) -> Reason:
    """The reservation that the job names has not begun."""
    words = f"等待预留 {reservation} 开始（{_moment(start_at)}）"
    return Reason("reservation_ahead", words, reservation, start_at)


def reservation_over(reservation: str) -> Reason:
    """The reservation that the job names has ended, was cancelled or is not for it."""
    words = f"预留 {reservation} 已结束、已取消或不供本作业使用；去掉 reservation 或改用别的预留后重新提交"
    return Reason("reservation_over", words, reservation)


def better_site(centre: str, instead_of: str, start_at: float) -> Reason:
    """Another centre is so much better for the job that it waits for room there."""
    words = f"等待算力中心 {centre} 空出：按当前策略，等待比现在就在 {instead_of} 开始更合算（搬运、费用与碳排放）"
    return Reason("better_site", words, centre, start_at)


def deadline() -> Reason:
    """Even started now the job could run past its deadline."""
    return Reason(
        "deadline", "截止时间前已经来不及：现在开始并用满时限也会超过截止时间；缩短时限或推后截止时间后重新提交"
    )
