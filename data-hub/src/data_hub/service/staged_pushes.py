"""Validated pushes as the engine applies them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from data_hub.store import PushRecord

if TYPE_CHECKING:
    from data_hub.engine.staged import StagedPush


def staged_pushes(records: Sequence[PushRecord], inline: dict[str, bytes]) -> list[StagedPush]:
    """The staged rows of pushes in their order; small ones lie in the database, `inline` holds their bytes."""
    from data_hub.engine.checked import from_ipc
    from data_hub.engine.staged import StagedPush, staged_parts

    return [
        StagedPush(
            record.id,
            record.owner,
            record.mode,
            record.accepted,
            from_ipc(inline[record.id]) if record.id in inline else None,
            staged_parts(record.staged),
        )
        for record in records
    ]
