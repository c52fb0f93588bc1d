"""Every event of the platform: frozen messages, one topic each. Read `docs/events.md` for who emits and consumes them.

A message never changes its meaning. A field may be added with a default; anything else is a new topic `...v2`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict


class EventData(BaseModel):
    """The data of an event; `key()` is the aggregate whose events stay in order."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    topic: ClassVar[str]

    def key(self) -> str:
        """The id of the aggregate."""
        raise TypeError(f"{type(self).__name__} has no key")


class OrganisationChanged(EventData):
    """An organisation was registered or changed."""

    topic: ClassVar[str] = "brain.identity.organisation.v1"
    uscc: str
    name: str
    kind: Literal["operator", "department", "enterprise", "provider"]
    region: str
    state: Literal["active", "suspended"]

    def key(self) -> str:
        """The unified social credit code."""
        return self.uscc


class KeyChanged(EventData):
    """An API key was made, revoked, or has expired."""

    topic: ClassVar[str] = "brain.identity.key.v1"
    key_id: str
    org: str
    state: Literal["active", "revoked", "expired"]

    def key(self) -> str:
        """The key's id."""
        return self.key_id


class UserChanged(EventData):
    """A user was made or changed."""

    topic: ClassVar[str] = "brain.identity.user.v1"
    user_id: str
    org: str
    roles: tuple[str, ...]
    state: Literal["active", "locked", "disabled"]

    def key(self) -> str:
        """The user's id."""
        return self.user_id


class AuditRecorded(EventData):
    """Somebody did something; identity appends it to the hash chain."""

    topic: ClassVar[str] = "brain.platform.audit.v1"
    at: datetime
    subject: str
    kind: Literal["user", "key", "service"]
    org: str
    name: str = ""
    action: str
    object: str
    outcome: Literal["ok", "refused", "failed"]
    detail: dict[str, Any] = {}

    def key(self) -> str:
        """The organisation that acted."""
        return self.org


class ContractRegistered(EventData):
    """A version of a data set's contract was registered."""

    topic: ClassVar[str] = "brain.warehouse.contract.v1"
    dataset: str
    version: str
    compatible: bool
    state: Literal["active", "retired"]

    def key(self) -> str:
        """The data set."""
        return self.dataset


class PushChanged(EventData):
    """A push was validated or refused; carries counts, never values."""

    topic: ClassVar[str] = "brain.warehouse.push.v1"
    push_id: str
    dataset: str
    owner: str
    state: Literal["validated", "refused"]
    accepted: int
    rejected: int

    def key(self) -> str:
        """The push."""
        return self.push_id


class CommittedPush(BaseModel):
    """A push within a commit."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    push_id: str
    owner: str
    mode: Literal["append", "upsert", "delete"]
    accepted: int


class WarehouseCommitted(EventData):
    """Pushes became part of a table in one commit; carries counts, never values."""

    topic: ClassVar[str] = "brain.warehouse.commit.v1"
    dataset: str
    snapshot: str
    sequence: int
    mode_counts: dict[str, int]
    pushes: tuple[CommittedPush, ...]
    rows_added: int
    rows_removed: int
    total_rows: int
    committed_at: datetime

    def key(self) -> str:
        """The data set."""
        return self.dataset


class LineageReported(EventData):
    """A service ran something that read or made data sets; `event` is an OpenLineage RunEvent.

    org: the organisation (USCC) that the run was for; empty when it is told by the data sets that the run made.
    """

    topic: ClassVar[str] = "brain.lineage.run.v1"
    run_id: str
    event: dict[str, Any]
    org: str = ""

    def key(self) -> str:
        """The run."""
        return self.run_id


class PanoramaBuilt(EventData):
    """A chain's panorama has a new version."""

    topic: ClassVar[str] = "brain.government.panorama.v1"
    chain: str
    version: int

    def key(self) -> str:
        """The chain."""
        return self.chain


class JobOutput(BaseModel):
    """A file that a job left: its digest is its address in the compute scheduler's files."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    sha256: str
    size: int


class JobChanged(EventData):
    """A job of the compute scheduler has entered a state; `reason` says why in words."""

    topic: ClassVar[str] = "brain.compute.job.v1"
    job_id: str
    org: str
    name: str
    state: Literal["queued", "starting", "running", "succeeded", "failed", "cancelled"]
    reason: str
    attempt: int
    exit_code: int | None = None
    outputs: dict[str, JobOutput] = {}
    labels: dict[str, str] = {}

    def key(self) -> str:
        """The job."""
        return self.job_id


class LoanChanged(EventData):
    """What a brain lends of its compute to another was offered, changed, recalled, or is over; amounts by resource."""

    topic: ClassVar[str] = "brain.compute.loan.v1"
    loan: str
    borrower: str
    state: Literal["open", "recalled"]
    amounts: dict[str, float]
    until_at: datetime | None = None
    reclaim: Literal["wait", "stop"]
    notice_s: float

    def key(self) -> str:
        """The loan."""
        return self.loan


class TransferChanged(EventData):
    """A transfer of a version to a computing centre has entered a state; `reason` says why it did not succeed."""

    topic: ClassVar[str] = "brain.compute.transfer.v1"
    transfer_id: str
    org: str
    dataset: str
    version: str
    centre: str
    state: Literal["booked", "moving", "done", "failed", "cancelled"]
    bytes: int | None = None
    done_bytes: int = 0
    reason: str = ""

    def key(self) -> str:
        """The transfer."""
        return self.transfer_id


class ReservationChanged(EventData):
    """A reservation of compute, or a maintenance window of a centre, was made, has opened, is over or was cancelled.

    orgs and priority: for whose jobs it is; maintenance is for none. nodes: how many it keeps, None: every one.
    """

    topic: ClassVar[str] = "brain.compute.reservation.v1"
    reservation_id: str
    kind: Literal["reservation", "maintenance"]
    centre: str
    title: str
    orgs: list[str] = []
    priority: str | None = None
    nodes: int | None = None
    start_at: datetime
    end_at: datetime
    state: Literal["planned", "open", "over", "cancelled"]
    reason: str = ""

    def key(self) -> str:
        """The reservation."""
        return self.reservation_id


REGISTRY: dict[str, type[EventData]] = {
    model.topic: model
    for model in (
        OrganisationChanged,
        KeyChanged,
        UserChanged,
        AuditRecorded,
        ContractRegistered,
        PushChanged,
        WarehouseCommitted,
        LineageReported,
        PanoramaBuilt,
        JobChanged,
        LoanChanged,
        TransferChanged,
        ReservationChanged,
    )
}
