"""Writes docs/settings.md: every setting with its environment variable, default and meaning."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from brain_kit.settings import PlatformSettings
from pydantic_core import PydanticUndefined

from industry_brain.wiring import SERVICES

HEADING = """# 设置 Settings

Environment variables of the platform and of each service. Written by `make docs`; a test compares it with the code.
"""


def settings_page() -> str:
    """The page as Markdown."""
    parts = [HEADING, _table("platform", PlatformSettings, set())]
    common = set(PlatformSettings.model_fields)
    for name, package in SERVICES.items():
        parts.append(_table(name, importlib.import_module(f"{package}.settings").Settings, common))
    return "\n".join(parts)


def _table(name: str, settings: type[PlatformSettings], leave_out: set[str]) -> str:
    lines = [f"## {name}", "", "| variable | default | meaning |", "| --- | --- | --- |"]
    for field, info in settings.model_fields.items():
        if field not in leave_out:
            default = "" if info.default is PydanticUndefined or info.default_factory else f"`{info.default}`"
            lines.append(f"| `BRAIN_{field.upper()}` | {default} | {info.description or ''} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Writes the page to the path given."""
    Path(sys.argv[1]).write_text(settings_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
