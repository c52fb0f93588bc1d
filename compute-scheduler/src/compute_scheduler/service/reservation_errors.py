"""What those who reserve capacity may be told."""

from __future__ import annotations

from brain_kit.problems import Conflict, InvalidInput, NotFound


class ReservationUnknown(NotFound):
    """No reservation or maintenance window of that id for this caller."""

    code = "reservation_unknown"


class ReservationInvalid(InvalidInput):
    """What is asked for can never be; `errors` names each field."""

    code = "reservation_invalid"


class ReservationOverlaps(Conflict):
    """Other reservations keep what is asked for; `reservations` names them."""

    code = "reservation_overlaps"


class ReservationEnded(Conflict):
    """It has ended or was cancelled."""

    code = "reservation_ended"
