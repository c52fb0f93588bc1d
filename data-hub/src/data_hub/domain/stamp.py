"""What every row of a push carries beside its own values, and who may say so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from data_hub.domain.push import Mode


@dataclass(frozen=True)
class PushStamp:
    """Identity of a push.

    only_owner: the only value that the owner column may have, None when the caller may push for anybody.
    """

    push_id: str
    owner: str
    pushed_at: datetime
    mode: Mode
    only_owner: str | None
