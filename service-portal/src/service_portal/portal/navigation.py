"""The rail: pages grouped by people's work, and the keys that lead to them."""

from __future__ import annotations

from dataclasses import dataclass

from service_portal.portal.sessions import Session
from service_portal.portal.translations import mark


@dataclass(frozen=True)
class Entry:
    """One page of the rail. key: second letter after `g`."""

    title: str
    path: str
    key: str
    roles: tuple[str, ...] = ()
    is_current: bool = False


@dataclass(frozen=True)
class Group:
    """Pages of one kind of work."""

    title: str
    entries: tuple[Entry, ...]


_GROUPS = (
    Group(
        mark("产业"),
        (Entry(mark("总览"), "/", "o"), Entry(mark("产业全景图谱"), "/panorama", "p")),
    ),
    Group(
        mark("评价"),
        (Entry(mark("指标体系"), "/indicators", "i"), Entry(mark("晨星工厂"), "/factories", "f")),
    ),
    Group(
        mark("数据"),
        (
            Entry(mark("数据目录"), "/datasets", "d"),
            Entry(mark("推送与退回"), "/pushes", "u"),
            Entry(mark("SQL 查询"), "/sql", "s"),
            Entry(mark("数据血缘"), "/lineage", "l"),
        ),
    ),
    Group(
        mark("算法"),
        (
            Entry(mark("组件市场"), "/components", "c"),
            Entry(mark("批量运行"), "/runs", "n"),
            Entry(mark("组件审批"), "/approvals", "v", ("operator", "analyst")),
        ),
    ),
    Group(
        mark("算力"),
        (
            Entry(mark("作业"), "/jobs", "j"),
            Entry(mark("算力中心"), "/centres", "c"),
            Entry(mark("算力地图"), "/compute-map", "m"),
            Entry(mark("数据网络"), "/network", "h"),
            Entry(mark("利用与公平"), "/utilisation", "y"),
            Entry(mark("预留与维护"), "/reservations", "z"),
            Entry(mark("算力结算"), "/settlement", "b"),
            Entry(mark("算力互借"), "/lending", "k", ("operator",)),
            Entry(mark("配额与借用"), "/quotas", "q", ("operator",)),
            Entry(mark("调度策略"), "/policy", "x", ("operator",)),
            Entry(mark("策略试算"), "/simulations", "t", ("operator",)),
        ),
    ),
    Group(
        mark("平台"),
        (
            Entry(mark("平台运行"), "/operations", "w", ("operator",)),
            Entry(mark("数据来源"), "/sources", "r"),
            Entry(mark("接口目录"), "/catalogue", "i"),
            Entry(mark("事件"), "/events", "e", ("operator",)),
            Entry(mark("审计"), "/audit", "a", ("operator", "auditor")),
        ),
    ),
)


def rail(session: Session | None, path: str) -> list[Group]:
    """The groups a person may see, with the current page marked; empty for nobody."""
    if session is None:
        return []
    groups = []
    for group in _GROUPS:
        entries = tuple(
            Entry(e.title, e.path, e.key, e.roles, _covers(e.path, path))
            for e in group.entries
            if not e.roles or session.has(*e.roles)
        )
        if entries:
            groups.append(Group(group.title, entries))
    return groups


def _covers(root: str, path: str) -> bool:
    if root == "/panorama" and path.startswith("/enterprises"):
        return True
    return path == root or (root != "/" and path.startswith(root + "/"))
