"""docker-compose.yml: what can be proved without Docker."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from brain_testing.servers.packages import KAFKA_VERSION, VERSITYGW_VERSION

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "docker-compose.yml"
# The top-level service keys of the Compose specification that we use.
KNOWN = {
    "build", "command", "depends_on", "environment", "healthcheck", "image", "ports", "restart",
    "stop_grace_period", "volumes",
}  # fmt: skip


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file as YAML."""
    return dict(yaml.safe_load(COMPOSE.read_text()))


def test_every_service_uses_known_keys_and_declared_names(compose: dict[str, Any]) -> None:
    """References to services and volumes exist, and each service has an image or a build."""
    services, volumes = compose["services"], compose["volumes"]

    for service in services.values():
        assert set(service) <= KNOWN
        assert ("image" in service) != ("build" in service)
        assert set(service.get("depends_on", {})) <= set(services)
        assert {mount.partition(":")[0] for mount in service.get("volumes", [])} <= set(volumes)


def test_addresses_of_the_platform_are_services_and_their_ports(compose: dict[str, Any]) -> None:
    """Host names are service names; the ports are those the servers listen on."""
    services = compose["services"]
    environment = services["platform"]["environment"]
    hosts = {name: re.search(r"(?:@|//)([a-z0-9]+):(\d+)", url) for name, url in environment.items()}
    found = {match[1]: match[2] for match in hosts.values() if match}

    assert found == {"postgres": "5432", "kafka": "9092", "s3": "7070"}
    assert ":7070" in services["s3"]["command"]
    assert "//kafka:9092" in services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_servers_are_those_the_tests_run_on(compose: dict[str, Any]) -> None:
    """The versions of the brokers are the tested ones, and every image is pinned."""
    images = [service["image"] for service in compose["services"].values() if "image" in service]

    assert f"apache/kafka:{KAFKA_VERSION}" in images
    assert f"versity/versitygw:{VERSITYGW_VERSION}" in images
    assert all(re.search(r":[v\d][\d.]*$", image) for image in images)


def test_no_secret_has_a_default_and_nothing_listens_beyond_loopback(compose: dict[str, Any]) -> None:
    """Secrets come from the environment or the start fails; published ports bind 127.0.0.1."""
    text = COMPOSE.read_text()

    for secret in ("BRAIN_DB_PASSWORD", "BRAIN_S3_SECRET"):
        uses = re.findall(r"\$\{" + secret + r"([^}]*)\}", text)
        assert len(uses) == 2
        assert all(use.startswith(":?") for use in uses)
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
