"""Organisations, keys and users."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from brain_kit.auth import Caller, Principal, require
from brain_kit.database import Database
from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from identity.service import keys, organisations, users

Operator = Annotated[Principal, Depends(require("operator"))]
KeyAdmin = Annotated[Principal, Depends(require("operator", "manager", "provider", "analyst"))]
UserAdmin = Annotated[Principal, Depends(require("operator", "manager"))]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str, Query(description="`next` of the page before")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewOrganisation(_Body):
    """An organisation to be registered."""

    uscc: str = Field(examples=["91370300MA3C00001U"], description="统一社会信用代码")
    name: str = Field(min_length=1, max_length=200, examples=["示例机床有限公司"])
    kind: Literal["operator", "department", "enterprise", "provider"]
    region: str = Field(examples=["370303"], description="GB/T 2260")
    synthetic: bool = Field(False, description="合成数据 only: shown as such wherever it appears")


class OrganisationChange(_Body):
    """Fields of an organisation to be changed."""

    name: str | None = Field(None, min_length=1, max_length=200)
    region: str | None = None
    state: Literal["active", "suspended"] | None = None


class NewKey(_Body):
    """A key to be made."""

    org: str = Field(examples=["91370300MA3C00001U"])
    name: str = Field(min_length=1, max_length=100, examples=["ERP"])
    roles: list[str] | None = None
    expires_at: AwareDatetime | None = None


class NewUser(_Body):
    """A user to be made."""

    org: str
    login: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{2,59}$")
    name: str = Field(min_length=1, max_length=100)
    password: str
    roles: list[str] | None = None


class UserChange(_Body):
    """A user's new state or password."""

    state: Literal["active", "disabled"] | None = None
    password: str | None = None


def organisation_routes(database: Database) -> APIRouter:
    """Routes of organisations."""
    router = APIRouter(prefix="/v1", tags=["identity"])

    @router.post("/organisations", status_code=201, summary="登记机构")
    def add_organisation(body: NewOrganisation, caller: Operator) -> dict[str, Any]:
        """Registers an organisation by its unified social credit code."""
        return organisations.add_organisation(database, caller, **body.model_dump())

    @router.get("/organisations", summary="机构列表")
    def list_organisations(
        caller: Caller,
        after: After = "",
        limit: Limit = 100,
        kind: Annotated[Literal["operator", "department", "enterprise", "provider"] | None, Query()] = None,
    ) -> dict[str, Any]:
        """Organisations; others than government see only their own."""
        return organisations.list_organisations(database, caller, after=after, limit=limit, kind=kind)

    @router.get("/organisations/{uscc}", summary="机构")
    def get_organisation(uscc: str, caller: Caller) -> dict[str, Any]:
        """One organisation."""
        return organisations.get_organisation(database, caller, uscc)

    @router.patch("/organisations/{uscc}", summary="修改机构")
    def change_organisation(uscc: str, body: OrganisationChange, caller: Operator) -> dict[str, Any]:
        """Changes name, region or state; a suspended organisation's keys and users are refused."""
        return organisations.change_organisation(database, caller, uscc, **body.model_dump(exclude_none=True))

    return router


def key_routes(database: Database) -> APIRouter:
    """Routes of keys."""
    router = APIRouter(prefix="/v1", tags=["identity"])

    @router.post("/keys", status_code=201, summary="创建密钥")
    def add_key(body: NewKey, caller: KeyAdmin) -> dict[str, Any]:
        """Makes an API key; the answer shows it once."""
        expires: datetime | None = body.expires_at
        return keys.add_key(database, caller, org=body.org, name=body.name, roles=body.roles, expires_at=expires)

    @router.get("/keys", summary="密钥列表")
    def list_keys(caller: KeyAdmin, org: str | None = None, after: After = "", limit: Limit = 100) -> dict[str, Any]:
        """Keys without their secrets."""
        return keys.list_keys(database, caller, org=org, after=after, limit=limit)

    @router.post("/keys/{key_id}/rotate", status_code=201, summary="轮换密钥")
    def rotate_key(key_id: str, caller: KeyAdmin) -> dict[str, Any]:
        """Makes a successor; the old key works for seven more days."""
        return keys.rotate_key(database, caller, key_id)

    @router.delete("/keys/{key_id}", status_code=204, summary="停用密钥")
    def revoke_key(key_id: str, caller: KeyAdmin) -> None:
        """Ends a key at once."""
        keys.revoke_key(database, caller, key_id)

    return router


def user_routes(database: Database) -> APIRouter:
    """Routes of users."""
    router = APIRouter(prefix="/v1", tags=["identity"])

    @router.post("/users", status_code=201, summary="创建用户")
    def add_user(body: NewUser, caller: UserAdmin) -> dict[str, Any]:
        """Makes a user who may sign in to the portal."""
        return users.add_user(database, caller, **body.model_dump())

    @router.get("/users", summary="用户列表")
    def list_users(caller: UserAdmin, org: str | None = None, after: After = "", limit: Limit = 100) -> dict[str, Any]:
        """Users of an organisation."""
        return users.list_users(database, caller, org=org, after=after, limit=limit)

    @router.patch("/users/{user_id}", summary="修改用户")
    def change_user(user_id: str, body: UserChange, caller: UserAdmin) -> dict[str, Any]:
        """Disables, enables or resets a user; all sign-ins of the user end."""
        return users.change_user(database, caller, user_id, state=body.state, password=body.password)

    return router
