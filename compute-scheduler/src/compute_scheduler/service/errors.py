"""What callers may be told."""

from __future__ import annotations

from brain_kit.problems import Conflict, InvalidInput, NotFound, NotPermitted, TooLarge


class JobUnknown(NotFound):
    """No job of that id for this caller."""

    code = "job_unknown"


class FileUnknown(NotFound):
    """No file of that digest for this organisation."""

    code = "file_unknown"


class CentreUnknown(NotFound):
    """No centre of that name."""

    code = "centre_unknown"


class NodeUnknown(NotFound):
    """No node of that name."""

    code = "node_unknown"


class AttemptUnknown(NotFound):
    """No attempt of that id at this centre."""

    code = "attempt_unknown"


class JobRefused(InvalidInput):
    """The job could never run as it is; `errors` says for each field what to do."""

    code = "job_refused"


class QueueFull(Conflict):
    """The tenant has as many waiting jobs as it may have."""

    code = "queue_full"


class RunningNotPermitted(NotPermitted):
    """The caller may not run commands."""

    code = "running_not_permitted"


class NoQuota(NotPermitted):
    """The organisation has no quota of compute."""

    code = "no_quota"


class ActingNotPermitted(NotPermitted):
    """Only services act for other organisations."""

    code = "acting_not_permitted"


class StateConflict(Conflict):
    """The job is in a state in which this cannot be done."""

    code = "job_state_conflict"


class IdempotencyKeyReused(Conflict):
    """The key came before with another body."""

    code = "idempotency_key_reused"


class CentreExists(Conflict):
    """There is a centre of that name."""

    code = "centre_exists"


class CentreHeld(Conflict):
    """Another agent holds the centre."""

    code = "centre_held"


class SessionLost(Conflict):
    """A newer session of the centre's agent has begun; this one may do nothing more."""

    code = "session_lost"


class NotYourCentre(NotPermitted):
    """The key belongs to no centre, or to another."""

    code = "not_your_centre"


class CentreStillThere(Conflict):
    """The centre's agent still answers, so its work cannot be declared lost."""

    code = "centre_still_there"


class QuotaInvalid(InvalidInput):
    """A quota cannot be used as it is."""

    code = "quota_invalid"


class PolicyInvalid(InvalidInput):
    """A policy cannot be used as it is."""

    code = "policy_invalid"


class PolicyChanged(Conflict):
    """Another version has come into force since the caller looked."""

    code = "policy_changed"


class QuotaGroupUnknown(NotFound):
    """No group of that name."""

    code = "quota_group_unknown"


class QuotaGroupInUse(Conflict):
    """The group still has members."""

    code = "quota_group_in_use"


class FileTooLarge(TooLarge):
    """A file is over the limit."""

    code = "file_too_large"


class EntryUnknown(NotFound):
    """No entry of that number in what this caller may see of the ledger."""

    code = "ledger_entry_unknown"


class AlreadyReversed(Conflict):
    """The entry was taken back before."""

    code = "ledger_entry_reversed"


class CorrectionInvalid(InvalidInput):
    """The entry cannot be corrected in this way."""

    code = "correction_invalid"


class PriceListUnknown(NotFound):
    """No price list of that id."""

    code = "price_list_unknown"


class PriceListInvalid(InvalidInput):
    """The prices cannot be used as they are; `errors` says for each field what to do."""

    code = "price_list_invalid"


class EnergyInvalid(InvalidInput):
    """The energy factors cannot be used as they are."""

    code = "energy_factors_invalid"


class TariffInvalid(InvalidInput):
    """The tariff cannot be used as it is."""

    code = "tariff_invalid"


class VersionTaken(Conflict):
    """There is a version from that very moment, or usage after it was posted already."""

    code = "version_conflict"


class StatementUnknown(NotFound):
    """No statement of that period between those two for this caller."""

    code = "statement_unknown"


class PeriodNotClosable(Conflict):
    """The period has not ended, an earlier one is open, it is closed already, or usage of it is not posted yet."""

    code = "period_not_closable"


class InventoryInvalid(InvalidInput):
    """What is said of a centre or a link cannot be used as it is; `errors` says for each field what to do."""

    code = "inventory_invalid"


class LinkUnknown(NotFound):
    """No link between those two centres."""

    code = "link_unknown"


class SimulationInvalid(InvalidInput):
    """What is to be simulated cannot be used as it is; `errors` says for each field what to do."""

    code = "simulation_invalid"


class SimulationUnknown(NotFound):
    """No simulation of that id."""

    code = "simulation_unknown"


class SimulationNotReady(Conflict):
    """The simulation has no result."""

    code = "simulation_not_ready"


class NetworkInvalid(InvalidInput):
    """A window, a rule or a place in a list cannot be used as it is; `errors` says for each field what to do."""

    code = "network_invalid"


class WindowUnknown(NotFound):
    """No window of that id on that link."""

    code = "link_window_unknown"


class ReplicaUnknown(NotFound):
    """No copy of that version is registered at that centre."""

    code = "replica_unknown"


class RuleUnknown(NotFound):
    """The data set has no rule of its own."""

    code = "data_rule_unknown"


class RuleNotPermitted(NotPermitted):
    """The data set belongs to others, or its class leaves its rule to operators."""

    code = "data_rule_not_permitted"


class DatasetNotReadable(NotFound):
    """No such data set or version for this caller."""

    code = "dataset_not_readable"


class TransferUnknown(NotFound):
    """No transfer of that id for this caller."""

    code = "transfer_unknown"


class TransferEnded(Conflict):
    """The transfer is not on its way: it was cancelled, has failed or is done."""

    code = "transfer_ended"


class DataStays(Conflict):
    """The data may not go to this centre."""

    code = "data_stays"


class VersionGone(NotFound):
    """The version can no longer be read by the organisation whose job needs it."""

    code = "version_gone"
