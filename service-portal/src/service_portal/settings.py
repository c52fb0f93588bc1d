"""Settings of service-portal: the gateway and the portal."""

from __future__ import annotations

from pathlib import Path

from brain_kit.settings import PlatformSettings
from pydantic import Field

GIB = 1 << 30


class Settings(PlatformSettings):
    """Settings of the gateway, environment prefix BRAIN_SERVICE_PORTAL_."""

    service_portal_body_limit_bytes: int = Field(
        16 << 20, ge=1024, description="Largest request body in bytes, except of pushes and files."
    )
    service_portal_push_limit_bytes: int = Field(
        4 * GIB, ge=1024, description="Largest body of a push or a file in bytes."
    )
    service_portal_credential_age_s: float = Field(
        5.0, gt=0, le=60, description="Seconds after which a key that is in use is looked up again."
    )
    service_portal_upstream_timeout_s: float = Field(
        300.0, gt=0, description="Seconds that a service in another process may be silent before the gateway gives up."
    )
    service_portal_settle_s: float = Field(
        2.0, gt=0, description="Seconds between writing usage and audit records to the database."
    )
    service_portal_borders: Path | None = Field(
        None, description="GeoJSON with approved borders for maps; the shipped ones are a sketch of Shandong's cities."
    )
