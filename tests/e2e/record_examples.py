"""`make examples`: plays the examples on a fresh platform and writes down what it answers.

New answers are looked at before they are committed: they become the documentation and what a test compares with.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from brain_kit.openapi.examples import load_examples
from brain_testing.process import PlatformProcess
from industry_brain.apiclient import ApiClient
from industry_brain.demo import load
from industry_brain.wiring import SERVICES

from tests.e2e.played import Played, Stage

FEWEST_ITEMS, MOST_ITEMS = 2, 4
MOST_TEXT = 600
ENTERPRISES = 60
# What is computed by itself after a commit is not shown by any example, and takes a minute of two cores.
ENVIRONMENT = {"BRAIN_EVALUATION_KEPT_MONTHS": "1"}
HIDDEN = {"access_token", "refresh_token"}


def stage_of(running: PlatformProcess) -> Stage:
    """A stage on a started platform, with the demonstration loaded and the callers made."""
    key = json.loads((running.home / "first-credentials.json").read_text(encoding="utf-8"))["operator"]["api_key"]
    load(ApiClient(running.url, key), running.home, enterprises=ENTERPRISES)
    stage = Stage(running.url, running.home)
    stage.cast()
    return stage


def shortened(value: Any, name: str = "") -> Any:
    """An answer as it is shown: arrays keep the items that show something new, secrets are not secret any more."""
    if isinstance(value, dict):
        return {key: shortened(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [shortened(item) for item in _telling(value)]
    if name in HIDDEN:
        return "eyJ…" if name == "access_token" else "brt_…"
    if name == "key" and isinstance(value, str) and value.startswith("bk_"):
        return value[:16] + "x" * 43
    if name == "path" and isinstance(value, str) and value.startswith(tempfile.gettempdir()):
        return "/var/lib/brain"
    return value


def _telling(items: list[Any]) -> list[Any]:
    kept: list[Any] = []
    known: set[tuple[str, str]] = set()
    for item in items:
        shape = set(_shape(item, ""))
        if len(kept) < FEWEST_ITEMS or (not shape <= known and len(kept) < MOST_ITEMS):
            kept.append(item)
            known |= shape
    return kept


def _shape(value: Any, path: str) -> list[tuple[str, str]]:
    found = [(path, type(value).__name__)]
    if isinstance(value, dict):
        return found + [entry for key, item in value.items() for entry in _shape(item, f"{path}.{key}")]
    if isinstance(value, list):
        return found + [entry for item in value for entry in _shape(item, f"{path}[]")]
    return found


def record(played: list[Played], packages: list[str]) -> list[str]:
    """Writes the answers into the files; returns what did not answer as it should."""
    wrong = []
    for item in played:
        example, answer = item.example, item.answer
        if answer.status != example["status"] or (example.get("media") and answer.media != example["media"]):
            wrong.append(f"{item.operation}:{item.name} {answer.status} {answer.media} {answer.content[:700].decode()}")
            continue
        for part in ("path", "query", "headers", "body"):
            if any(target.split(".")[0] == part for target in example.get("take", {})):
                example[part] = shortened(item.request[part])
        if example.get("media") == "application/json":
            example["answer"] = shortened(answer.json())
        elif example.get("media", "").startswith("text/") or example.get("media", "").endswith(("yaml", "sql")):
            example["answer"] = answer.content.decode("utf-8-sig")[:MOST_TEXT]
    for package in packages:
        folder = Path(str(importlib.import_module(package).__file__)).parent
        text = json.dumps(load_examples(package), ensure_ascii=False, indent=1)
        (folder / "examples.json").write_text(text + "\n", encoding="utf-8")
    return wrong


def main() -> int:
    """Records every service's examples, or those of the packages named."""
    packages = sys.argv[1:] or [name.replace("-", "_") for name in SERVICES]
    packages = [name for name in packages if load_examples(name)["examples"]]
    with tempfile.TemporaryDirectory() as folder, PlatformProcess(Path(folder), env=ENVIRONMENT) as running:
        wrong = record(stage_of(running).play_all(), packages)
    for line in wrong:
        print(line)  # noqa: T201 - the output of a command
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
