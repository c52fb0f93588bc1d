"""What can be wrong with a request, each with a stable code."""

from __future__ import annotations

from brain_kit.problems import Conflict, InvalidInput, NotFound, NotPermitted, Problem, TooLarge, UnsupportedMedia


class SetUnknown(NotFound):
    """There is no indicator set of that id."""

    code, title = "indicator_set_unknown", "Unknown indicator set"


class IndicatorUnknown(NotFound):
    """The set has no indicator of that code or id."""

    code, title = "indicator_unknown", "Unknown indicator"


class ClusterUnknown(NotFound):
    """There is no cluster of that id."""

    code, title = "cluster_unknown", "Unknown cluster"


class RunUnknown(NotFound):
    """There is no run of that id."""

    code, title = "run_unknown", "Unknown run"


class ReportUnknown(NotFound):
    """There is no reported value of that id."""

    code, title = "report_unknown", "Unknown reported value"


class AssessmentUnknown(NotFound):
    """There is no assessment of that id, or it is another enterprise's."""

    code, title = "assessment_unknown", "Unknown assessment"


class EvidenceUnknown(NotFound):
    """There is no evidence file of that id there."""

    code, title = "evidence_unknown", "Unknown evidence"


class FieldsMissing(InvalidInput):
    """Fields that belong together are missing."""

    code, title = "fields_missing", "Fields missing"


class PeriodWrong(InvalidInput):
    """The period is none that is understood."""

    code, title = "period_invalid", "Invalid period"


class ValueWrong(InvalidInput):
    """The value does not fit what the indicator asks for."""

    code, title = "value_invalid", "Invalid value"


class ChoiceWrong(InvalidInput):
    """Weights, rules or targets that cannot be used."""

    code, title = "choice_invalid", "Invalid choice"


class NotReported(Conflict):
    """The indicator is computed by the platform and takes no reported value."""

    code, title = "indicator_is_computed", "Indicator is computed"


class ReportOpen(Conflict):
    """Somebody works on a value for the same place already."""

    code, title = "report_open", "A reported value is open already"


class AssessmentExists(Conflict):
    """The enterprise has an assessment for the year."""

    code, title = "assessment_exists", "Assessment exists"


class StateConflict(Conflict):
    """The state does not allow the action."""

    code, title = "state_conflict", "State does not allow the action"


class SecondPersonNeeded(Conflict):
    """Who wrote or submitted cannot review."""

    code, title = "second_person_needed", "A second person is needed"


class ClusterInUse(Conflict):
    """The cluster has reported values, which are evidence and stay."""

    code, title = "cluster_in_use", "Cluster is in use"


class RunEnded(Conflict):
    """The run has ended already."""

    code, title = "run_ended", "Run has ended"


class EditedMeanwhile(Problem):
    """Somebody else has changed the object since it was read."""

    status, code, title = 412, "edited_meanwhile", "Edited meanwhile"


class EvidenceMissing(Conflict):
    """A value cannot be submitted without evidence."""

    code, title = "evidence_missing", "Evidence missing"


class TooManyFiles(Conflict):
    """There are as many evidence files as are taken."""

    code, title = "evidence_too_many", "Too many evidence files"


class EvidenceTooLarge(TooLarge):
    """The file is larger than is taken."""

    code, title = "evidence_too_large", "Evidence too large"


class EvidenceType(UnsupportedMedia):
    """The file is of a kind that is not taken, or not what it says it is."""

    code, title = "evidence_type", "Evidence type not taken"


class GovernmentOnly(NotPermitted):
    """Values and reviews are for the operator and departments."""

    code, title = "government_only", "For government only"
