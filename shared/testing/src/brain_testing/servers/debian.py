"""Programs that come as Debian packages: installed when this process may, named precisely when it may not."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


class MissingServer(RuntimeError):
    """A program that tests need is not installed and could not be; the text says what to install."""


def install_packages(what: str, packages: Sequence[str]) -> None:
    """Installs packages by apt as root. Raises MissingServer that says why it cannot and what to do instead."""
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise MissingServer(f"{what} is missing and there is no apt-get here: install what Debian calls {names}")
    if os.geteuid() != 0:
        raise MissingServer(f"{what} is missing and this is not root: run `sudo apt-get install {names}`, then again")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        run_quietly(["apt-get", "update", "-q"], cwd=Path("/"), env=env)
        run_quietly(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages], cwd=Path("/"), env=env)
    except RuntimeError as error:
        raise MissingServer(f"{what} is missing and `apt-get install {names}` failed: {error}") from error


def run_quietly(command: list[str], *, cwd: Path, env: dict[str, str] | None = None, timeout_s: float = 900) -> None:
    """Run a command to its end. Raises RuntimeError with the end of its output when it fails."""
    done = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
    )
    if done.returncode:
        tail = (done.stdout + done.stderr).decode(errors="replace")[-3000:]
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{tail}")
