"""What a reservation or maintenance window would keep, and what is wrong with what is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from brain_kit.clock import rfc3339
from sqlalchemy.orm import Session

from compute_scheduler.domain.booking import Booked, parts, whole_nodes
from compute_scheduler.domain.resources import Resources
from compute_scheduler.domain.snapshot import Node, Window
from compute_scheduler.service import admission
from compute_scheduler.service.known import known_centre
from compute_scheduler.service.reservation_errors import ReservationInvalid, ReservationOverlaps
from compute_scheduler.service.windows import part_of
from compute_scheduler.settings import Settings
from compute_scheduler.store import reservations as store

Row = dict[str, Any]
LONGEST = timedelta(days=366)
_WHAT = {"reservation": "预留", "maintenance": "维护窗口"}


@dataclass(frozen=True)
class Chosen:
    """What is kept: the window as the plan sees it, [node, resources or None] as they are stored, what was asked for.

    cores: of all of it; None: the whole centre, as it is then.
    """

    window: Window
    nodes: list[list[Any]]
    asked: Row | None
    cores: float | None


def choose(session: Session, settings: Settings, body: Row, now: datetime, *, lock: bool = False) -> Chosen:
    """The nodes for what is asked for. lock: keeps others from choosing at this centre until the transaction ends.

    Raises CentreUnknown, ReservationInvalid with `errors`, ReservationOverlaps naming the `reservations` in the way.
    """
    known_centre(session, body["centre"], lock="update" if lock else "")
    network = admission.network(session, settings, now)
    here = {node.id: node for node in network.nodes if node.centre == body["centre"]}
    names = [f"{body['centre']}/{name}" for name in body["nodes"]]
    if errors := [*_times(body, now), *_beneficiaries(body), *_unknown_nodes(body, names, here)]:
        raise ReservationInvalid("无法保存；每处问题见 errors", errors=errors)
    asked = Window(
        "", body["centre"], body["start_at"].timestamp(), body["end_at"].timestamp(),
        tenants=tuple(body["orgs"]), priority=body["priority"], is_maintenance=body["kind"] == "maintenance",
    )  # fmt: skip
    known = {"cores": None, "resources": body["resources"], "count": body["count"]}
    if body["resources"] is None:
        booked, told = whole_nodes(names, network.windows, asked), None
    else:
        part = part_of(body["resources"])
        assert part is not None
        usable = [here[name] for name in names] or [*here.values()]
        booked = parts(usable, network.windows, asked, part, body["count"], admission.running(session))
        told = {name: known[name] for name in ("resources", "count")}
    _check_room(session, body, booked)
    window = replace(asked, nodes=booked.nodes)
    kept = [[name, _document(part if part is not None else None)] for name, part in booked.nodes]
    return Chosen(window, kept, told, _cores(booked, here))


def _times(body: Row, now: datetime) -> list[Row]:
    start_at, end_at = body["start_at"], body["end_at"]
    if end_at <= start_at:
        return [{"field": "end_at", "value": rfc3339(end_at), "reason": "应晚于开始时间"}]
    if end_at <= now:
        return [{"field": "end_at", "value": rfc3339(end_at), "reason": f"已经过去；现在是 {rfc3339(now)}"}]
    if start_at < now - timedelta(minutes=5):
        words = f"已经过去；现在是 {rfc3339(now)}，要立即开始请填现在的时间"
        return [{"field": "start_at", "value": rfc3339(start_at), "reason": words}]
    if end_at - start_at > LONGEST:
        return [{"field": "end_at", "value": rfc3339(end_at), "reason": "一次最长 366 天"}]
    return []


def _beneficiaries(body: Row) -> list[Row]:
    is_for_some = bool(body["orgs"]) or body["priority"] is not None
    errors: list[Row] = []
    if body["kind"] == "maintenance":
        if is_for_some:
            errors.append({"field": "orgs", "reason": "维护窗口不供任何机构或优先级使用，请去掉 orgs 和 priority"})
        if body["resources"] is not None:
            errors.append({"field": "resources", "reason": "维护窗口按整个节点或整个中心设，请去掉 resources"})
        return errors
    if not is_for_some:
        errors.append({"field": "orgs", "reason": "请写明供哪些机构（orgs）或哪一级优先级（priority）使用"})
    if body["orgs"] and body["priority"] is not None:
        errors.append({"field": "priority", "reason": "机构与优先级只能指定一种"})
    if not body["nodes"] and body["resources"] is None:
        errors.append({"field": "nodes", "reason": "请指定节点（nodes），或每份资源（resources）与份数（count）"})
    if body["running"] != "leave":
        errors.append({"field": "running", "value": body["running"], "reason": "只有维护窗口可以让运行中的作业退出"})
    return errors


def _unknown_nodes(body: Row, names: list[str], here: dict[str, Node]) -> list[Row]:
    return [
        {"field": f"nodes.{number}", "value": body["nodes"][number], "reason": f"中心 {body['centre']} 没有这个节点"}
        for number, name in enumerate(names)
        if name not in here
    ]


def _check_room(session: Session, body: Row, booked: Booked) -> None:
    if not booked.missing:
        return
    if body["resources"] is not None and booked.most < body["count"]:
        where = "这些节点" if body["nodes"] else f"中心 {body['centre']}"
        words = f"{where}空着也只能容纳 {booked.most} 份，要 {body['count']} 份；请减少份数或每份的资源"
        errors = [{"field": "count", "value": body["count"], "reason": words}]
        raise ReservationInvalid("超过了算力中心的全部容量", errors=errors)
    rows = {row["id"]: row for row in store.live(session)}
    in_the_way = [
        {
            "id": name,
            **{key: rows[name][key] for key in ("kind", "title")},
            "start_at": rfc3339(rows[name]["start_at"]),
            "end_at": rfc3339(rows[name]["end_at"]),
        }
        for name in booked.by
        if name in rows
    ]
    named = "、".join(
        f"{_WHAT[item['kind']]} {item['id']}「{item['title']}」（{item['start_at']} 至 {item['end_at']}）"
        for item in in_the_way[:5]
    )
    short = f"还差 {booked.missing} 份" if body["resources"] is not None else "节点已被占用"
    raise ReservationOverlaps(f"这段时间{short}：{named}；请换时间或节点，或先取消它", reservations=in_the_way)


def _document(part: Resources | None) -> Row | None:
    if part is None:
        return None
    return {"cores": part.cores, "memory_mb": part.memory_mb, "accelerators": dict(part.accelerators)}


def _cores(booked: Booked, here: dict[str, Node]) -> float | None:
    if not booked.nodes:
        return None
    return sum((here[name].capacity if part is None else part).cores for name, part in booked.nodes)
