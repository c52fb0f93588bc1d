"""A real control plane with two nodes, and centres whose jobs run there, each in a namespace of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from brain_testing.servers import kubernetes as servers
from compute_scheduler.engine import rules
from compute_scheduler.engine.kubernetes import Kubernetes
from compute_scheduler.engine.kubernetes_jobs import JobOptions
from compute_scheduler.engine.kubernetes_reading import ATTEMPT

from tests.compute_scheduler.clusters import TIMES, ClusterCentre
from tests.compute_scheduler.yard import Yard

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
RIGHTS = ROOT / "deploy/kubernetes/agent.yaml"
SERIALS = itertools.count(1)


class Space:
    """A namespace with the centre whose jobs run in it; its agent has the rights of `deploy/kubernetes/agent.yaml`."""

    def __init__(
        self, yard: Yard, server: servers.Kubernetes, folder: Path, times: rules.Times, **options: Any
    ) -> None:
        self.yard, self.server = yard, server
        self.name, self.token = permitted(server, folder)
        self.options = replace(JobOptions(self.name, "unused.example/job:1", evict_s=1), **options)
        self.centre = ClusterCentre(yard, f"kube-{next(SERIALS)}", folder, self.client, times)

    def client(self, url: str = "", **options: Any) -> Kubernetes:
        """A client of the cluster as the agent makes it."""
        return Kubernetes(
            url or self.server.url, self.token, self.options, None if url else self.server.ca_file, **options
        )

    def path(self, kind: str = "jobs", name: str = "") -> str:
        """The address of Jobs, or of a core kind such as pods."""
        group = "/apis/batch/v1" if kind == "jobs" else "/api/v1"
        return f"{group}/namespaces/{self.name}/{kind}" + (f"/{name}" if name else "")

    def items(self, kind: str = "jobs") -> list[Json]:
        """Jobs, pods or events of the namespace."""
        found: list[Json] = self.server.call("GET", self.path(kind))["items"]
        return found

    def of(self, job_id: str) -> list[Json]:
        """Jobs of Kubernetes that say that they are a job of ours."""
        return [
            item
            for item in self.items()
            if item["metadata"].get("labels", {}).get(ATTEMPT, "").startswith(f"{job_id}.")
        ]


@contextmanager
def space(
    yard: Yard, server: servers.Kubernetes, folder: Path, times: rules.Times = TIMES, **options: Any
) -> Iterator[Space]:
    """A namespace for a test; it is left behind, for removing one takes seconds."""
    made = Space(yard, server, folder, times, **options)
    try:
        yield made
    finally:
        made.centre.stop()


def permitted(server: servers.Kubernetes, folder: Path) -> tuple[str, Path]:
    """A fresh namespace, and the file with the token of the agent that may work there."""
    name, token = server.namespace("centre"), folder / "token"
    _grant(server, name)
    token.write_text(server.token_of(name, "brain-agent"))
    return name, token


def _grant(server: servers.Kubernetes, namespace: str) -> None:
    text = RIGHTS.read_text(encoding="utf-8").replace("brain-jobs", namespace)
    places = {
        "ServiceAccount": f"/api/v1/namespaces/{namespace}/serviceaccounts",
        "Role": f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
        "RoleBinding": f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
        "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    }
    for document in yaml.safe_load_all(text):
        if document["kind"] != "Namespace":
            server.call("POST", places[document["kind"]], document)
