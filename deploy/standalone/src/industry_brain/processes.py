"""The processes of a cluster: one list for `brain cluster`, the compose file and the Helm chart."""

from __future__ import annotations

from dataclasses import dataclass

COMMON_ROLES = ("relay", "consumer", "periodic")


@dataclass(frozen=True)
class Process:
    """One process: the service whose code it runs, the worker roles it has, and whether others call it.

    A process that nobody calls still answers health, readiness and metrics.
    """

    name: str
    service: str
    roles: tuple[str, ...] = ()
    is_called: bool = False

    def arguments(self, host: str, port: int) -> list[str]:
        """What comes after `brain service`."""
        roles = ["--roles", ",".join(self.roles)] if self.roles else []
        return [self.service, "--host", host, "--port", str(port), *roles]


GATEWAY = "service-portal"
PROCESSES = (
    Process("identity", "identity", is_called=True),
    Process("identity-worker", "identity", COMMON_ROLES),
    Process("data-hub", "data-hub", is_called=True),
    Process("data-hub-committer", "data-hub", ("committer",)),
    Process("data-hub-worker", "data-hub", COMMON_ROLES),
    Process("compute-scheduler", "compute-scheduler", is_called=True),
    Process("compute-scheduler-worker", "compute-scheduler", ("relay", "scheduler", "agent")),
    Process("algorithm-dev", "algorithm-dev", is_called=True),
    Process("algorithm-dev-worker", "algorithm-dev", COMMON_ROLES),
    Process("government-services", "government-services", is_called=True),
    Process("government-services-worker", "government-services", COMMON_ROLES),
    Process("evaluation", "evaluation", is_called=True),
    Process("evaluation-worker", "evaluation", COMMON_ROLES),
    Process(GATEWAY, GATEWAY, COMMON_ROLES, is_called=True),
)


def called_services() -> tuple[str, ...]:
    """Services behind the gateway that other processes call, in the order of their start."""
    return tuple(process.service for process in PROCESSES if process.is_called and process.service != GATEWAY)
