"""The Helm chart, rendered by Helm's own code and judged by the schemas of Kubernetes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml
from industry_brain.deployment import SECRET_SETTINGS, setting_names
from industry_brain.processes import GATEWAY, PROCESSES, called_services

CHART = Path(__file__).parents[3] / "deploy/helm/industry-brain"
NEEDED = {
    "eventsUrl": "kafka://kafka:9092",
    "secrets": {"databaseUrl": "postgresql://b:pw-1@db/{service}", "objectsUrl": "s3://a:pw-2@s3:1/x"},
}
EVERYTHING = NEEDED | {
    "ingress": {"enabled": True, "tlsSecret": "tls", "className": "nginx", "annotations": {"a": "b"}},
    "monitoring": {"enabled": True, "dashboards": True, "operatorKeySecret": "key", "labels": {"release": "p"}},
    "image": {"pullSecrets": [{"name": "registry"}]},
    "settings": {"BRAIN_LOG_LEVEL": "DEBUG", "BRAIN_ACCESS_LOG": True},
    "processes": {"data-hub": {"replicas": 0, "nodeSelector": {"disk": "fast"}}},
}


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Every object that the chart makes."""
    with helm_python.Chart.load(str(CHART)) as chart:
        texts = chart.render(values, name="brain", namespace="ns", revision=3, is_install=True)
    found: list[dict[str, Any]] = []
    for name, text in texts.items():
        if name.endswith(".yaml"):
            found += [item for item in yaml.safe_load_all(text) if item]
    return found


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """Objects of a kind by name."""
    return {item["metadata"]["name"]: item for item in objects if item["kind"] == kind}


@pytest.mark.parametrize("values", [NEEDED, EVERYTHING, NEEDED | {"secrets": {"existing": "mine"}}])
@pytest.mark.parametrize("version", ["1.29", "1.36"])
def test_every_object_fits_the_schemas_of_kubernetes(values: dict[str, Any], version: str) -> None:
    """Strictly: an unknown field is refused. Resources of the Prometheus operator are not Kubernetes' own."""
    own = [item for item in rendered(values) if not item["apiVersion"].startswith("monitoring.coreos.com/")]

    for item in own:
        kubernetes_validate.validate(item, version, strict=True)
    assert len(own) > 2 * len(PROCESSES)


def test_helm_finds_nothing_wrong() -> None:
    """`helm lint --strict`; a missing icon is advice."""
    report = helm_python.lint(str(CHART), EVERYTHING, strict=True)

    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] > 1] == []


def test_deployments_and_services_are_the_processes_of_the_platform() -> None:
    """One Deployment and one Service each; only those that others call get an address."""
    objects = rendered(EVERYTHING)
    deployments, services = of_kind(objects, "Deployment"), of_kind(objects, "Service")

    assert set(deployments) == set(services) == {f"brain-{process.name}" for process in PROCESSES}
    for process in PROCESSES:
        spec = deployments[f"brain-{process.name}"]["spec"]
        container = spec["template"]["spec"]["containers"][0]
        assert container["args"] == ["service", *process.arguments("0.0.0.0", 8080)]
        assert container["ports"] == [{"name": "http", "containerPort": 8080}]
        assert (services[f"brain-{process.name}"]["spec"].get("clusterIP") == "None") is not process.is_called
    assert deployments["brain-data-hub"]["spec"]["replicas"] == 0
    assert deployments["brain-data-hub"]["spec"]["template"]["spec"]["nodeSelector"] == {"disk": "fast"}
    assert deployments["brain-identity"]["spec"]["replicas"] == 1


def test_every_pod_has_probes_limits_and_no_rights() -> None:
    """Probes, memory limit, requests; not root, no capabilities, read-only, no token of the cluster."""
    objects = rendered(NEEDED)
    pods = {name: item["spec"]["template"]["spec"] for name, item in of_kind(objects, "Deployment").items()}
    pods |= {name: item["spec"]["template"]["spec"] for name, item in of_kind(objects, "Job").items()}

    for name, pod in pods.items():
        container = pod["containers"][0]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        if "prepare" not in name:
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()


def test_settings_exist_and_passwords_stand_in_the_secret_only() -> None:
    """Names of settings are those of the code; no password in a pod's description."""
    objects = rendered(EVERYTHING)
    pod = of_kind(objects, "Deployment")[f"brain-{GATEWAY}"]["spec"]["template"]["spec"]
    environment = {item["name"]: item for item in pod["containers"][0]["env"]}

    assert set(environment) <= set(setting_names())
    assert json.loads(environment["BRAIN_SERVICES"]["value"]) == {
        name: f"http://brain-{name}:8080" for name in called_services()
    }
    assert environment["BRAIN_ACCESS_LOG"]["value"] == "true"
    for name in SECRET_SETTINGS:
        assert environment[name]["valueFrom"]["secretKeyRef"] == {"name": "brain-secrets", "key": name}
    secret = of_kind(objects, "Secret")["brain-secrets"]["stringData"]
    assert set(secret) == set(SECRET_SETTINGS)
    assert len(secret["BRAIN_SERVICE_SECRET"]) >= 32
    others = json.dumps([item for item in objects if item["kind"] != "Secret"])
    assert "pw-1" not in others
    assert "pw-2" not in others


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"settings": {"BRAIN_LOG_LEVLE": "DEBUG"}}, "BRAIN_LOG_LEVLE"),
        ({"settings": {"BRAIN_DATABASE_URL": "postgresql://x"}}, "BRAIN_DATABASE_URL"),
        ({"processes": {"data-hubb": {"replicas": 2}}}, "data-hubb"),
        ({"processes": {"data-hub": {"replicas": -1}}}, "replicas"),
        ({"eventsUrl": "local:"}, "eventsUrl"),
    ],
)
def test_wrong_values_are_refused_by_name(values: dict[str, Any], words: str) -> None:
    """A misspelt setting or process, a secret among plain settings, an event log that is none."""
    with helm_python.Chart.load(str(CHART)) as chart, pytest.raises(helm_python.HelmError, match=words):
        chart.validate_schema(NEEDED | values)


def test_missing_addresses_stop_the_installation() -> None:
    """The message says which value is needed."""
    with pytest.raises(helm_python.HelmError, match=r"secrets\.databaseUrl"):
        rendered({"eventsUrl": "kafka://k:9092"})


def test_only_the_gateway_is_open_to_others() -> None:
    """Everything else accepts the platform's own pods and Prometheus."""
    policies = of_kind(rendered(NEEDED), "NetworkPolicy")

    assert set(policies) == {"brain-inner", "brain-gateway"}
    assert "from" not in policies["brain-gateway"]["spec"]["ingress"][0]
    assert policies["brain-gateway"]["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == GATEWAY
    assert len(policies["brain-inner"]["spec"]["ingress"][0]["from"]) == 2
