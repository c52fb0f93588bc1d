"""The system's Chromium for browser tests and benchmarks, with a font for Chinese text."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from brain_testing.servers.debian import install_packages

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Chromium without its own calls home; without a sandbox, since root and containers cannot make one.
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def ensure_chromium() -> Path:
    """The program, $BRAIN_CHROMIUM or the first on PATH; installs the Debian packages when root.

    Raises MissingServer.
    """
    lacking = [] if _chromium() else ["chromium"]
    if not _has_chinese_font():
        lacking.append("fonts-noto-cjk")
    if lacking:
        install_packages("Chromium with a font for Chinese", lacking)
    found = _chromium()
    if found is None:
        raise RuntimeError("the package chromium is installed, but no program of that name is on PATH")
    return found


def _chromium() -> Path | None:
    named = os.environ.get("BRAIN_CHROMIUM")
    if named:
        return Path(named)
    found = [program for name in PROGRAMS if (program := shutil.which(name))]
    return Path(found[0]) if found else None


def _has_chinese_font() -> bool:
    """Whether fontconfig knows one; a machine without fontconfig has none that Chromium would find."""
    if shutil.which("fc-list") is None:
        return any(Path("/usr/share/fonts").rglob("*CJK*"))
    listed = subprocess.run(["fc-list", ":lang=zh-cn", "file"], capture_output=True, text=True, check=False)
    return bool(listed.stdout.strip())
