"""The event as consumers see it, and its CloudEvents 1.0 form on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol, TypeVar

from pydantic import BaseModel

from brain_kit.clock import parse_rfc3339

SPEC_VERSION = "1.0"
DEAD_SUFFIX = ".dead"

M = TypeVar("M", bound=BaseModel)


class EventData(Protocol):
    """What `emit` takes: the frozen pydantic models of `brain_contracts.events`."""

    topic: ClassVar[str]

    def key(self) -> str:
        """The aggregate's id: events with the same key are delivered in order."""
        ...

    def model_dump_json(self) -> str:
        """The JSON text."""
        ...


@dataclass(frozen=True, slots=True)
class Event:
    """One event. id: unique; topic: its type; key: orders it; source: the service that emitted it."""

    id: str
    topic: str
    key: str
    source: str
    time: datetime
    data: dict[str, Any]
    traceparent: str | None = None

    def payload(self, model: type[M]) -> M:
        """The data as the contract's model. Raises pydantic.ValidationError when it does not fit."""
        return model.model_validate(self.data)

    def cloudevent(self) -> dict[str, Any]:
        """The members of the CloudEvents 1.0 JSON format, with the partitioning and tracing extensions."""
        members: dict[str, Any] = {
            "specversion": SPEC_VERSION,
            "id": self.id,
            "type": self.topic,
            "source": self.source,
            "time": self.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "partitionkey": self.key,
            "datacontenttype": "application/json",
            "data": self.data,
        }
        if self.traceparent:
            members["traceparent"] = self.traceparent
        return members


def from_cloudevent(members: Mapping[str, Any]) -> Event:
    """The event of a CloudEvents JSON object. Raises ValueError naming what is missing or wrong."""
    if members.get("specversion") != SPEC_VERSION:
        raise ValueError(f"specversion must be {SPEC_VERSION}, not {members.get('specversion')!r}")
    for name in ("id", "type", "source", "time"):
        if not isinstance(members.get(name), str) or not members[name]:
            raise ValueError(f"CloudEvents member {name!r} is missing or no text")
    data = members.get("data")
    if not isinstance(data, dict):
        raise ValueError("CloudEvents member 'data' is missing or no object")
    return Event(
        id=members["id"],
        topic=members["type"],
        key=str(members.get("partitionkey") or members["id"]),
        source=members["source"],
        time=parse_rfc3339(members["time"]),
        data=data,
        traceparent=members.get("traceparent"),
    )
