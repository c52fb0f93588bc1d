"""Why a push as a whole is not taken, each with a stable code."""

from __future__ import annotations

from typing import Any

from brain_kit.problems import Conflict, InvalidInput, NotFound, NotPermitted, Problem, TooLarge, UnsupportedMedia


class DatasetUnknown(NotFound):
    """No data set of this name is registered."""

    code = "dataset_unknown"
    title = "Data set unknown"


def dataset_unknown(name: str) -> DatasetUnknown:
    """No such data set, or none that the caller may know of; both read the same."""
    return DatasetUnknown(f"没有数据集 {name[:130]}，可用的见 GET /v1/datasets", dataset=name[:130])


class DatasetNameTaken(Conflict):
    """Another organisation, or the platform, has a data set of this name."""

    code = "dataset_name_taken"
    title = "Data set name taken"


class PushUnknown(NotFound):
    """There is no such push, or it is another organisation's."""

    code = "push_unknown"
    title = "Push unknown"


class ModeImpossible(InvalidInput):
    """The data set has no key, so rows can only be appended."""

    code = "mode_impossible"
    title = "Mode impossible"


class PushNotPermitted(NotPermitted):
    """The caller's roles do not allow pushing."""

    code = "push_not_permitted"


class FormatUnsupported(UnsupportedMedia):
    """The content type is none of those that are read."""

    code = "format_unsupported"


class BodyTooLarge(TooLarge):
    """The body is over the limit, by its announced length or as it came in."""

    code = "body_too_large"


class BodyIncomplete(Problem):
    """Fewer bytes came than were announced."""

    status, code, title = 400, "body_incomplete", "Body incomplete"


class SpoolFull(Problem):
    """The disk of the spool is full; nothing of the push was kept."""

    status, code, title = 507, "spool_full", "Spool is full"


class IdempotencyKeyReused(Conflict):
    """The same Idempotency-Key came with other content."""

    code = "idempotency_key_reused"
    title = "Idempotency-Key reused"


class PushInProgress(Conflict):
    """A push with the same Idempotency-Key is still coming in."""

    code = "push_in_progress"
    title = "Push in progress"


class IdempotencyKeyInvalid(InvalidInput):
    """The Idempotency-Key is too long or has characters that headers should not have."""

    code = "idempotency_key_invalid"


class ContentRefused(InvalidInput):
    """The content as a whole cannot be taken; kept with the push as its problem."""

    def __init__(self, code: str, detail: str, **members: Any) -> None:
        super().__init__(detail, **members)
        self.code = code  # the class covers several stable codes

    def stored(self) -> dict[str, Any]:
        """The form in which a push keeps it."""
        return {"code": self.code, "detail": self.detail, **self.members}
