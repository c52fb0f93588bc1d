"""docker-compose.yml: what can be proved without Docker, by the loader of `docker compose` and by the code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from brain_testing.servers.compose import load_compose
from brain_testing.servers.packages import KAFKA_VERSION, VERSITYGW_VERSION
from industry_brain.deployment import setting_names
from industry_brain.processes import GATEWAY, PROCESSES, called_services

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_0-9]+)(?::[?-](?P<rest>[^}]*))?\}")
SERVERS = {"postgres", "kafka", "s3"}
MONITORING = {"prometheus", "grafana"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The model as Docker would have it, with a value for every variable."""
    path = tmp_path_factory.mktemp("compose") / "docker-compose.yml"
    path.write_text(VARIABLE.sub(lambda found: "8081" if "PORT" in found["name"] else "given", TEXT), encoding="utf-8")
    return load_compose(path)


def test_every_process_has_a_container_that_runs_it(model: dict[str, Any]) -> None:
    """Exactly the processes of `brain cluster`, a preparation, the servers and the monitoring."""
    services = model["services"]

    assert set(services) == {process.name for process in PROCESSES} | {"prepare"} | SERVERS | MONITORING
    for process in PROCESSES:
        assert services[process.name]["command"] == ["service", *process.arguments("0.0.0.0", 8080)]
        assert services[process.name]["depends_on"]["prepare"]["condition"] == "service_completed_successfully"


def test_every_setting_exists_and_every_address_is_a_container(model: dict[str, Any]) -> None:
    """Names of settings are those of the code; host names and ports are those of the other containers."""
    environment = model["services"]["identity"]["environment"]

    assert set(environment) <= set(setting_names())
    assert json.loads(environment["BRAIN_SERVICES"]) == {name: f"http://{name}:8080" for name in called_services()}
    found = {match[1]: match[2] for match in re.finditer(r"(?:@|//)([a-z0-9]+):(\d+)", json.dumps(environment))}
    assert {host: port for host, port in found.items() if host in SERVERS} == {
        "postgres": "5432",
        "kafka": "9092",
        "s3": "7070",
    }
    assert ":7070" in model["services"]["s3"]["command"]
    assert "//kafka:9092" in model["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_containers_of_the_platform_have_no_rights_they_do_not_need(model: dict[str, Any]) -> None:
    """Read-only file system, no capabilities, no new privileges."""
    for process in PROCESSES:
        service = model["services"][process.name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_images_are_pinned_and_servers_are_the_tested_ones(model: dict[str, Any]) -> None:
    """A tag on every image of others; the broker and the object store of the tests."""
    images = {name: service["image"] for name, service in model["services"].items() if "image" in service}

    assert images["kafka"] == f"apache/kafka:{KAFKA_VERSION}"
    assert images["s3"] == f"versity/versitygw:{VERSITYGW_VERSION}"
    assert all(re.search(r":[v\d][\d.]*$", images[name]) for name in SERVERS | MONITORING)


def test_no_secret_has_a_default_and_nothing_listens_beyond_loopback(model: dict[str, Any]) -> None:
    """The start fails without the secrets; published ports bind 127.0.0.1."""
    for secret in ("BRAIN_DB_PASSWORD", "BRAIN_S3_SECRET", "BRAIN_SERVICE_SECRET"):
        uses = re.findall(r"\$\{" + secret + r"([^}]*)\}", TEXT)
        assert uses
        assert all(use.startswith(":?") for use in uses)
    ports = {name: service["ports"] for name, service in model["services"].items() if service.get("ports")}
    assert set(ports) == {GATEWAY, "grafana"}
    assert {port["host_ip"] for listed in ports.values() for port in listed} == {"127.0.0.1"}


def test_mounted_files_exist() -> None:
    """Everything that a container reads from the repository is in it."""
    for service in yaml.safe_load(TEXT)["services"].values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert not source.startswith("./") or (ROOT / source).exists()
        if "build" in service:
            assert (ROOT / service["build"]["dockerfile"]).exists()
