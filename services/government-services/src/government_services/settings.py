"""Settings of government-services."""

from __future__ import annotations

from brain_kit.settings import PlatformSettings
from pydantic import Field


class Settings(PlatformSettings):
    """Settings of the government side, environment prefix BRAIN_GOVERNMENT_SERVICES_."""

    government_services_refresh_interval_s: float = Field(
        0.3, gt=0, description="Seconds between looks for parts of a chain that a commit has touched."
    )
    government_services_minimum_group: int = Field(
        3, ge=1, description="Figures over fewer enterprises than this are hidden from callers outside government."
    )
