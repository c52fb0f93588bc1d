"""Other services behind small classes."""

from __future__ import annotations

from typing import Any

from brain_kit.acting import HEADER as ACTING_HEADER
from brain_kit.auth import Principal
from brain_kit.client import ServiceClient
from brain_kit.problems import InvalidInput, NotFound, Problem


class DatasetRights:
    """Asks the data hub, with the caller's own rights, whether data sets and their versions are there."""

    def __init__(self, hub: ServiceClient) -> None:
        self._hub = hub

    def objection(self, dataset: str, version: str | None, caller: Principal, token: str) -> str | None:
        """Why a job may not read the data set, None when it may. Raises Unavailable when the hub does not answer."""
        acting = caller.kind == "service"
        headers = {ACTING_HEADER: caller.org} if acting else {}
        path = f"/v1/datasets/{dataset}" + ("" if version is None else "/rows")
        params = None if version is None else {"version": version, "limit": 1}
        try:
            self._hub.request("GET", path, params=params, token=None if acting else token, headers=headers)
        except Problem as problem:
            if problem.status in (403, 404):
                return f"数据集 {dataset} 不存在，或本机构无权读取"
            if problem.status < 500:
                return problem.detail
            raise
        return None


class CentreKeys:
    """Makes the keys of centres at identity, with the operator's own rights."""

    def __init__(self, identity: ServiceClient) -> None:
        self._identity = identity

    def make(self, centre: str, org: str, token: str) -> dict[str, Any]:
        """A new key of the organisation that can do nothing but an agent's work; it carries its secret once."""
        body = {"org": org, "name": f"算力中心 {centre}", "roles": ["agent"]}
        made: dict[str, Any] = self._identity.request("POST", "/v1/keys", json=body, token=token).json()
        return made


class OwnerUnknown(InvalidInput):
    """The owner named is no registered organisation."""

    code = "owner_unknown"


class Owners:
    """Asks identity whether an organisation is registered, as the platform's own service."""

    def __init__(self, identity: ServiceClient) -> None:
        self._identity = identity

    def check(self, uscc: str) -> None:
        """Raises OwnerUnknown unless the organisation is registered."""
        try:
            self._identity.request("GET", f"/v1/organisations/{uscc}")
        except NotFound as error:
            errors = [{"field": "owner", "value": uscc, "reason": "没有登记这个组织，请先用 brain org add 登记"}]
            raise OwnerUnknown(f"所有者 {uscc} 没有登记", errors=errors) from error
