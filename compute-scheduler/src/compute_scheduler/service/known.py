"""What a request names must be there."""

from __future__ import annotations

from sqlalchemy.orm import Session

from compute_scheduler.service.errors import CentreUnknown
from compute_scheduler.store import centres
from compute_scheduler.store.centres import Row


def known_centre(session: Session, centre: str, *, lock: str = "") -> Row:
    """The row of a computing centre; lock: see `centres.centre`. Raises CentreUnknown."""
    row = centres.centre(session, centre, lock=lock)
    if row is None:
        raise centre_unknown(centre)
    return row


def centre_unknown(centre: str) -> CentreUnknown:
    """The refusal of a centre that nobody has registered; of a name without end its beginning is repeated."""
    return CentreUnknown(f"没有算力中心 {centre[:60]}")
