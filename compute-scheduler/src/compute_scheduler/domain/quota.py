"""Quotas of tenants in trees: each has its own part, lends what lies idle and borrows from the group above.

The rule is the one of Kueue's cohorts (KEP-79, `resource_node.go`): of a tenant's subtree quota, the part that it does
not lend is guaranteed; usage beyond that counts against its parent, and so on upwards. What a tenant may still take is
what is left of its guaranteed part and what its parent can give, within the borrowing limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from compute_scheduler.domain.resources import MILLI
from compute_scheduler.domain.snapshot import Tenant


@dataclass(frozen=True, slots=True)
class Shortage:
    """A quota that does not suffice: the resource, what may still be taken, what is asked for; MB, or thousandths.

    never: it would not suffice even if nobody held anything.
    """

    resource: str
    available: int
    asked: int
    never: bool


@dataclass(slots=True)
class _Part:
    """One tenant's account of one resource."""

    parent: _Part | None
    subtree: int
    guaranteed: int
    borrowing: int | None
    used: int = 0


def units(name: str, amount: float) -> int:
    """An amount as exact whole units: MB of memory, thousandths of all else."""
    return round(amount) if name == "memory_mb" else round(amount * MILLI)


def _available(part: _Part, used: bool) -> int:
    """What may still be taken; with `used` False as if nobody held anything."""
    own = part.used if used else 0
    if part.parent is None:
        return part.subtree - own
    above = _available(part.parent, used)
    if part.borrowing is not None:
        above = min(above, part.subtree - part.guaranteed - max(0, own - part.guaranteed) + part.borrowing)
    return max(0, part.guaranteed - own) + above


class QuotaTrees:
    """What each tenant may still take. Sums are whole numbers, so taking and giving back leaves no trace."""

    def __init__(self, tenants: Iterable[Tenant]) -> None:
        self._tenants = {tenant.id: tenant for tenant in tenants}
        self._parents = {tenant_id: self._parent(tenant_id) for tenant_id in self._tenants}
        children: dict[str, list[str]] = {}
        for tenant_id, parent in self._parents.items():
            if parent is not None:
                children.setdefault(parent, []).append(tenant_id)
        self._parts: dict[str, dict[str, _Part]] = {tenant_id: {} for tenant_id in self._tenants}
        for root in [tenant_id for tenant_id, parent in self._parents.items() if parent is None]:
            members = _below(root, children)
            for name in sorted({name for member in members for name in self._tenants[member].quota.nominal}):
                self._build(root, name, children)

    def _parent(self, tenant_id: str) -> str | None:
        """The parent, unless it is unknown or the way up leads back here."""
        parent = self._tenants[tenant_id].parent
        seen, above = {tenant_id}, parent
        while above in self._tenants and above not in seen:
            seen.add(above)
            above = self._tenants[above].parent
        return None if parent not in self._tenants or above == tenant_id else parent

    def _build(self, tenant_id: str, name: str, children: Mapping[str, Sequence[str]]) -> _Part:
        quota = self._tenants[tenant_id].quota
        below = [self._build(child, name, children) for child in children.get(tenant_id, ())]
        subtree = units(name, quota.nominal.get(name, 0.0)) + sum(part.subtree - part.guaranteed for part in below)
        lending, borrowing = quota.lending_limit.get(name), quota.borrowing_limit.get(name)
        guaranteed = 0 if lending is None else max(0, subtree - units(name, lending))
        part = _Part(None, subtree, guaranteed, None if borrowing is None else units(name, borrowing))
        for child in below:
            child.parent = part
        self._parts[tenant_id][name] = part
        return part

    def knows(self, tenant_id: str) -> bool:
        """Whether there is such a tenant."""
        return tenant_id in self._tenants

    def shortage(self, tenant_id: str, demand: Iterable[tuple[str, int]]) -> Shortage | None:
        """The first resource of which the tenant may not take so much, or None."""
        parts = self._parts[tenant_id]
        if not parts:
            return None
        for name, asked in demand:
            part = parts.get(name)
            if part is not None:
                available = _available(part, used=True)
                if available < asked:
                    return Shortage(name, available, asked, _available(part, used=False) < asked)
        return None

    def add(self, tenant_id: str, demand: Iterable[tuple[str, int]], sign: int) -> None:
        """Counts what the tenant takes (sign 1) or gives back (-1); unknown tenants are not counted."""
        parts = self._parts.get(tenant_id)
        if not parts:
            return
        for name, amount in demand:
            part = parts.get(name)
            change = sign * amount
            while part is not None and change:
                before = max(0, part.used - part.guaranteed)
                part.used += change
                change = max(0, part.used - part.guaranteed) - before
                part = part.parent


def _below(root: str, children: Mapping[str, Sequence[str]]) -> list[str]:
    members = [root]
    for member in members:
        members.extend(children.get(member, ()))
    return members
