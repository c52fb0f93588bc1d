"""Settings of identity."""

from __future__ import annotations

from brain_kit.settings import PlatformSettings
from pydantic import Field


class Settings(PlatformSettings):
    """Settings of identity, environment prefix BRAIN_IDENTITY_."""

    identity_operator_name: str = Field("产业大脑运营方", description="Name of the operator made at the first start.")
    identity_operator_region: str = Field(
        "370000", description="GB/T 2260 code of the operator made at the first start."
    )
    identity_refresh_days: int = Field(14, ge=1, le=90, description="Days that a sign-in lasts without being used.")
    identity_key_rotation_days: int = Field(30, ge=1, description="Days after which a new key signs tokens.")
