"""The web portal: server-rendered pages over the platform's public APIs.

This module stays light: set-up runs `python -m service_portal.portal.assets` before anything else exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brain_kit.database import Database
    from brain_kit.service import Platform
    from brain_kit.settings import PlatformSettings
    from fastapi import FastAPI

    from service_portal.portal.trying import ApiDoor
    from service_portal.service.document import Document

__all__ = ["create_portal"]


def create_portal(
    platform: Platform, settings: PlatformSettings, database: Database, document: Document, api: ApiDoor
) -> FastAPI:
    """The portal as an ASGI application, to be mounted at "/".

    platform gives the clients of the other services; database is the portal's own, already migrated.
    document is the merged OpenAPI document; api leads to the gateway, for calls that are tried.
    Raises FileNotFoundError when the browser assets were never fetched (`make setup`).
    """
    from service_portal.portal.app import build

    return build(platform, settings, database, document, api)
