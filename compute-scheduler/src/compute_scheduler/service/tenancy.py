"""For whom a caller acts, and what it may do."""

from __future__ import annotations

from dataclasses import dataclass

from brain_kit.auth import Principal

from compute_scheduler.service.errors import RunningNotPermitted

RUNNING_ROLES = ("operator", "analyst", "developer")


@dataclass(frozen=True)
class Actor:
    """A caller, or the organisation that a service acts for (`brain_kit.acting`)."""

    principal: Principal

    @property
    def org(self) -> str:
        """The organisation that it acts for."""
        return self.principal.org

    @property
    def scope(self) -> str | None:
        """The organisation whose jobs it sees; None: all."""
        sees_all = self.principal.is_operator or (self.principal.kind == "service" and not self.principal.acting)
        return None if sees_all else self.org

    def may_see(self, org: str) -> bool:
        """Whether what belongs to `org` exists for this caller."""
        return self.scope is None or self.scope == org

    def check_may_run(self) -> None:
        """Raises RunningNotPermitted unless the caller may run commands."""
        if not (self.principal.has(*RUNNING_ROLES) or self.principal.acting):
            wanted = "、".join(RUNNING_ROLES)
            raise RunningNotPermitted(
                f"运行作业需要角色 {wanted} 之一，当前凭据没有；请联系平台运营方", required=list(RUNNING_ROLES)
            )
