"""HTTP routes of what this platform chooses: targets, weights, the rule from stars to level; the score they make."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from brain_kit.auth import Caller
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from evaluation.api.parts import ETAG, Analyst, Cluster, Government, IfMatch, Number, Parts, Period
from evaluation.service import levels, scoring, targets, weights


class TargetBody(BaseModel):
    """A target of a cluster for a period; value null removes it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"cluster": "zibo", "period": "2027", "value": 1200}]}
    )

    cluster: str = Field(max_length=64)
    period: str = Field(max_length=40)
    value: Number | None


class WeightsBody(BaseModel):
    """Weights and full marks by indicator id. They are this platform's choice, not the document's."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"weights": {"L1P1": 2, "L1P2": 1}, "full_marks": {"L1P1": 1000}}]},
    )

    weights: dict[str, Number] = Field(max_length=200, description="left out: 0")
    full_marks: dict[str, Number] = Field({}, max_length=200, description="value that earns 100; left out: the target")
    note: str = Field("", max_length=2000)


class RuleBody(BaseModel):
    """The rule from stars to level 本平台选定.

    criteria: a share of the criteria with a star at the level is met, at each lower level too; count: so many stars.
    """

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"method": "criteria", "shares": {"4": 0.9, "5": 0.9}}]}
    )

    method: Literal["criteria", "count"] = "criteria"
    shares: dict[str, Number] = Field({}, max_length=5, description="level to share over 0, at most 1; left out: 1")
    thresholds: dict[str, StrictInt] = Field({}, max_length=5, description="level to stars; left out: the table's")
    note: str = Field("", max_length=2000)


def routes(parts: Parts) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1", tags=["choices"])
    database = parts.database

    @router.get("/indicator-sets/{set_id}/targets", summary="目标值列表")
    def list_targets(set_id: str, caller: Government, cluster: Annotated[str, Query(max_length=64)]) -> dict[str, Any]:
        """Targets of a cluster."""
        return targets.list_targets(database, set_id, cluster)

    @router.put("/indicator-sets/{set_id}/indicators/{code}/target", summary="设定目标值")
    def put_target(set_id: str, code: str, caller: Analyst, body: TargetBody) -> dict[str, Any]:
        """Sets or removes a target; the history keeps the ones before."""
        return targets.put_target(database, caller, set_id, code, body.model_dump())

    @router.get("/indicator-sets/{set_id}/weights", summary="权重（本平台选定）")
    def get_weights(set_id: str, caller: Caller, response: Response) -> dict[str, Any]:
        """Weights of a set with who changed them; no document prescribes any."""
        found = weights.get_weights(database, set_id)
        response.headers["ETag"] = f'"{found["version"]}"'
        return found

    @router.put("/indicator-sets/{set_id}/weights", summary="修改权重（本平台选定）", responses=ETAG)
    def put_weights(
        set_id: str, caller: Analyst, body: WeightsBody, response: Response, if_match: IfMatch = None
    ) -> dict[str, Any]:
        """Replaces the weights; indicators left out weigh nothing."""
        changed = weights.put_weights(database, caller, set_id, body.model_dump(), if_match)
        response.headers["ETag"] = f'"{changed["version"]}"'
        return changed

    @router.get("/indicator-sets/{set_id}/score", summary="综合得分")
    def get_score(set_id: str, caller: Government, period: Period = None, cluster: Cluster = None) -> dict[str, Any]:
        """The weighted score of a cluster against its targets, with what is missing from it."""
        return scoring.set_score(database, caller, set_id, period=period, cluster=cluster)

    @router.get("/level-rule", summary="由星数定级的规则（本平台选定）")
    def get_level_rule(caller: Caller, response: Response) -> dict[str, Any]:
        """How marks make a level; the document gives the table of stars and no rule."""
        found = levels.get_rule(database)
        response.headers["ETag"] = f'"{found["version"]}"'
        return found

    @router.put("/level-rule", summary="修改定级规则（本平台选定）", responses=ETAG)
    def put_level_rule(caller: Analyst, body: RuleBody, response: Response, if_match: IfMatch = None) -> dict[str, Any]:
        """Changes the rule; every assessment's level follows it at once."""
        changed = levels.put_rule(database, caller, body.model_dump(), if_match)
        response.headers["ETag"] = f'"{changed["version"]}"'
        return changed

    return router
