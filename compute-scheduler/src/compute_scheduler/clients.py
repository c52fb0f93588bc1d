"""Other services behind small classes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from brain_kit.acting import HEADER as ACTING_HEADER
from brain_kit.auth import Principal
from brain_kit.client import ServiceClient, StreamedReply
from brain_kit.problems import InvalidInput, NotFound, Problem


@dataclass(frozen=True)
class DatasetFacts:
    """What the data hub tells a caller of a data set's version.

    version: the one that is meant, None when nothing was ever committed. size: bytes of the newest version, the best
    that is known of an older one; None: not told to this caller. owner_org: whose it is; None: the platform's. view:
    which rows and columns the caller may have of it: whole, open, or the organisation whose rows.
    """

    dataset: str
    version: str | None
    size: int | None
    classification: str
    owner_org: str | None
    view: str = "whole"


class DatasetRights:
    """Asks the data hub, with the caller's own rights, whether data sets and their versions are there."""

    def __init__(self, hub: ServiceClient) -> None:
        self._hub = hub

    def facts(self, dataset: str, version: str | None, caller: Principal, token: str) -> DatasetFacts | str:
        """What a job may know of the data set, or why it may not read it. Raises Unavailable when nobody answers."""
        acting = caller.kind == "service"
        headers = {ACTING_HEADER: caller.org} if acting else {}
        carried, path = None if acting else token, f"/v1/datasets/{dataset}"
        unreadable = f"数据集 {dataset} 不存在，或本机构无权读取"
        try:
            found = self._hub.request("GET", path, token=carried, headers=headers).json()
            if version is not None:
                unreadable = f"数据集 {dataset} 没有版本 {version}；可用的版本见 GET /v1/datasets/{dataset}/versions"
                params = {"version": version, "limit": 1}
                self._hub.request("GET", f"{path}/rows", params=params, token=carried, headers=headers)
        except Problem as problem:
            if problem.status in (403, 404):
                return unreadable
            if problem.status < 500:
                return problem.detail
            raise
        current = None if found["snapshot"] is None else str(found["snapshot"])
        return DatasetFacts(
            dataset, version or current, found["bytes"], found["classification"], found["owner_org"], found["view"]
        )


class VersionFiles:
    """Reads the files of versions at the data hub, as the organisation whose job needs them."""

    def __init__(self, hub: ServiceClient) -> None:
        self._hub = hub

    def manifest(self, dataset: str, version: str, org: str) -> dict[str, Any]:
        """Names, sizes and digests. Raises what the hub answers, or Unavailable."""
        path = f"/v1/datasets/{dataset}/versions/{version}/files"
        found: dict[str, Any] = self._hub.request("GET", path, headers={ACTING_HEADER: org}, timeout_s=300.0).json()
        return found

    def read(
        self, dataset: str, version: str, org: str, name: str, offset: int, length: int
    ) -> AbstractContextManager[StreamedReply]:
        """A stretch of a file; entering it raises Unavailable, the answer carries whatever status the hub gave."""
        path = f"/v1/datasets/{dataset}/versions/{version}/files/{quote(name)}"
        params = {"offset": offset, "length": length}
        return self._hub.stream("GET", path, params=params, headers={ACTING_HEADER: org}, timeout_s=120.0)


class CentreKeys:
    """Makes the keys of centres and loans at identity, with the operator's own rights."""

    def __init__(self, identity: ServiceClient) -> None:
        self._identity = identity

    def make(self, centre: str, org: str, token: str) -> dict[str, Any]:
        """A new key of the organisation that can do nothing but an agent's work; it carries its secret once."""
        return self._make(org, f"算力中心 {centre}", token)

    def make_for_loan(self, loan: str, org: str, token: str) -> dict[str, Any]:
        """A new key of the organisation for the agent of who borrows; it carries its secret once."""
        return self._make(org, f"算力出借 {loan}", token)

    def _make(self, org: str, name: str, token: str) -> dict[str, Any]:
        body = {"org": org, "name": name, "roles": ["agent"]}
        made: dict[str, Any] = self._identity.request("POST", "/v1/keys", json=body, token=token).json()
        return made


class OwnerUnknown(InvalidInput):
    """The owner named is no registered organisation."""

    code = "owner_unknown"


class Owners:
    """Asks identity whether an organisation is registered, as the platform's own service."""

    def __init__(self, identity: ServiceClient) -> None:
        self._identity = identity

    def check(self, uscc: str, field: str = "owner") -> None:
        """Raises OwnerUnknown, naming the field, unless the organisation is registered."""
        try:
            self._identity.request("GET", f"/v1/organisations/{uscc}")
        except NotFound as error:
            errors = [{"field": field, "value": uscc, "reason": "没有登记这个组织，请先用 brain org add 登记"}]
            raise OwnerUnknown(f"机构 {uscc} 没有登记", errors=errors) from error
