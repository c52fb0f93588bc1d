"""Events: written to the outbox with the change, carried by a bus, handled once by each group."""

from brain_kit.events.bus import Delivery, EventBus, Publisher, Subscription, open_bus
from brain_kit.events.consumer import Consumer, Handler, ReplayFailed, Wanted
from brain_kit.events.event import DEAD_SUFFIX, Event, EventData, from_cloudevent
from brain_kit.events.local import LocalBus
from brain_kit.events.outbox import emit, emit_all
from brain_kit.events.relay import Relay
from brain_kit.events.routes import event_routes
from brain_kit.events.status import event_status, recent_events

__all__ = [
    "DEAD_SUFFIX",
    "Consumer",
    "Delivery",
    "Event",
    "EventBus",
    "EventData",
    "Handler",
    "LocalBus",
    "Publisher",
    "Relay",
    "ReplayFailed",
    "Subscription",
    "Wanted",
    "emit",
    "emit_all",
    "event_routes",
    "event_status",
    "from_cloudevent",
    "open_bus",
    "recent_events",
]
