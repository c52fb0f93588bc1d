"""Handling events: each one once, in order per key, whatever crashes."""

from __future__ import annotations

import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass

import structlog
from prometheus_client import Counter
from sqlalchemy.orm import Session

from brain_kit.database import Database, DatabaseUnavailable
from brain_kit.events import dead_letters, inbox
from brain_kit.events.bus import Delivery, EventBus, Subscription
from brain_kit.events.event import Event, from_cloudevent
from brain_kit.problems import Conflict
from brain_kit.telemetry.tracing import server_span

Handler = Callable[[Session, Event], None]

POLL_S = 0.5
RESTART_S = 0.5
REPLAY_EVERY_S = 1.0
MAX_BACKOFF_S = 5.0

HANDLED, DUPLICATE, IGNORED, FAILED, DEAD = "handled", "duplicate", "ignored", "failed", "dead"
EVENTS = Counter("brain_events", "Events by group, topic and outcome.", ["group", "topic", "outcome"])
_log = structlog.get_logger("brain_kit.events")


@dataclass(frozen=True)
class Wanted:
    """Which events of a topic are any of a group's business.

    test: tells from the event alone. word: a text that the data of every such event contain, by which the bus need not
    even deliver the others; "": there is none.
    """

    test: Callable[[Event], bool]
    word: str = ""


class ReplayFailed(Conflict):
    """The handler failed again; the dead letter stays, with the new error."""

    code = "replay_failed"
    title = "Replay failed"


class _HandlerFailed(Exception):
    """Carries a handler's error, as its cause, out of the transaction."""


class Consumer:
    """The consumer of a group: calls the handler of each topic with a session and the event.

    The handler works in the given session only: its changes, the inbox entry and (local bus) the position commit
    together. A batch shares one transaction; when it fails, its events are handled one by one, each tried
    `attempts` times with growing pauses, then kept as a dead letter. Handlers must not call services that write to
    the same database: the transaction is open. A lost database is waited for and never counts as a failed attempt.

    wanted: by topic, what is the handler's business; the rest is passed over and leaves nothing in the inbox.
    """

    def __init__(
        self,
        group: str,
        database: Database,
        bus: EventBus,
        handlers: Mapping[str, Handler],
        *,
        attempts: int = 5,
        backoff_s: float = 0.1,
        batch_size: int = 500,
        wanted: Mapping[str, Wanted] | None = None,
    ) -> None:
        if not handlers:
            raise ValueError(f"consumer {group} has no handlers")
        self.group = group
        self.database = database
        self.bus = bus
        self.handlers = dict(handlers)
        self._attempts = attempts
        self._backoff_s = backoff_s
        self._batch_size = batch_size
        self._wanted = dict(wanted or {})
        self._words = {topic: wanted.word for topic, wanted in self._wanted.items() if wanted.word}
        self._looked_for_replays = float("-inf")

    @property
    def topics(self) -> list[str]:
        """The topics with a handler."""
        return sorted(self.handlers)

    def run(self, stop: threading.Event) -> None:
        """Handle events until `stop` is set; survives outages of bus and database."""
        while not stop.is_set():
            try:
                with closing(self.bus.subscribe(self.group, self.database, self.topics, self._words)) as subscription:
                    while not stop.is_set():
                        self.step(subscription, stop)
            except Exception as error:  # noqa: BLE001  (whatever happens, a consumer must come back)
                _log.warning("consumer restarts", group=self.group, error=dead_letters.describe_error(error))
                stop.wait(RESTART_S)

    def step(self, subscription: Subscription, stop: threading.Event, *, timeout_s: float = POLL_S) -> int:
        """Handle the queued replays and the next deliveries of the subscription; returns how many were delivered."""
        self._replay_queued()
        deliveries = subscription.poll(timeout_s, self._batch_size)
        if deliveries and self._is_unwanted(deliveries):
            self._count([(delivery.event.topic, IGNORED) for delivery in deliveries])
            subscription.pass_over()
        elif deliveries and self._handle(subscription, deliveries, stop):
            subscription.acknowledge()
        return len(deliveries)

    def replay(self, dead_id: int) -> None:
        """Handle a dead letter again, now. Raises NotFound, AlreadyReplayed, or ReplayFailed with the new error."""
        try:
            with self.database.transaction() as session:
                event = from_cloudevent(dead_letters.locked(session, dead_id).event)
                try:
                    outcome = self._call(session, event)
                except Exception as error:
                    raise _HandlerFailed from error
                dead_letters.set_state(session, dead_id, dead_letters.REPLAYED)
        except _HandlerFailed as failure:
            cause = failure.__cause__ or failure
            text = dead_letters.describe_error(cause)
            with self.database.transaction() as session:
                dead_letters.set_state(session, dead_id, dead_letters.DEAD, error=text)
            raise ReplayFailed(f"死信 {dead_id} 重放失败：{text}", dead_letter=dead_id) from cause
        self._count([(event.topic, outcome)])

    def lag(self) -> dict[str, int]:
        """Events not yet handled, per topic."""
        return self.bus.lag(self.group, self.database, self.topics)

    def _handle(self, subscription: Subscription, deliveries: Sequence[Delivery], stop: threading.Event) -> bool:
        if len(deliveries) > 1:
            try:
                self._apply(subscription, deliveries)
                return True
            except Exception as error:  # noqa: BLE001  (a handler may raise anything)
                _log.info("batch failed, goes one by one", group=self.group, error=dead_letters.describe_error(error))
        return all(self._apply_patiently(subscription, delivery, stop) for delivery in deliveries)

    def _apply(self, subscription: Subscription, deliveries: Sequence[Delivery]) -> None:
        outcomes = []
        events = [delivery.event for delivery in deliveries]
        wanted = {event.id for event in events if self._wants(event)}
        with self.database.transaction() as session:
            new = inbox.admit(session, self.group, sorted(wanted)) if wanted else set()
            for event in events:
                outcome = DUPLICATE if event.id in wanted else IGNORED
                if event.id in new:
                    new.discard(event.id)
                    outcome = self._call(session, event)
                outcomes.append((event.topic, outcome))
            subscription.store(session, deliveries)
        self._count(outcomes)

    def _apply_patiently(self, subscription: Subscription, delivery: Delivery, stop: threading.Event) -> bool:
        """True when the event is done with (handled or buried), False when `stop` came first."""
        failed = 0
        while not stop.is_set():
            try:
                self._apply(subscription, [delivery])
                return True
            except DatabaseUnavailable:
                stop.wait(RESTART_S)
            except Exception as error:  # noqa: BLE001  (a handler may raise anything)
                failed += 1
                self._count([(delivery.event.topic, FAILED)])
                if failed >= self._attempts:
                    return self._bury(subscription, delivery, error, stop)
                stop.wait(min(self._backoff_s * 2 ** (failed - 1), MAX_BACKOFF_S))
        return False

    def _bury(self, subscription: Subscription, delivery: Delivery, error: Exception, stop: threading.Event) -> bool:
        event = delivery.event
        while not stop.is_set():
            try:
                with self.database.transaction() as session:
                    if inbox.admit(session, self.group, [event.id]):
                        dead_letters.bury(session, self.group, event, error, self._attempts)
                    subscription.store(session, [delivery])
            except DatabaseUnavailable:
                stop.wait(RESTART_S)
                continue
            self._count([(event.topic, DEAD)])
            _log.error(
                "event is a dead letter", group=self.group, topic=event.topic, event_id=event.id, error=str(error)
            )
            return True
        return False

    def _is_unwanted(self, deliveries: Sequence[Delivery]) -> bool:
        try:
            return not any(self._wants(delivery.event) for delivery in deliveries)
        except Exception:  # noqa: BLE001  (an event that cannot be judged is handled, and so becomes a dead letter)
            return False

    def _wants(self, event: Event) -> bool:
        wanted = self._wanted.get(event.topic)
        return wanted is None or wanted.test(event)

    def _call(self, session: Session, event: Event) -> str:
        handler = self.handlers.get(event.topic)
        if handler is None:
            return IGNORED
        with self._span(event):
            handler(session, event)
        return HANDLED

    def _count(self, outcomes: Sequence[tuple[str, str]]) -> None:
        """Count after the commit: what was rolled back did not happen."""
        for (topic, outcome), number in Tally(outcomes).items():
            EVENTS.labels(self.group, topic, outcome).inc(number)

    def _span(self, event: Event) -> AbstractContextManager[object]:
        if not event.traceparent:
            return nullcontext()
        attributes = {"messaging.destination.name": event.topic, "messaging.consumer.group.name": self.group}
        return server_span(f"consume {event.topic}", event.traceparent, attributes, "CONSUMER")

    def _replay_queued(self) -> None:
        if time.monotonic() - self._looked_for_replays < REPLAY_EVERY_S:
            return
        self._looked_for_replays = time.monotonic()
        with self.database.reading() as session:
            waiting = dead_letters.queued(session, self.group)
        for dead_id in waiting:
            try:
                self.replay(dead_id)
            except (ReplayFailed, dead_letters.AlreadyReplayed) as problem:
                _log.warning("replay failed", group=self.group, dead_letter=dead_id, error=str(problem))
