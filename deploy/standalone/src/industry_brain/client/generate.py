"""Writes the package `brain-client` from the merged document: the same document gives the same files, byte for byte.

`python -m industry_brain.client.generate FOLDER` builds every service in a temporary home to get the document;
`--document FILE` takes it from a file, such as a running platform's `/openapi.json`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from industry_brain.client import runtime
from industry_brain.client.operations import Method, constants, read_operation, service_class
from industry_brain.client.runtime import errors
from industry_brain.client.typing import Types, type_name

RUNTIME = Path(str(runtime.__file__)).parent
VERSION = "0.1.0"
PROJECT = f"""[project]
name = "brain-client"
version = "{VERSION}"
description = "Typed client of the Industry Brain platform, synchronous and asynchronous."
requires-python = ">=3.11"
license = "Apache-2.0"
dependencies = ["aiohttp", "urllib3"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["brain_client"]
"""
CLIENTS = ("AsyncBrain", "Brain")
ERRORS = tuple(
    sorted(
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.BrainError)
    )
)
HEAD = '''"""{text} Generated from the platform's OpenAPI document; do not edit."""

from __future__ import annotations

'''
CLIENT = '''class {name}:
    """The platform at an address, with one API key or access token.

    timeout_s: longest silence of an answer. Calls are tried again only where that cannot do anything twice.
    """

    def __init__(self, url: str, key: str | None = None, *, timeout_s: float = 300.0{more}) -> None:
        self.connection = {connection}(url, key, timeout_s{given})
{services}
{waiting}
    {define} {close}(self) -> None:
        """Ends the connections."""
        {wait}self.connection.close()

    {define} __{enter}__(self) -> Self:
        return self

    {define} __{exit}__(self, *_: object) -> None:
        {wait}self.{close}()
'''
WAIT = '''
    {define} wait_for_{noun}(self, {noun}_id: str, *, timeout_s: float = 300.0) -> {answer}:
        """{text} Raises WaitedTooLong."""
        return {wait}{until}(
            f"{noun} {{{noun}_id}}",
            lambda: self.{service}.{read},
            lambda found: found["state"] in {final!r},
            timeout_s=timeout_s,
            pause_s={pause},
        )
'''
WAITS: dict[str, dict[str, Any]] = {
    "data_hub.read_push": {
        "noun": "push", "service": "data_hub", "read": "read_push(push_id, wait=min(timeout_s, 30))", "pause": 0.2,
        "final": ("committed", "refused"),
        "text": "The receipt of a push when its rows can be queried, or all were refused.",
    },
    "compute_scheduler.get_job": {
        "noun": "job", "service": "compute_scheduler", "read": "get_job(job_id)", "pause": 1.0,
        "final": ("succeeded", "failed", "cancelled"), "text": "A job when it has ended.",
    },
}  # fmt: skip


def generate(document: dict[str, Any], folder: Path) -> list[str]:
    """Writes the package into the folder, which is emptied first; returns the ids of the operations written."""
    shutil.rmtree(folder, ignore_errors=True)
    package = folder / "brain_client"
    package.mkdir(parents=True)
    for source in sorted(RUNTIME.glob("*.py")):
        text = source.read_text(encoding="utf-8").replace("industry_brain.client.runtime", "brain_client")
        (package / source.name).write_text(text, encoding="utf-8")
    services: dict[str, list[Method]] = {}
    for prefix, operations in _by_service(document).items():
        types = Types(prefix, document["components"]["schemas"])
        services[prefix] = [read_operation(types, *operation, document) for operation in operations]
        (package / f"{prefix}.py").write_text(_service_module(prefix, services[prefix], types), encoding="utf-8")
    (package / "platform.py").write_text(_platform_module(services), encoding="utf-8")
    (package / "__init__.py").write_text(_package_module(), encoding="utf-8")
    (package / "py.typed").write_text("", encoding="utf-8")
    (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    return [method.operation for methods in services.values() for method in methods]


def _by_service(document: dict[str, Any]) -> dict[str, list[tuple[str, str, dict[str, Any]]]]:
    found: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, operations in sorted(document["paths"].items()):
        for verb, operation in sorted(operations.items()):
            found.setdefault(operation["operationId"].partition(".")[0], []).append((verb.upper(), path, operation))
    return dict(sorted(found.items()))


def _service_module(prefix: str, methods: list[Method], types: Types) -> str:
    name = type_name(prefix)
    parts = [
        HEAD.format(text=f"Calls and types of {prefix}."),
        "from collections.abc import AsyncIterator, Iterator\n"
        "from typing import Any, Literal, NotRequired, TypedDict, cast\n\n"
        "from brain_client.async_connection import AsyncConnection, AsyncDownload, async_pages\n"
        "from brain_client.connection import Connection, Download, pages\n"
        "from brain_client.requests import Content, Operation, new_idempotency_key, prepare\n\n",
        constants(methods),
        "".join(f"\n\n{source}" for source in types.sources.values()),
        f"\n\n{service_class(name, methods, is_async=False)}",
        f"\n\n{service_class('Async' + name, methods, is_async=True)}",
    ]
    return "".join(parts)


def _platform_module(services: dict[str, list[Method]]) -> str:
    lines = [HEAD.format(text="The clients of the whole platform."), "from typing import Self\n\n"]
    lines.append("from brain_client.async_connection import AsyncConnection, async_wait_until\n")
    lines.append("from brain_client.connection import Connection, wait_until\n")
    lines += [
        f"from brain_client import {prefix} as {prefix}_calls\n" for prefix in services
    ]  # fmt: skip
    for is_async in (False, True):
        lines.append("\n\n" + _client_class(services, is_async=is_async))
    return "".join(lines)


def _client_class(services: dict[str, list[Method]], *, is_async: bool) -> str:
    variant = "Async" if is_async else ""
    words = {
        "name": f"{variant}Brain",
        "connection": f"{variant}Connection",
        "more": ", connections: int = 32" if is_async else "",
        "given": ", connections" if is_async else "",
        "define": "async def" if is_async else "def",
        "wait": "await " if is_async else "",
        "close": "aclose" if is_async else "close",
        "enter": "aenter" if is_async else "enter",
        "exit": "aexit" if is_async else "exit",
        "until": "async_wait_until" if is_async else "wait_until",
    }
    members = [
        f"        self.{prefix} = {prefix}_calls.{variant}{type_name(prefix)}(self.connection)" for prefix in services
    ]
    methods = {method.operation: method for found in services.values() for method in found}
    waits = [
        WAIT.format(**words, **given, answer=f"{given['service']}_calls.{methods[operation].answer}")
        for operation, given in WAITS.items()
        if operation in methods
    ]
    return CLIENT.format(services="\n".join(members), waiting="".join(waits), **words)


def _package_module() -> str:
    listed = "".join(f"    {name!r},\n" for name in sorted([*CLIENTS, *ERRORS, "AsyncDownload", "Download"]))
    return (
        '"""Typed client of the Industry Brain platform: `Brain` waits for each answer, `AsyncBrain` does not."""\n\n'
        "from brain_client.async_connection import AsyncDownload\n"
        "from brain_client.connection import Download\n"
        f"from brain_client.errors import {', '.join(ERRORS)}\n"
        f"from brain_client.platform import {', '.join(CLIENTS)}\n\n"
        f'__version__ = "{VERSION}"\n'
        f"__all__ = [\n{listed}]\n"
    )


def document_of_code() -> dict[str, Any]:
    """The merged document of the services as they are in this environment, without starting a server."""
    from brain_kit.service import Platform
    from brain_kit.settings import PlatformSettings
    from service_portal.service.document import merged

    from industry_brain.wiring import SERVICES, build_service

    with tempfile.TemporaryDirectory() as home:
        platform = Platform(PlatformSettings(home=Path(home), log_level="ERROR"))
        try:
            for name in SERVICES:
                build_service(platform, name)
            document, is_whole = merged(platform, timeout_s=300)
        finally:
            platform.close()
    if not is_whole:
        raise RuntimeError("a service gave no document")
    return document


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--document", type=Path)
    given = parser.parse_args()
    document = json.loads(given.document.read_text(encoding="utf-8")) if given.document else document_of_code()
    print(f"{given.folder}: {len(generate(document, given.folder))} operations")  # noqa: T201 - output of a command


if __name__ == "__main__":
    main()
