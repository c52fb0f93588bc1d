"""Attempts that run in another brain, as the engine remembers them; each is read again from its folder."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any

from compute_scheduler.engine.folder import AttemptFolder, Facts

Json = dict[str, Any]


@dataclass(eq=False)
class Borrowed:
    """An attempt; all but its clocks lies in its folder. asked_at: when a submission was last sent or answered."""

    folder: AttemptFolder
    order: Json
    is_granted: bool = False
    record: Json | None = None
    is_prepared: bool = False
    is_busy: bool = False
    asked_at: float = 0.0
    next_at: float = 0.0
    tries: int = 0
    ending: str = ""
    unknown_since: float | None = None
    log_size: int = 0
    words: str = ""
    is_noticed: bool = False

    @property
    def attempt(self) -> str:
        """Its id."""
        return self.folder.attempt

    def news(self, told: Json) -> Json | None:
        """The event that says why it has not begun there, or, of one that has, that it will be stopped."""
        if self.is_granted and not (told["stop_at"] or self.is_noticed):
            return None
        words = f"对方平台：{told['reason']}"
        if self.is_granted:
            self.is_noticed = True
            words = f"出借方将在 {told['stop_at']} 收回算力" if told["stop_at"] else "出借方不再要求收回，继续运行"
        if words == self.words:
            return None
        self.words = words
        return {"event": "notice" if self.is_granted else "waits", "reasons": {self.attempt: words}}


def recalled(folder: AttemptFolder, facts: Facts) -> Borrowed:
    """An attempt as its folder says."""
    entry = Borrowed(folder, facts.spec, facts.has_begun, facts.end, is_prepared=facts.has_begun)
    with contextlib.suppress(FileNotFoundError):
        entry.log_size = os.stat(folder.log).st_size
    return entry
