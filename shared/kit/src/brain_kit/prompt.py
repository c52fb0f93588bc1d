"""Answers given at once: by a plain call, where everything that the answer needs is at hand.

A task, its messages and the layers between them cost a small model's call more than the model. So an ASGI application
may have `at_once` beside `__call__`; the server asks it when such a request has come whole.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Protocol, cast

from starlette.types import Scope

Headers = list[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """A whole answer; the headers have `content-length`."""

    status: int
    headers: Headers
    body: bytes


class Prompt(Protocol):
    """An application that answers some requests at once: at_once_paths match the addresses, as they came, of these."""

    at_once_paths: re.Pattern[bytes]

    def at_once(self, scope: Scope, body: bytes) -> Answer | None:
        """The answer to a request whose body is whole; None: `__call__` gets the same scope, and does it all.

        Never waits, never raises, and changes nothing where it gives None but in the scope.
        """
        ...


def prompt_of(app: Any) -> Prompt | None:
    """The application as one that answers at once; None: it does not."""
    return cast(Prompt, app) if hasattr(app, "at_once_paths") else None
