"""Principals from stored people and keys, and what they may manage."""

from __future__ import annotations

from typing import Any

from brain_kit.auth import Principal

from identity.domain.roles import DEFAULT_ROLES, GIVEN_BY_OPERATORS, ROLES_BY_KIND, manages, wrong_roles
from identity.service.errors import RolesInvalid


def principal_of_user(owner: Any, user: Any) -> Principal:
    """The principal of a user of an organisation."""
    return _principal(owner, user, "user")


def principal_of_key(owner: Any, key: Any) -> Principal:
    """The principal of an API key of an organisation."""
    return _principal(owner, key, "key")


def may_manage(principal: Principal, org: str) -> bool:
    """Whether the principal manages the keys and people of an organisation: operators all, others their own."""
    return principal.is_operator or (principal.org == org and manages(principal.org_kind, principal.roles))


def roles_for(owner: Any, asked: list[str] | None) -> list[str]:
    """The roles asked for, else those that the organisation gives by default. Raises RolesInvalid."""
    return checked_roles(owner.kind, asked or owner.roles or [DEFAULT_ROLES[owner.kind]])


def check_may_give(principal: Principal, roles: list[str]) -> None:
    """Raises RolesInvalid when somebody would give, or renew, more than operators entrusted to it."""
    wrong = sorted(GIVEN_BY_OPERATORS & set(roles))
    if wrong and not principal.is_operator:
        errors = [{"field": "roles", "value": name, "reason": "只能由平台运营方授予"} for name in wrong]
        raise RolesInvalid(f"角色 {'、'.join(wrong)} 只能由平台运营方授予", errors=errors)


def checked_roles(kind: str, roles: list[str]) -> list[str]:
    """The roles, sorted. Raises RolesInvalid naming those that the kind of organisation cannot give."""
    wrong = wrong_roles(kind, roles)
    if wrong:
        allowed = "、".join(sorted(ROLES_BY_KIND[kind]))
        raise RolesInvalid(
            f"角色 {'、'.join(wrong)} 不能用于 {kind} 类机构，可用：{allowed}",
            errors=[{"field": "roles", "value": name, "reason": f"可用：{allowed}"} for name in wrong],
        )
    return sorted(set(roles))


def _principal(owner: Any, holder: Any, kind: Any) -> Principal:
    return Principal(
        subject=holder.id,
        kind=kind,
        org=owner.uscc,
        org_kind=owner.kind,
        org_name=owner.name,
        roles=frozenset(holder.roles),
        name=holder.name,
        region=owner.region,
        plan=owner.plan,
    )
