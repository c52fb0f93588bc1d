"""Events that the gateway consumes: a change of keys or organisations ends remembered verdicts."""

from __future__ import annotations

from collections.abc import Callable

from brain_contracts.events import KeyChanged, OrganisationChanged, UserChanged
from brain_kit.events import Event
from sqlalchemy.orm import Session


def handlers(forget: Callable[[], None]) -> dict[str, Callable[[Session, Event], None]]:
    """Handlers that call `forget` after any change of who may call."""

    def changed(_session: Session, _event: Event) -> None:
        forget()

    return {KeyChanged.topic: changed, OrganisationChanged.topic: changed, UserChanged.topic: changed}
