"""Before a cluster starts: makes the bucket, migrates every database and makes the first operator."""

from __future__ import annotations

import json
import sys

from brain_kit.objects import create_bucket
from brain_kit.service import Platform
from brain_kit.settings import PlatformSettings

from industry_brain.embedded import write_credentials
from industry_brain.wiring import SERVICES, build_service

BUCKET_WAIT_S = 30.0


def prepare(settings: PlatformSettings, *, with_operator: bool = True) -> dict[str, dict[str, str]] | None:
    """Prepares the servers named by the settings; returns the first credentials when it made the operator.

    Every step may be repeated. The credentials are also kept in the home folder, readable by its owner only.
    """
    from identity.main import bootstrap

    platform = Platform(settings)
    if settings.objects_url.startswith("s3://"):
        create_bucket(settings.objects_url, wait_s=BUCKET_WAIT_S)
    try:
        for name, package in SERVICES.items():
            platform.database(name).migrate(package)
        if not with_operator:
            return None
        build_service(platform, "identity")
        made = bootstrap(platform)
        if made is None:
            return None
        credentials = {"operator": {"user": made.user, "password": made.password, "api_key": made.api_key}}
        write_credentials(settings.home, credentials)
        return credentials
    finally:
        platform.close()


def main() -> None:
    """Prints one JSON line, for `brain cluster`."""
    sys.stdout.write(json.dumps({"credentials": prepare(PlatformSettings())}) + "\n")


if __name__ == "__main__":
    main()
