"""Before a cluster starts: migrates every database and makes the first operator. Prints one JSON line."""

from __future__ import annotations

import json
import sys

from brain_kit.objects import create_bucket
from brain_kit.service import Platform
from brain_kit.settings import PlatformSettings

from industry_brain.embedded import write_credentials
from industry_brain.wiring import SERVICES, build_service

BUCKET_WAIT_S = 30.0


def main() -> None:
    """Prepares the databases named by the environment."""
    from identity.main import bootstrap

    settings = PlatformSettings()
    platform = Platform(settings)
    if settings.objects_url.startswith("s3://"):
        create_bucket(settings.objects_url, wait_s=BUCKET_WAIT_S)
    try:
        for name, package in SERVICES.items():
            platform.database(name).migrate(package)
        build_service(platform, "identity")
        made = bootstrap(platform)
        credentials = None
        if made is not None:
            credentials = {"operator": {"user": made.user, "password": made.password, "api_key": made.api_key}}
            write_credentials(settings.home, credentials)
    finally:
        platform.close()
    sys.stdout.write(json.dumps({"credentials": credentials}) + "\n")


if __name__ == "__main__":
    main()
