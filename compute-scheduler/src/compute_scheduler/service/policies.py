"""How the plan weighs jobs and whether they make way: the newest stored version, before there is one the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.ids import new_id
from sqlalchemy.orm import Session

from compute_scheduler.domain.simulation.policies import POLICIES, policy_with, weights_of
from compute_scheduler.domain.snapshot import Policy
from compute_scheduler.service.errors import PolicyChanged, PolicyInvalid
from compute_scheduler.settings import Settings
from compute_scheduler.store import policies as store

Row = dict[str, Any]
MOST_STARTS = 500
PREEMPTION = ("preemption", "preempt_after_s", "preempt_every_s", "preempt_most", "preempt_per_job")
LISTED = 100


@dataclass(frozen=True)
class InForce:
    """What the next plan goes by. version: the stored row, None: the settings; values: weights and preemption."""

    version: Row | None
    base: str
    values: Mapping[str, Any]

    @property
    def policy(self) -> Policy:
        """The policy without preemption, which one plan now and then is allowed."""
        return replace(policy_with(self.base, self.values), most_starts=MOST_STARTS)

    def letting_way(self, policy: Policy, is_due: bool) -> Policy:
        """The policy of one plan. is_due: whether the last plan that let jobs make way is long enough ago."""
        values = self.values
        if not values["preemption"]:
            return policy
        return replace(
            policy,
            preemptions=values["preempt_most"] if is_due else 0,
            preemptions_per_job=values["preempt_per_job"],
            preempt_after_s=values["preempt_after_s"],
        )


def in_force(session: Session, settings: Settings) -> InForce:
    """The newest version, or what the settings say while there is none."""
    row = store.newest(session)
    if row is None:
        return InForce(None, "default", of_settings(settings))
    return InForce(row, row["base"], row["values"])


def of_settings(settings: Settings) -> Row:
    """Weights and preemption as the settings say."""
    told = {
        name: getattr(settings, f"compute_scheduler_{name}")
        for name in ("staging_weight", "price_s", "carbon_s", "wait_weight", "longest_hold_s", *PREEMPTION)
    }
    return weights_of(POLICIES["default"]) | told


def get_policy(database: Database, settings: Settings) -> Row:
    """What is in force."""
    with database.reading() as session:
        return shown(in_force(session, settings))


def set_policy(database: Database, settings: Settings, principal: Principal, body: Mapping[str, Any]) -> Row:
    """Adds a version, by which the next plan goes. Raises PolicyInvalid, PolicyChanged.

    body: base (a policy by name), values (absent ones are the base's where it has its own, else the settings'), note,
    replaces (the version that the caller looked at, '' for the settings, None: whatever is in force).
    """
    check_base(body["base"])
    plain = weights_of(POLICIES["default"])
    own = {name: weight for name, weight in weights_of(POLICIES[body["base"]]).items() if weight != plain[name]}
    values = of_settings(settings) | own | dict(body["values"])
    row = {
        "id": new_id("pol"),
        "base": body["base"],
        "values": values,
        "note": body["note"],
        "created_by": principal.subject,
        "created_at": utc_now(),
    }
    with database.transaction() as session:
        store.lock(session)
        before = in_force(session, settings)
        known = before.version["id"] if before.version else ""
        if body["replaces"] is not None and body["replaces"] != known:
            raise PolicyChanged("策略已被别人修改，请先看现在的版本再改", current=known)
        store.insert(session, row)
        changed = {
            name: [before.values.get(name), now] for name, now in values.items() if before.values.get(name) != now
        }
        detail = {"base": [before.base, row["base"]], "changed": changed, "note": row["note"]}
        audit.record(session, principal, action="policy.set", object=row["id"], detail=detail)
    return shown(InForce(row, row["base"], values))


def list_versions(database: Database) -> list[Row]:
    """Versions, the newest first."""
    with database.reading() as session:
        rows = store.versions(session, LISTED)
    return [shown(InForce(row, row["base"], row["values"])) for row in rows]


def check_base(name: str) -> None:
    """Raises PolicyInvalid unless there is a policy of that name."""
    if name not in POLICIES:
        reason = f"没有这个策略，可用：{'、'.join(sorted(POLICIES))}"
        raise PolicyInvalid("没有这个策略", errors=[{"field": "base", "value": name, "reason": reason}])


def shown(found: InForce) -> Row:
    """A policy as the API gives it."""
    row = found.version
    return {
        "id": row["id"] if row else None,
        "source": "version" if row else "settings",
        "base": found.base,
        "values": dict(found.values),
        "note": row["note"] if row else "",
        "created_by": row["created_by"] if row else None,
        "created_at": rfc3339(row["created_at"]) if row else None,
    }
