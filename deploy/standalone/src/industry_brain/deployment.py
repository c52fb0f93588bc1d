"""Writes the files by which a cluster runs in containers, from the list of processes and the settings.

`make docs` runs it; a test compares the files with what it would write.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml
from brain_kit.settings import PlatformSettings

from industry_brain.processes import GATEWAY, PROCESSES, Process, called_services
from industry_brain.wiring import SERVICES

PORT = 8080
# Settings whose values hold passwords: they belong in a Secret, never among the chart's plain settings.
SECRET_SETTINGS = ("BRAIN_DATABASE_URL", "BRAIN_OBJECTS_URL", "BRAIN_SERVICE_SECRET")
# What the chart sets itself.
CHART_SETTINGS = ("BRAIN_HOME", "BRAIN_SERVICES", "BRAIN_EVENTS_URL", "BRAIN_LOG_FORMAT")
COMPOSE_HEAD = Path(__file__).parent / "compose_head.yml"


def setting_names() -> list[str]:
    """Environment variables of all settings, in the order of docs/settings.md."""
    names = list(PlatformSettings.model_fields)
    for package in SERVICES.values():
        own = importlib.import_module(f"{package}.settings").Settings.model_fields
        names += [name for name in own if name not in names]
    return [f"BRAIN_{name.upper()}" for name in names]


def service_addresses() -> str:
    """The value of BRAIN_SERVICES where every service has its own host name."""
    return json.dumps({name: f"http://{name}:{PORT}" for name in called_services()})


def compose_text() -> str:
    """docker-compose.yml: the servers, then one container a process."""
    head = COMPOSE_HEAD.read_text(encoding="utf-8").replace("@SERVICES@", service_addresses())
    return head.replace("@PROCESSES@", "\n".join(_compose_service(process) for process in PROCESSES))


def _compose_service(process: Process) -> str:
    lines = [
        f"  {process.name}:",
        "    <<: *platform",
        f"    command: {json.dumps(['service', *process.arguments('0.0.0.0', PORT)])}",  # noqa: S104 - in its container
    ]
    if process.name == GATEWAY:
        lines.append(f'    ports: ["127.0.0.1:${{BRAIN_PORT:-{PORT}}}:{PORT}"]')
    return "\n".join(lines) + "\n"


def chart_processes_text() -> str:
    """deploy/helm/industry-brain/processes.yaml, which the chart's templates read."""
    listed = [
        {
            "name": process.name,
            "args": ["service", *process.arguments("0.0.0.0", PORT)],  # noqa: S104 - in its pod
            "called": process.is_called,
            "gateway": process.name == GATEWAY,
        }
        for process in PROCESSES
    ]
    head = "# The processes of the platform. Written by `make docs` from industry_brain.processes.\n"
    body = {"port": PORT, "services": list(called_services()), "processes": listed}
    return head + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=160)


def chart_schema_text() -> str:
    """values.schema.json: a misspelt setting or process is refused by `helm install` itself."""
    plain = [name for name in setting_names() if name not in (*SECRET_SETTINGS, *CHART_SETTINGS)]
    override = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "replicas": {"type": "integer", "minimum": 0},
            "resources": {"type": "object"},
            "nodeSelector": {"type": "object"},
            "tolerations": {"type": "array"},
            "affinity": {"type": "object"},
        },
    }
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "description": "Written by `make docs` from the settings and processes of the platform.",
        "type": "object",
        "required": ["eventsUrl"],
        "properties": {
            "eventsUrl": {"type": "string", "pattern": "^kafka://", "description": "BRAIN_EVENTS_URL"},
            "settings": {
                "type": "object",
                "additionalProperties": False,
                "properties": {name: {"type": ["string", "number", "boolean"]} for name in plain},
            },
            "processes": {
                "type": "object",
                "additionalProperties": False,
                "properties": {process.name: override for process in PROCESSES},
            },
        },
    }
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"


def scrape_text() -> str:
    """deploy/prometheus/prometheus.yml: every process of the compose file is scraped."""
    inner = [f"{process.name}:{PORT}" for process in PROCESSES if process.name != GATEWAY]
    body = {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": ["/etc/prometheus/rules.yml"],
        "scrape_configs": [
            {"job_name": "industry-brain", "static_configs": [{"targets": inner}]},
            {
                "job_name": "industry-brain-gateway",
                "authorization": {"credentials_file": "/etc/prometheus/operator-key"},
                "static_configs": [{"targets": [f"{GATEWAY}:{PORT}"]}],
            },
        ],
    }
    head = "# Written by `make docs`. The gateway shows metrics to operators: the file named here holds such a key.\n"
    return head + yaml.safe_dump(body, sort_keys=False)


def files() -> Iterator[tuple[str, str]]:
    """Every written file: its path in the repository and its text."""
    yield "docker-compose.yml", compose_text()
    yield "deploy/helm/industry-brain/processes.yaml", chart_processes_text()
    yield "deploy/helm/industry-brain/values.schema.json", chart_schema_text()
    yield "deploy/prometheus/prometheus.yml", scrape_text()


def main() -> None:
    """Writes the files below the folder given, by default the present one."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for path, text in files():
        (root / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
