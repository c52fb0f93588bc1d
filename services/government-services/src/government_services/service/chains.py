"""Registering, reading and removing chains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.ids import new_id
from brain_kit.problems import InvalidInput, NotFound
from pydantic import ValidationError

from government_services import store
from government_services.clients import Warehouse
from government_services.domain import reading
from government_services.domain.definition import ChainDefinition, Enterprises, Links, Measure, Members, Nodes
from government_services.domain.facts import ChainFacts
from government_services.domain.graph import neighbourhood


class ChainUnknown(NotFound):
    """No chain of that id."""

    code = "chain_unknown"


class DefinitionInvalid(InvalidInput):
    """A chain's definition cannot be used as it is."""

    code = "definition_invalid"


@dataclass(frozen=True)
class ChainModel:
    """A chain's definition with its stored model; `panorama` is None until the first build."""

    definition: ChainDefinition
    panorama: dict[str, Any] | None
    version: int
    built_at: str | None


def put_chain(
    database: Database, warehouse: Warehouse, principal: Principal, chain: str, body: dict[str, Any]
) -> tuple[ChainDefinition, bool]:
    """Registers or replaces a chain; its facts are read in the background. Answers (definition, is new).

    Raises DefinitionInvalid naming each wrong field, the data sets that are not registered, or the parts whose
    columns or condition the data hub cannot read.
    """
    definition = _parsed({"id": chain} | body)
    if definition.id != chain:
        raise DefinitionInvalid(f"地址中的链 {chain} 与内容中的 {definition.id} 不一致，请改为同一个")
    missing = sorted({part.dataset for part in definition.parts().values()} - _registered(warehouse, definition))
    if missing:
        raise DefinitionInvalid(f"数据集未登记：{'、'.join(missing)}。请先登记数据合同", datasets=missing)
    _check_readable(warehouse, definition)
    now = utc_now()
    with database.transaction() as session:
        is_new = store.save_definition(session, definition, now)
        store.mark_dirty(session, chain, set(definition.parts()), new_id("drt"), now)
        audit.record(session, principal, action="chain.put", object=chain, outcome="ok", detail={"new": is_new})
    return definition, is_new


def delete_chain(database: Database, principal: Principal, chain: str) -> None:
    """Removes a chain and its read model; the warehouse keeps its data. Raises ChainUnknown."""
    with database.transaction() as session:
        if not store.delete_chain(session, chain):
            raise ChainUnknown(f"没有产业链 {chain}")
        audit.record(session, principal, action="chain.delete", object=chain, outcome="ok", detail={})


def list_chains(database: Database) -> list[dict[str, Any]]:
    """Every chain with its name, version and time of the last build."""
    with database.reading() as session:
        rows = store.list_chains(session)
    return [
        {
            "id": row.id,
            "name": row.definition["name"],
            "synthetic": row.definition["synthetic"],
            "region": row.definition["region"],
            "version": row.version,
            "built_at": rfc3339(row.built_at) if row.built_at else None,
        }
        for row in rows
    ]


def load_model(database: Database, chain: str) -> ChainModel:
    """The stored model of a chain. Raises ChainUnknown."""
    with database.reading() as session:
        row = store.chain_row(session, chain)
    if row is None:
        raise ChainUnknown(f"没有产业链 {chain}")
    return ChainModel(
        ChainDefinition.model_validate(row.definition),
        row.panorama,
        row.version,
        rfc3339(row.built_at) if row.built_at else None,
    )


def load_facts(database: Database, chain: str) -> ChainFacts:
    """All facts of a chain."""
    with database.reading() as session:
        return store.load_facts(session, chain)


def around(panorama: dict[str, Any], node: str, depth: int) -> dict[str, Any]:
    """The part of a model within `depth` steps of a node. Raises NotFound for an unknown node."""
    if all(item["id"] != node for item in panorama["nodes"]):
        raise NotFound(f"产业链中没有环节 {node}")
    links = [(link["from"], link["to"], link["weight"]) for link in panorama["links"]]
    kept = neighbourhood(node, links, depth)
    return panorama | {
        "nodes": [item for item in panorama["nodes"] if item["id"] in kept],
        "links": [link for link in panorama["links"] if link["from"] in kept and link["to"] in kept],
    }


def _parsed(body: dict[str, Any]) -> ChainDefinition:
    try:
        return ChainDefinition.model_validate(body)
    except ValidationError as error:
        errors = [{"field": ".".join(map(str, item["loc"])), "reason": item["msg"]} for item in error.errors()]
        raise DefinitionInvalid(f"产业链定义有 {len(errors)} 处不对，见 errors", errors=errors) from error


def _check_readable(warehouse: Warehouse, definition: ChainDefinition) -> None:
    """Asks the data hub for no row of each part: a column or condition that is wrong shows now, not at each refresh."""
    errors = []
    for name, part in definition.parts().items():
        for sql in _reads(warehouse, definition, part):
            try:
                warehouse.rows(f"SELECT * FROM ({sql}) AS checked LIMIT 0")
            except InvalidInput as problem:
                errors.append({"field": name, "reason": problem.detail})
                break
    if errors:
        reason = f"{errors[0]['field']}：{errors[0]['reason']}"
        raise DefinitionInvalid(f"产业链定义有 {len(errors)} 处读不出数据，请核对列名和条件。{reason}", errors=errors)


def _reads(warehouse: Warehouse, definition: ChainDefinition, part: Any) -> list[str]:
    """The queries that read a part, as `refresh.read_part` makes them; of measures for a month of long ago."""
    key = warehouse.key_of(part.dataset)
    if isinstance(part, Measure):
        month, members = "2000-01", definition.members
        member_key = warehouse.key_of(members.dataset)
        return [reading.measure_sql(part, key, month), reading.series_sql(part, key, members, member_key, month)]
    if isinstance(part, Nodes):
        return [reading.nodes_sql(part, key)]
    if isinstance(part, Links):
        return [reading.links_sql(part, key)]
    if isinstance(part, Enterprises):
        return [reading.enterprises_sql(part, key)]
    assert isinstance(part, Members)
    return [reading.members_sql(part, key)]


def _registered(warehouse: Warehouse, definition: ChainDefinition) -> set[str]:
    return {part.dataset for part in definition.parts().values() if warehouse.exists(part.dataset)}
