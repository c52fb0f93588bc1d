"""Why a use case of the registry is refused, each with a stable code."""

from __future__ import annotations

from brain_kit.problems import Conflict, InvalidInput, NotFound, NotPermitted, Problem, TooLarge


class ComponentUnknown(NotFound):
    """There is no such component or version, or the caller may not know of it."""

    code, title = "component_unknown", "Unknown component"


class RunUnknown(NotFound):
    """The caller has no such run."""

    code, title = "run_unknown", "Unknown run"


class ArtefactUnknown(NotFound):
    """There is no such file, or it is not the caller's."""

    code, title = "artefact_unknown", "Unknown file"


class CardRefused(InvalidInput):
    """The card is not valid; `errors` lists each wrong field."""

    code, title = "card_invalid", "Invalid card"


class DigestWrong(InvalidInput):
    """A file's content is not what its digest says."""

    code, title = "digest_mismatch", "Digest mismatch"


class FilesMissing(InvalidInput):
    """The card names files that the organisation has not uploaded, or with another size."""

    code, title = "artefacts_missing", "Files missing"


class ModelInvalid(InvalidInput):
    """A model is refused before it is loaded; `model_code` says by which rule."""

    code, title = "model_refused", "Model refused"


class GoldenFailed(InvalidInput):
    """The component does not reproduce its golden vectors; `errors` lists the differences."""

    code, title = "golden_failed", "Golden vectors not reproduced"


class GoldenMissing(InvalidInput):
    """Publishing asks for at least one golden vector."""

    code, title = "golden_missing", "No golden vector"


class NameTaken(Conflict):
    """Another organisation owns the component of that name."""

    code, title = "name_taken", "Name taken"


class VersionImmutable(Conflict):
    """A version can no longer be changed once it was submitted."""

    code, title = "version_immutable", "Version is immutable"


class StateWrong(Conflict):
    """The state of the version does not allow the action."""

    code, title = "state_conflict", "State does not allow it"


class EditedMeanwhile(Conflict):
    """Somebody changed it since the caller read it."""

    status, code, title = 412, "precondition_failed", "Changed meanwhile"


class PreconditionMissing(Conflict):
    """An edit must say which state of the object it is based on."""

    status, code, title = 428, "precondition_required", "If-Match needed"


class OwnWork(NotPermitted):
    """Who submitted a version does not decide about it."""

    code, title = "two_persons_needed", "A second person must decide"


class NotOwner(NotPermitted):
    """The caller's organisation does not own the component."""

    code, title = "not_owner", "Not the owner"


class VersionBroken(Problem):
    """A file of the version no longer has the digest of its card; an operator must restore it."""

    status, code, title = 503, "version_broken", "Version is broken"


class InputInvalid(InvalidInput):
    """Inputs do not fit the signature; `errors` names row and field."""

    code, title = "input_invalid", "Input does not fit the signature"


class TooManyRows(InvalidInput):
    """A call takes fewer rows; a batch run takes them all."""

    code, title = "too_many_rows", "Too many rows"


class NotCallable(Conflict):
    """The version is withdrawn or rejected and can no longer be called."""

    code, title = "not_callable", "Version cannot be called"


class ArtefactTooLarge(TooLarge):
    """The file is over the limit."""

    code, title = "artefact_too_large", "File too large"


class BodyUnreadable(InvalidInput):
    """The body is no JSON object of inputs and parameters."""

    code, title = "body_unreadable", "Body unreadable"


class AliasInvalid(InvalidInput):
    """The alias cannot be set so."""

    code, title = "alias_invalid", "Invalid alias"


class RunRefused(InvalidInput):
    """The run cannot be made so; `errors` names each wrong part."""

    code, title = "run_invalid", "Invalid run"


class KeyReused(Conflict):
    """The idempotency key stands for another request."""

    code, title = "idempotency_key_reused", "Idempotency key reused"


class RunFinal(Conflict):
    """The run has ended, or its result is being written."""

    code, title = "run_final", "Run can no longer be cancelled"
