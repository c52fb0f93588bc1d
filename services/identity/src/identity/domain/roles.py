"""Roles: which an organisation of a kind may give, which it gives by default, who manages its people and keys.

System, security and audit administration are separate roles of the operator's organisation (等保三级：三权分立):
`operator` runs the platform, `auditor` only reads the audit trail. `agent` runs the jobs of one computing centre and
sees nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

DEFAULT_ROLES = {"operator": "operator", "department": "analyst", "enterprise": "manager", "provider": "provider"}
ROLES_BY_KIND = {
    "operator": frozenset({"operator", "analyst", "auditor", "developer", "agent"}),
    "department": frozenset({"analyst", "auditor"}),
    "enterprise": frozenset({"manager", "member", "developer"}),
    "provider": frozenset({"provider", "developer"}),
}
# Who manages an organisation's keys may make some for each of its roles, but none that can do more than it was
# entrusted with.
GIVEN_BY_OPERATORS = frozenset({"operator", "auditor", "agent"})


def manages(kind: str, roles: Iterable[str]) -> bool:
    """Whether these roles manage the people and keys of their own organisation: its leading role does."""
    return DEFAULT_ROLES.get(kind) in set(roles)


def wrong_roles(kind: str, roles: Iterable[str]) -> list[str]:
    """The roles that an organisation of the kind cannot give."""
    return sorted(set(roles) - ROLES_BY_KIND[kind])
