"""`brain events`: how far events are, what went wrong, and to run it again."""

from __future__ import annotations

import click

from industry_brain.cli.output import connect, connection, show


@click.group()
def events() -> None:
    """事件 events: lag, dead letters, replay."""


@events.command("lag")
@connection
def lag(url: str, key: str | None, as_json: bool) -> None:
    """Shows waiting events by service, group and topic."""
    with connect(url, key) as api:
        show(api.get("/api/service-portal/v1/events/lag")["items"], as_json)


@events.command("dead")
@connection
def dead(url: str, key: str | None, as_json: bool) -> None:
    """Lists dead letters: events whose handling failed for good."""
    with connect(url, key) as api:
        show(api.get("/api/service-portal/v1/events/dead")["items"], as_json)


@events.command("replay")
@click.argument("service")
@click.argument("dead_letter_id")
@connection
def replay(service: str, dead_letter_id: str, url: str, key: str | None, as_json: bool) -> None:
    """Handles a dead letter again."""
    with connect(url, key) as api:
        show(api.post(f"/api/service-portal/v1/events/dead/{service}/{dead_letter_id}/replay"), as_json)
