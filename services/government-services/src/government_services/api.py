"""HTTP routes of the government side."""

from __future__ import annotations

from typing import Annotated, Any

from brain_kit.auth import Caller, Principal, require
from brain_kit.database import Database
from fastapi import APIRouter, Body, Depends, Query, Response

from government_services.clients import Warehouse
from government_services.service import chains, profiles, refresh
from government_services.settings import Settings

Operator = Annotated[Principal, Depends(require("operator"))]
RegionCode = Annotated[str | None, Query(pattern=r"^[0-9]{2,6}$", description="GB/T 2260 prefix of the home region")]


def routes(database: Database, warehouse: Warehouse, settings: Settings) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["government-services"])
    minimum = settings.government_services_minimum_group

    @router.get("/chains", summary="产业链列表")
    def list_chains(caller: Caller) -> dict[str, Any]:
        """Every chain with its version and when it was built."""
        return {"items": chains.list_chains(database), "next": None}

    @router.get("/chains/{chain}", summary="产业链定义")
    def get_chain(chain: str, caller: Operator) -> dict[str, Any]:
        """The definition of a chain: which data sets and columns it is built from."""
        return chains.load_model(database, chain).definition.model_dump(by_alias=True, mode="json")

    @router.put("/chains/{chain}", summary="登记产业链定义")
    def put_chain(
        chain: str, caller: Operator, body: Annotated[dict[str, Any], Body()], response: Response
    ) -> dict[str, Any]:
        """Registers a chain by naming the data sets and columns that its nodes, links and enterprises come from."""
        definition, is_new = chains.put_chain(database, warehouse, caller, chain, body)
        response.status_code = 201 if is_new else 200
        return definition.model_dump(by_alias=True, mode="json")

    @router.delete("/chains/{chain}", status_code=204, summary="移除产业链")
    def delete_chain(chain: str, caller: Operator) -> None:
        """Removes a chain's model; the data stay in the warehouse."""
        chains.delete_chain(database, caller, chain)

    @router.get("/chains/{chain}/panorama", summary="产业全景图谱")
    def read_panorama(
        chain: str,
        caller: Caller,
        region: RegionCode = None,
        node: Annotated[str | None, Query(description="show only what lies around this node")] = None,
        depth: Annotated[int, Query(ge=1, le=10, description="steps around the node")] = 1,
    ) -> dict[str, Any]:
        """Nodes with level, location quotient, HHI and key score, and the links between them."""
        return profiles.panorama_view(database, caller, chain, node=node, depth=depth, region=region, minimum=minimum)

    @router.get("/chains/{chain}/nodes/{node}", summary="环节画像")
    def read_node(chain: str, node: str, caller: Caller) -> dict[str, Any]:
        """A node with its neighbours and, for government, its enterprises."""
        return profiles.node_view(database, caller, chain, node, minimum)

    @router.post("/chains/{chain}/rebuild", summary="由数据仓重建图谱")
    def rebuild_chain(chain: str, caller: Operator) -> dict[str, Any]:
        """Computes the model from the warehouse alone and says whether the kept one was the same."""
        return refresh.rebuild(database, warehouse, chains.load_model(database, chain).definition)

    @router.get("/enterprises/{enterprise}", summary="企业画像")
    def read_enterprise(enterprise: str, caller: Caller) -> dict[str, Any]:
        """An enterprise with its chains, nodes and monthly series; enterprises see only themselves."""
        return profiles.enterprise_view(database, warehouse, caller, enterprise)

    @router.get("/overview", summary="产业概况")
    def read_overview(caller: Caller, chain: Annotated[str | None, Query()] = None) -> dict[str, Any]:
        """The figures of the cockpit's first page, each with unit, change, date, source and a link to its records."""
        return profiles.overview_view(database, warehouse, caller, chain)

    return router
