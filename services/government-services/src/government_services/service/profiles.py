"""What a caller sees of a chain: the panorama, a node's profile, an enterprise's profile, the overview.

Government (operators and departments) sees everything. Others see the structure of a chain with figures over at least
`minimum_group` enterprises, and of enterprises only their own.
"""

from __future__ import annotations

from typing import Any

from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.problems import NotFound

from government_services.clients import Warehouse
from government_services.domain import figures, reading
from government_services.domain.facts import ChainFacts
from government_services.domain.panorama import LEVEL_RULES, Panorama
from government_services.service import chains
from government_services.service.chains import ChainModel
from government_services.service.refresh import compute

HIDDEN = ("measure", "measure_change", "hhi", "location_quotient")


def sees_all(principal: Principal) -> bool:
    """Whether the caller may see every enterprise."""
    return principal.kind == "service" or principal.org_kind in ("operator", "department")


def panorama_view(
    database: Database,
    principal: Principal,
    chain: str,
    *,
    node: str | None,
    depth: int,
    region: str | None,
    minimum: int,
) -> dict[str, Any]:
    """The panorama of a chain as the caller may see it; empty lists until the first build."""
    model = chains.load_model(database, chain)
    body = model.panorama
    if body is not None and region is not None:
        definition = model.definition.model_copy(update={"region": region})
        body = compute(definition, chains.load_facts(database, chain)).as_dict()
    if body is None:
        body = {
            "chain": chain,
            "nodes": [],
            "links": [],
            "counts": {},
            "unresolved_links": [],
            "unknown_member_nodes": [],
        }
    elif node is not None:
        body = chains.around(body, node, depth)
    if not sees_all(principal):
        body = body | {"nodes": [_without_small_groups(item, minimum) for item in body["nodes"]]}
    return body | _about(model) | {"region": region or model.definition.region, "level_rules": LEVEL_RULES}


def node_view(database: Database, principal: Principal, chain: str, node: str, minimum: int) -> dict[str, Any]:
    """A node's figures, neighbours and, for government, its enterprises, the largest first."""
    model = chains.load_model(database, chain)
    body = model.panorama or {"nodes": [], "links": []}
    found = next((item for item in body["nodes"] if item["id"] == node), None)
    if found is None:
        raise NotFound(f"产业链 {chain} 中没有环节 {node}")
    names = {item["id"]: item for item in body["nodes"]}
    view = {
        "node": found if sees_all(principal) else _without_small_groups(found, minimum),
        "upstream": [_neighbour(names, link["from"], link) for link in body["links"] if link["to"] == node],
        "downstream": [_neighbour(names, link["to"], link) for link in body["links"] if link["from"] == node],
        "enterprises": None,
    }
    if sees_all(principal):
        view["enterprises"] = _enterprises_at(chains.load_facts(database, chain), model, node)
    return view | _about(model)


def enterprise_view(database: Database, warehouse: Warehouse, principal: Principal, enterprise: str) -> dict[str, Any]:
    """An enterprise's profile over all chains. Raises NotFound for one that the caller may not see."""
    places = []
    if sees_all(principal) or principal.org == enterprise:
        for row in chains.list_chains(database):
            facts = chains.load_facts(database, row["id"])
            fact = next((item for item in facts.enterprises if item.id == enterprise), None)
            if fact is not None:
                places.append((chains.load_model(database, row["id"]), facts, fact))
    if not places:
        raise NotFound(f"没有企业 {enterprise}")
    _, _, fact = places[0]
    return {
        "id": fact.id,
        "name": fact.name,
        "region": fact.region,
        "attributes": fact.attributes,
        "synthetic": any(model.definition.synthetic for model, _, _ in places),
        "chains": [_place(model, facts, enterprise) for model, facts, _ in places],
        "series": _series(warehouse, places[0][0], enterprise),
        "sources": sorted(reading.datasets_of(places[0][0].definition)),
        "as_of": places[0][0].built_at,
    }


def overview_view(database: Database, warehouse: Warehouse, principal: Principal, chain: str | None) -> dict[str, Any]:
    """The cockpit's first page for one chain (by default the first that is built); figures are for government only."""
    known = chains.list_chains(database)
    if not known or not sees_all(principal):
        return {
            "chains": known,
            "chain": None,
            "figures": [],
            "findings": [],
            "regions": {},
            "attributes": {},
            "as_of": None,
        }
    built = [item["id"] for item in known if item["built_at"]]
    model = chains.load_model(database, chain or next(iter(built), known[0]["id"]))
    facts = chains.load_facts(database, model.definition.id)
    panorama: Panorama | None = compute(model.definition, facts) if facts.nodes else None
    built_at = model.built_at or rfc3339(utc_now())
    return {
        "chains": known,
        "chain": model.definition.id,
        "figures": []
        if panorama is None
        else [
            figures.figure_dict(item) for item in figures.overview_figures(model.definition, facts, panorama, built_at)
        ],
        "findings": [] if panorama is None else [vars(item) for item in figures.findings(model.definition, panorama)],
        "regions": figures.region_counts(facts),
        "attributes": figures.attribute_counts(facts),
        "as_of": model.built_at,
        "warehouses": warehouse.statistics(),
    } | _about(model)


def _about(model: ChainModel) -> dict[str, Any]:
    return {
        "id": model.definition.id,
        "name": model.definition.name,
        "synthetic": model.definition.synthetic,
        "version": model.version,
        "built_at": model.built_at,
        "measures": {
            name: {
                "title": item.title or name,
                "unit": item.unit,
                "dataset": item.dataset,
                "window_months": item.window_months,
            }
            for name, item in model.definition.measures.items()
        },
        "sources": {name: part.dataset for name, part in model.definition.parts().items()},
    }


def _without_small_groups(node: dict[str, Any], minimum: int) -> dict[str, Any]:
    if node["local_enterprises"] >= minimum:
        return node
    return node | dict.fromkeys(HIDDEN) | {"hidden": f"少于 {minimum} 家企业，数值不公开"}


def _neighbour(names: dict[str, Any], node: str, link: dict[str, Any]) -> dict[str, Any]:
    item = names[node]
    return {"id": node, "name": item["name"], "level": item["level"], "stage": item["stage"], "weight": link["weight"]}


def _enterprises_at(facts: ChainFacts, model: ChainModel, node: str) -> list[dict[str, Any]]:
    here = {member.enterprise for member in facts.members if member.node == node}
    values = {
        name: {fact.enterprise: fact.value for fact in rows if fact.enterprise in here}
        for name, rows in facts.measures.items()
    }
    first = next(iter(model.definition.measures), "")
    found = [
        {
            "id": fact.id,
            "name": fact.name,
            "region": fact.region,
            "attributes": fact.attributes,
            "measures": {name: by_enterprise.get(fact.id) for name, by_enterprise in values.items()},
        }
        for fact in facts.enterprises
        if fact.id in here
    ]
    return sorted(found, key=lambda item: (-(item["measures"].get(first) or 0.0), item["id"]))


def _place(model: ChainModel, facts: ChainFacts, enterprise: str) -> dict[str, Any]:
    at = {member.node for member in facts.members if member.enterprise == enterprise}
    nodes = (model.panorama or {"nodes": []})["nodes"]
    measures = {
        name: next(
            ({"value": item.value, "previous": item.previous} for item in rows if item.enterprise == enterprise), None
        )
        for name, rows in facts.measures.items()
    }
    return {
        "chain": model.definition.id,
        "name": model.definition.name,
        "nodes": [{key: item[key] for key in ("id", "name", "stage", "level")} for item in nodes if item["id"] in at],
        "measures": measures,
    }


def _series(warehouse: Warehouse, model: ChainModel, enterprise: str) -> dict[str, list[dict[str, Any]]]:
    series = {}
    for name, measure in model.definition.measures.items():
        sql = reading.enterprise_series_sql(measure, warehouse.key_of(measure.dataset))
        series[name] = list(reversed(warehouse.rows(sql, enterprise=enterprise)))
    return series
