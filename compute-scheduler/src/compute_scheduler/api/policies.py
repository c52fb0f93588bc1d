"""HTTP routes of the policy by which the plan weighs jobs."""

from __future__ import annotations

from typing import Annotated, Any

from brain_kit.database import Database
from fastapi import APIRouter
from pydantic import BaseModel, Field

from compute_scheduler.api.centres import Operator, Strict
from compute_scheduler.service import policies
from compute_scheduler.settings import Settings

Weight = Annotated[float | None, Field(ge=0, le=1e9, allow_inf_nan=False)]


class PolicyValues(BaseModel):
    """Weights in seconds of waiting, and preemption; what is absent is as the base or the settings say."""

    model_config = Strict
    priority_s: Weight = Field(None, description="一级优先级折合几秒 seconds a priority class is worth; waiting ages")
    fair_share_s: Weight = Field(None, description="用到公平份额折合几秒 seconds a fair part in use is worth")
    short_first: Weight = Field(None, description="时限的几倍算作晚提交 times the time limit that a job is set back")
    longest_set_back_s: Weight = Field(None, description="最多晚多少秒 bound of that")
    staging_weight: Weight = Field(None, description="搬运一秒折合几秒 seconds a second of staging")
    price_s: Weight = Field(None, description="一元折合几秒 seconds a yuan")
    carbon_s: Weight = Field(None, description="一公斤 CO2 折合几秒 seconds a kg of CO2")
    wait_weight: Annotated[float | None, Field(ge=1, le=1e6, allow_inf_nan=False)] = Field(
        None, description="预计等待的一秒按几秒计 seconds each predicted second counts"
    )
    longest_hold_s: Weight = Field(None, description="最多为更好的中心等几秒 how long a job may be held back")
    preemption: bool | None = Field(None, description="是否让出 whether running jobs make way")
    preempt_after_s: Weight = Field(None, description="高优先级作业要等多久以上 for waits longer than this")
    preempt_every_s: Weight = Field(None, description="两次之间至少隔几秒 least seconds between two")
    preempt_most: int | None = Field(None, ge=1, le=10_000, description="一次最多几个作业 jobs at one time")
    preempt_per_job: int | None = Field(None, ge=1, le=1000, description="一个作业最多几次 times for one job")


class NewPolicy(BaseModel):
    """A version of the policy."""

    model_config = Strict
    base: str = Field("default", max_length=40, description="从哪个策略出发 the policy that it starts from")
    values: PolicyValues = PolicyValues()
    note: str = Field("", max_length=500, description="修改理由 why")
    replaces: str | None = Field(
        None, max_length=40, description="所依据的版本，空串为环境设置 the version looked at; '': the settings"
    )


def policy_routes(database: Database, settings: Settings) -> APIRouter:
    """The routes with their parts wired in."""
    router = APIRouter(prefix="/v1/policy", tags=["policy"])

    @router.get("", summary="调度策略")
    def get_policy(caller: Operator) -> dict[str, Any]:
        """What is in force: a stored version, or the settings while there is none."""
        return policies.get_policy(database, settings)

    @router.put("", summary="修改调度策略")
    def set_policy(body: NewPolicy, caller: Operator) -> dict[str, Any]:
        """Adds a version; the scheduler goes by it within a second. Try it in a simulation first."""
        given = body.model_dump() | {"values": body.values.model_dump(exclude_none=True)}
        return policies.set_policy(database, settings, caller, given)

    @router.get("/versions", summary="调度策略的版本")
    def list_policy_versions(caller: Operator) -> dict[str, Any]:
        """Versions, the newest first, with who set them and why."""
        return {"items": policies.list_versions(database), "next": None}

    return router
