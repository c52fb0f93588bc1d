"""The loader that `docker compose` itself uses, to judge a compose file where there is no Docker."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from brain_testing.servers.debian import MissingServer, run_quietly
from brain_testing.servers.packages import cached

COMPOSE_GO_VERSION = "v2.9.1"


def ensure_compose_loader() -> Path:
    """The loader's program, built once from its Go module. Raises MissingServer."""
    return cached(f"compose-go-{COMPOSE_GO_VERSION}", _build) / "cmd"


def load_compose(path: Path) -> dict[str, Any]:
    """The normalised model of a compose file without variables. Raises ValueError with what the loader refuses."""
    command = [str(ensure_compose_loader()), "-format", "json", "-no-path-resolution", path.name]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip() or done.stdout.strip())
    model: dict[str, Any] = json.loads(done.stdout)
    return model


def _build(target: Path) -> None:
    if shutil.which("go") is None:
        raise MissingServer("`go` is missing; install Go 1.25 or newer, to build the loader of compose files")
    module = f"github.com/compose-spec/compose-go/v2/cmd@{COMPOSE_GO_VERSION}"
    run_quietly(["go", "install", module], cwd=target, env={**os.environ, "GOBIN": str(target)})
