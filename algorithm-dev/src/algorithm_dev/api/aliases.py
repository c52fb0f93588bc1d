"""HTTP routes of aliases."""

from __future__ import annotations

from typing import Annotated, Any

from brain_kit.auth import Caller, Principal, require
from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from algorithm_dev.service.aliases import Aliases

Owner = Annotated[Principal, Depends(require("developer", "operator", "manager", "provider", "analyst"))]
IfMatch = Annotated[str | None, Header(description='`"<edit>"` of the alias as it was read; needed when it exists')]


class Pointing(BaseModel):
    """Where an alias shall point, and why."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"version": "1.1.0", "reason": "新因子表"}]}
    )
    version: str = Field(max_length=64)
    reason: str = Field(min_length=2, max_length=2000)


def routes(aliases: Aliases) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1/components/{name}/aliases", tags=["aliases"])

    @router.put("/{alias}", summary="移动别名")
    def move_alias(
        name: str, alias: str, body: Pointing, caller: Owner, response: Response, if_match: IfMatch = None
    ) -> dict[str, Any]:
        """Points an alias such as `production` at a published version; the move is kept for good."""
        made = aliases.move(caller, name, alias, body.version, body.reason, if_match)
        response.headers["ETag"] = f'"{made["edit"]}"'
        return made

    @router.delete("/{alias}", summary="移除别名")
    def remove_alias(
        name: str,
        alias: str,
        caller: Owner,
        reason: Annotated[str, Query(min_length=2, max_length=2000)],
        if_match: IfMatch = None,
    ) -> dict[str, Any]:
        """Removes an alias; its history stays."""
        return aliases.move(caller, name, alias, None, reason, if_match)

    @router.get("/history", summary="全部别名的历史")
    def list_alias_moves(name: str, caller: Caller) -> dict[str, Any]:
        """Every move of every alias of a component, newest first."""
        return aliases.ledger(caller, name)

    @router.get("/{alias}/history", summary="别名的历史")
    def read_alias_history(name: str, alias: str, caller: Caller) -> dict[str, Any]:
        """Every move of an alias: from, to, who, when, why."""
        return aliases.ledger(caller, name, alias)

    return router
