"""Services that act for an organisation: `X-Acting-Org`, honoured from the platform's own services only.

A service that runs something for a tenant must see and own what the tenant sees and owns, no more. The gateway drops
the header of every request from outside and lets no service token through.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from brain_kit.auth import Caller, OrgKind, Principal
from brain_kit.client import ServiceClient
from brain_kit.problems import InvalidInput, NotFound, NotPermitted

HEADER = "X-Acting-Org"
# A suspended organisation's own tokens work for five minutes; services must not act for it longer than that.
REMEMBERED_S = 30.0
KEPT = 10_000


class ActingNotPermitted(NotPermitted):
    """The caller is no service of the platform, or the organisation is suspended."""

    code = "acting_not_permitted"


class ActingOrganisationInvalid(InvalidInput):
    """The header names no registered organisation."""

    code = "acting_org_invalid"


@dataclass(frozen=True)
class ActingOrganisation:
    """What a service has to know of an organisation to act for it. is_synthetic: registered as 合成数据."""

    uscc: str
    name: str
    kind: OrgKind
    region: str
    is_active: bool
    is_synthetic: bool = False


class Organisations:
    """Organisations by USCC, asked of identity and remembered; safe among threads.

    remembered_s: how long. timeout_s: how long identity may take to answer.
    """

    def __init__(
        self, identity: Callable[[], ServiceClient], *, remembered_s: float = REMEMBERED_S, timeout_s: float = 30.0
    ) -> None:
        self._identity = identity
        self._remembered_s = remembered_s
        self._timeout_s = timeout_s
        self._known: dict[str, tuple[float, ActingOrganisation]] = {}
        self._lock = threading.Lock()

    def remembered(self, uscc: str) -> ActingOrganisation | None:
        """The organisation if it was asked for lately; never waits."""
        with self._lock:
            known = self._known.get(uscc)
        return known[1] if known is not None and time.monotonic() - known[0] < self._remembered_s else None

    def find(self, uscc: str) -> ActingOrganisation:
        """The organisation. Raises ActingOrganisationInvalid, or Unavailable while identity is away."""
        known = self.remembered(uscc)
        if known is not None:
            return known
        if not (uscc.isascii() and uscc.isalnum() and len(uscc) == 18):
            raise ActingOrganisationInvalid(f"{HEADER} 应为 18 位统一社会信用代码，现为 {uscc[:30]!r}", field=HEADER)
        seen = time.monotonic()
        try:
            reply = self._identity().request("GET", f"/v1/organisations/{uscc}", timeout_s=self._timeout_s)
        except NotFound as error:
            raise ActingOrganisationInvalid(f"{HEADER} 所指的组织 {uscc} 没有登记", field=HEADER) from error
        body: dict[str, Any] = reply.json()
        found = ActingOrganisation(
            uscc,
            str(body["name"]),
            body["kind"],
            str(body["region"]),
            is_active=body["state"] == "active",
            is_synthetic=bool(body.get("synthetic")),
        )
        with self._lock:
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[uscc] = (seen, found)
        return found


def acting_for(service: Principal, organisation: ActingOrganisation) -> Principal:
    """The service as it acts for an organisation: it sees and owns what that does.

    The subject names both, so that nothing kept for one organisation is found when acting for another.
    """
    return replace(
        service,
        subject=f"{service.subject}@{organisation.uscc}",
        org=organisation.uscc,
        org_kind=organisation.kind,
        org_name=organisation.name,
        region=organisation.region,
        acting=True,
    )


async def acting_principal(request: Request, caller: Caller) -> Principal:
    """The caller, or the organisation that a service acts for.

    Raises ActingNotPermitted when the header comes from anybody but a service, ActingOrganisationInvalid.
    """
    given = request.headers.getlist(HEADER)
    if not given:
        return caller
    if caller.kind != "service":
        raise ActingNotPermitted(f"{HEADER} 只供平台自身的服务使用；请去掉这个请求头，请求只代表您自己的组织")
    if len(given) > 1:
        raise ActingOrganisationInvalid(f"{HEADER} 只能出现一次", field=HEADER)
    directory = cast(Organisations, request.app.state.organisations)
    organisation = directory.remembered(given[0])
    if organisation is None:
        organisation = await run_in_threadpool(directory.find, given[0])
    if not organisation.is_active:
        raise ActingNotPermitted(f"组织 {organisation.uscc} 已停用，不能代表它操作")
    return acting_for(caller, organisation)


ActingCaller = Annotated[Principal, Depends(acting_principal)]
