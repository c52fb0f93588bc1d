"""Wiring of identity."""

from __future__ import annotations

from brain_kit.auth import require
from brain_kit.events.routes import event_routes
from brain_kit.service import Platform, ServiceRuntime, create_app

from identity.api import routes
from identity.consumers import HANDLERS
from identity.service import bootstrap as first_start
from identity.service.bootstrap import FirstCredentials
from identity.service.key_uses import KeyUses
from identity.service.tokens import TokenSigner
from identity.settings import Settings
from identity.worker import workers

NAME = "identity"
MAX_BODY_BYTES = 64 * 1024


def build(platform: Platform) -> ServiceRuntime:
    """The service with its database migrated and its workers ready to run."""
    settings = settings_of(platform)
    database = platform.database(NAME)
    database.migrate("identity")
    signer = TokenSigner(
        database,
        settings.shared_secret(),
        lifetime_s=settings.token_lifetime_s,
        rotation_days=settings.identity_key_rotation_days,
    )
    app = create_app(
        NAME,
        platform,
        title="身份服务 Identity",
        # Without the broker identity works on: its events wait in the outbox.
        checks={"database": database.ping},
        max_body_bytes=MAX_BODY_BYTES,
    )
    uses = KeyUses(database)
    for router in routes(database, signer, settings, uses):
        app.include_router(router)
    app.include_router(event_routes(database, platform.bus, {NAME: list(HANDLERS)}, require("operator", "service")))
    return ServiceRuntime(NAME, app, database, workers(platform, database, signer), closers=(uses.write,))


def bootstrap(platform: Platform) -> FirstCredentials | None:
    """Makes the operator at the first start of a built platform and returns its credentials once."""
    settings = settings_of(platform)
    return first_start.bootstrap(
        platform.database(NAME), settings.identity_operator_name, settings.identity_operator_region
    )


def settings_of(platform: Platform) -> Settings:
    """The service's settings: what the platform was given, and the environment for its own."""
    return Settings(**platform.settings.model_dump())
