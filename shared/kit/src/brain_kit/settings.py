"""Settings of the platform: every part is chosen by URL, never by a code path in a service."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

SECRET_FILE = "service-secret"  # noqa: S105 - the name of a file


class PlatformSettings(BaseSettings):
    """What all services share; environment variables start with BRAIN_."""

    model_config = SettingsConfigDict(env_prefix="BRAIN_", extra="ignore", frozen=True)

    home: Path = Field(Path("./brain-data"), description="Folder of data, keys, spools and caches.")
    database_url: str = Field(
        "",
        description="Empty: one SQLite file a service in the home folder. Else "
        "postgresql://user@host:port/{service}, where {service} becomes the service's name.",
    )
    events_url: str = Field("local:", description="`local:` reads the outbox tables; kafka://host:port uses Kafka.")
    events_partitions: int = Field(3, ge=1, le=100, description="Partitions of a Kafka topic when it is made.")
    events_retention_days: float = Field(7.0, gt=0, description="Days that handled events stay in the outbox.")
    objects_url: str = Field(
        "",
        description="Empty: the folder objects/ in the home folder. Else "
        "s3://ACCESS:SECRET@host:port/bucket?region=us-east-1&secure=false.",
    )
    services: dict[str, str] = Field(
        {}, description="JSON object of service name to base URL; a service not named runs in this process."
    )
    service_secret: SecretStr = Field(
        SecretStr(""),
        description="Secret by which services get their tokens. Empty: made once and kept in home/service-secret.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    log_format: Literal["console", "json"] = Field("console", description="Form of log lines.")
    access_log: bool = Field(False, description="Log every request, not only those that fail.")
    otlp_endpoint: str = Field("", description="OTLP/HTTP address for traces. Empty: nothing is exported.")
    token_lifetime_s: int = Field(300, ge=30, le=3600, description="Seconds that an access token is valid.")

    def database_url_of(self, service: str) -> str:
        """The database URL of a service."""
        name = service.replace("-", "_")
        if not self.database_url:
            return f"sqlite:///{self.home / name}.db"
        return self.database_url.replace("{service}", name)

    def shared_secret(self) -> str:
        """The service secret, made on first use when none is set."""
        given = self.service_secret.get_secret_value()
        return given or _kept_secret(self.home / SECRET_FILE)


def _kept_secret(path: Path) -> str:
    """The secret in a file that only its owner reads; whole or not there, whoever else makes it at the same moment."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)
    finally:
        partial.unlink()
    return path.read_text(encoding="ascii").strip()
