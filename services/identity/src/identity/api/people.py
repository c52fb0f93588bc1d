"""Organisations, keys and users."""

from __future__ import annotations

from typing import Annotated, Any

from brain_kit.auth import Caller, Principal, require
from brain_kit.database import Database
from fastapi import APIRouter, Depends, Query

from identity.api.messages import (
    Key,
    KeyPage,
    MadeKey,
    NewKey,
    NewOrganisation,
    NewUser,
    Organisation,
    OrganisationChange,
    OrganisationPage,
    OrgKind,
    RotatedKey,
    User,
    UserChange,
    UserPage,
)
from identity.service import keys, organisations, users

Operator = Annotated[Principal, Depends(require("operator"))]
# The leading role of each kind of organisation; which organisation is decided where the object is known.
Manager = Annotated[Principal, Depends(require("operator", "manager", "provider", "analyst"))]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str, Query(max_length=100, description="`next` of the page before")]
Of = Annotated[str | None, Query(max_length=40, description="统一社会信用代码 of one organisation")]


def organisation_routes(database: Database) -> APIRouter:
    """Routes of organisations."""
    router = APIRouter(prefix="/v1", tags=["identity"])

    @router.post("/organisations", status_code=201, summary="登记机构", response_model=Organisation)
    def add_organisation(body: NewOrganisation, caller: Operator) -> dict[str, Any]:
        """Registers an organisation by its unified social credit code."""
        return organisations.add_organisation(database, caller, body.model_dump())

    @router.get("/organisations", summary="机构列表", response_model=OrganisationPage)
    def list_organisations(
        caller: Caller, after: After = "", limit: Limit = 100, kind: OrgKind | None = None
    ) -> dict[str, Any]:
        """Organisations; others than government see only their own."""
        return organisations.list_organisations(database, caller, after=after, limit=limit, kind=kind)

    @router.get("/organisations/{uscc}", summary="机构", response_model=Organisation)
    def get_organisation(uscc: str, caller: Caller) -> dict[str, Any]:
        """One organisation."""
        return organisations.get_organisation(database, caller, uscc)

    @router.patch("/organisations/{uscc}", summary="修改、停用、恢复机构", response_model=Organisation)
    def change_organisation(uscc: str, body: OrganisationChange, caller: Operator) -> dict[str, Any]:
        """Changes name, region or state; a suspended organisation's keys and users are refused."""
        return organisations.change_organisation(database, caller, uscc, **body.model_dump(exclude_none=True))

    return router


def key_routes(database: Database) -> APIRouter:
    """Routes of keys."""
    router = APIRouter(prefix="/v1", tags=["identity"])

    @router.post("/keys", status_code=201, summary="创建密钥", response_model=MadeKey)
    def add_key(body: NewKey, caller: Manager) -> dict[str, Any]:
        """Makes an API key; the answer shows it once."""
        return keys.add_key(database, caller, **body.model_dump())

    @router.get("/keys", summary="密钥列表", response_model=KeyPage)
    def list_keys(caller: Manager, org: Of = None, after: After = "", limit: Limit = 100) -> dict[str, Any]:
        """Keys without their secrets."""
        return keys.list_keys(database, caller, org=org, after=after, limit=limit)

    @router.get("/keys/{key_id}", summary="密钥", response_model=Key)
    def get_key(key_id: str, caller: Manager) -> dict[str, Any]:
        """One key without its secret."""
        return keys.get_key(database, caller, key_id)

    @router.post("/keys/{key_id}/rotate", status_code=201, summary="轮换密钥", response_model=RotatedKey)
    def rotate_key(key_id: str, caller: Manager) -> dict[str, Any]:
        """Makes a successor; the old key works for seven more days."""
        return keys.rotate_key(database, caller, key_id)

    @router.delete("/keys/{key_id}", status_code=204, summary="停用密钥")
    def revoke_key(key_id: str, caller: Manager) -> None:
        """Ends a key at once."""
        keys.revoke_key(database, caller, key_id)

    return router


def user_routes(database: Database) -> APIRouter:
    """Routes of users."""
    router = APIRouter(prefix="/v1", tags=["identity"])

    @router.post("/users", status_code=201, summary="创建用户", response_model=User)
    def add_user(body: NewUser, caller: Manager) -> dict[str, Any]:
        """Makes a user who may sign in to the portal."""
        return users.add_user(database, caller, **body.model_dump())

    @router.get("/users", summary="用户列表", response_model=UserPage)
    def list_users(caller: Manager, org: Of = None, after: After = "", limit: Limit = 100) -> dict[str, Any]:
        """Users of an organisation."""
        return users.list_users(database, caller, org=org, after=after, limit=limit)

    @router.get("/users/{user_id}", summary="用户", response_model=User)
    def get_user(user_id: str, caller: Manager) -> dict[str, Any]:
        """One user."""
        return users.get_user(database, caller, user_id)

    @router.patch("/users/{user_id}", summary="修改用户", response_model=User)
    def change_user(user_id: str, body: UserChange, caller: Manager) -> dict[str, Any]:
        """Disables, enables or resets a user; all sign-ins of the user end and a lock is lifted."""
        return users.change_user(database, caller, user_id, state=body.state, password=body.password)

    return router
