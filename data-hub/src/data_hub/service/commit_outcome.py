"""What a commit means for its pushes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from brain_kit.clock import utc_now

from data_hub.domain.push import SHOWN_REJECTS
from data_hub.store import PushRecord

if TYPE_CHECKING:
    from data_hub.engine.rejects import RejectFile


class PushesTaken(Exception):
    """Another committer has committed one of the pushes; the transaction must not count."""


@dataclass
class Outcome:
    """What a commit means for its pushes: worked out before it, kept with it."""

    records: list[PushRecord]
    # Rejects of this commit by push, and the object with all rejects of the push.
    rejects: dict[str, RejectFile] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    final: list[PushRecord] = field(default_factory=list)

    def decide(self, snapshot: str | None) -> list[PushRecord]:
        """The pushes as they are after the commit."""
        now = utc_now()
        self.final = [self._final(record, snapshot, now) for record in self.records]
        return self.final

    def _final(self, record: PushRecord, snapshot: str | None, now: datetime) -> PushRecord:
        if record.id not in self.rejects:
            return replace(record, state="committed", snapshot=snapshot, committed_at=now)
        file = self.rejects[record.id]
        shown = [*(record.rejects or []), *(reject.shown() for reject in file.first)][:SHOWN_REJECTS]
        accepted = record.accepted - file.count
        changed = replace(
            record,
            accepted=accepted,
            rejected=record.rejected + file.count,
            rejects=shown,
            rejects_key=self.keys[record.id],
        )
        if accepted:
            return replace(changed, state="committed", snapshot=snapshot, committed_at=now)
        problem = {"code": "nothing_accepted", "detail": "所有行的主键都已存在；要更新请用 mode=upsert 重新推送"}
        return replace(changed, state="refused", problems=[problem])
