"""Every setting has a meaning, and the page of settings says what the code says."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from brain_kit.settings import PlatformSettings
from industry_brain.reference import settings_page
from industry_brain.wiring import SERVICES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("package", ["brain_kit", *SERVICES.values()])
def test_every_setting_says_what_it_does(package: str) -> None:
    """A field without a description cannot be documented."""
    settings = PlatformSettings if package == "brain_kit" else importlib.import_module(f"{package}.settings").Settings

    assert [name for name, field in settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("package", SERVICES.values())
def test_a_services_own_settings_carry_its_name(package: str) -> None:
    """So that two services never read one variable in two ways."""
    settings = importlib.import_module(f"{package}.settings").Settings
    own = set(settings.model_fields) - set(PlatformSettings.model_fields)

    assert [name for name in sorted(own) if not name.startswith(f"{package}_")] == []


def test_the_settings_page_is_what_the_code_says() -> None:
    """`make docs` writes it anew."""
    assert (ROOT / "docs/settings.md").read_text(encoding="utf-8") == settings_page()
