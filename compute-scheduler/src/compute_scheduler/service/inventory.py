"""The inventory of the one network 一体化存算力网: storage, EFLOPS, racks, links and health of every centre."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brain_contracts.codes import CodeInvalid, check_region, region_name
from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import CHINA, rfc3339, utc_now
from brain_kit.database import Database

from compute_scheduler.service import centres as service
from compute_scheduler.service.errors import InventoryInvalid
from compute_scheduler.service.known import known_centre
from compute_scheduler.service.links import link_shown
from compute_scheduler.store import inventory as store

Row = dict[str, Any]
PRECISIONS = ("fp64", "fp32", "fp16", "int8")
KINDS = ("region", "industry", "edge")


def set_inventory(database: Database, principal: Principal, centre: str, body: Mapping[str, Any]) -> Row:
    """Sets what a centre has beside its nodes. Raises CentreUnknown, InventoryInvalid.

    body: region, longitude and latitude, storage_tb, eflops by precision, racks_built, racks_planned, dedicated, as_of,
    source.
    """
    now = utc_now()
    errors: list[Row] = []
    try:
        check_region(body["region"])
    except CodeInvalid as error:
        errors.append({"field": "region", "value": body["region"], "reason": str(error)})
    if (body["longitude"] is None) != (body["latitude"] is None):
        errors.append({"field": "latitude", "reason": "经度和纬度要一起给出"})
    if body["as_of"] > now.astimezone(CHINA).date():
        errors.append({"field": "as_of", "value": str(body["as_of"]), "reason": "不能晚于今天"})
    if errors:
        raise InventoryInvalid("清单无法使用；每处问题见 errors", errors=errors)
    row = {**body, "centre": centre, "updated_by": principal.subject, "updated_at": now}
    with database.transaction() as session:
        known_centre(session, centre)
        store.save_inventory(session, row)
        detail = {name: body[name] for name in ("region", "storage_tb", "eflops", "racks_built", "racks_planned")}
        audit.record(session, principal, action="inventory.set", object=centre, detail=detail)
    return next(item for item in read_inventory(database)["items"] if item["centre"] == centre)


def read_inventory(database: Database) -> Row:
    """Every centre with its inventory, nodes and health, the sums by kind, the links, and what L2P1 asks for.

    A figure that no centre states is None, not 0; `stated` says how many centres state it.
    """
    shown = service.list_centres(database)
    with database.reading() as session:
        known = store.all_inventory(session)
        links = store.all_links(session)
    items = [_shown(centre, known.get(centre["id"])) for centre in shown]
    return {
        "items": items,
        "kinds": {kind: _sums([item for item in items if item["kind"] == kind]) for kind in KINDS},
        "total": (total := _sums(items)),
        "links": [link_shown(link) for link in links],
        "l2p1": _indicator(total),
        "as_of": max((item["as_of"] for item in items if item["as_of"]), default=None),
    }


def _shown(centre: Row, row: Row | None) -> Row:
    nodes = centre["nodes"]
    kinds: dict[str, int] = {}
    for node in nodes:
        for kind, number in node["accelerators"].items():
            kinds[kind] = kinds.get(kind, 0) + number
    stated = row or {}
    return {
        "centre": centre["id"],
        "title": centre["title"],
        "kind": centre["kind"],
        "owner": centre["owner"],
        "state": centre["state"],
        "seen_at": centre["seen_at"],
        "nodes": len(nodes),
        "nodes_up": sum(node["state"] == "up" for node in nodes),
        "cores": sum(node["cores"] for node in nodes),
        "used_cores": sum(node["used"]["cores"] for node in nodes),
        "memory_mb": sum(node["memory_mb"] for node in nodes),
        "jobs": sum(node["used"]["jobs"] for node in nodes),
        "accelerators": kinds,
        "region": stated.get("region"),
        "region_name": region_name(stated["region"]) if stated else None,
        "eflops": stated.get("eflops", {}),
        "as_of": stated["as_of"].isoformat() if stated else None,
        "updated_at": rfc3339(stated["updated_at"]) if stated else None,
        **{
            name: stated.get(name)
            for name in ("longitude", "latitude", "storage_tb", "racks_built", "racks_planned", "dedicated", "source")
        },
    }


def _sums(items: list[Row]) -> Row:
    def total(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return round(sum(known), 6) if known else None

    return {
        "centres": len(items),
        "stated": sum(item["as_of"] is not None for item in items),
        "cores": sum(item["cores"] for item in items),
        "used_cores": sum(item["used_cores"] for item in items),
        "storage_tb": total([item["storage_tb"] for item in items]),
        "eflops": {name: total([item["eflops"].get(name) for item in items]) for name in PRECISIONS},
        "racks_built": total([item["racks_built"] for item in items]),
        "racks_planned": total([item["racks_planned"] for item in items]),
        "dedicated": sum(bool(item["dedicated"]) for item in items),
    }


def _indicator(total: Row) -> Row:
    """What indicator L2P1 存储与计算资源 asks for, in the document's unit TB/EFLOPS; EFLOPS at FP16."""
    storage, eflops = total["storage_tb"], total["eflops"]["fp16"]
    words = [
        "存储未填" if storage is None else f"{storage:g} TB",
        "算力未填" if eflops is None else f"{eflops:g} EFLOPS（FP16）",
    ]
    return {
        "storage_tb": storage,
        "eflops_fp16": eflops,
        "unit": "TB/EFLOPS",
        "text": f"{total['stated']} 个中心：" + "，".join(words),
    }
