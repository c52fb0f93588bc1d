"""The command line `brain`: subcommands are imported when they are called, so that it starts at once."""

from __future__ import annotations

import importlib
import sys

import click

from industry_brain.cli.output import EXIT_CODES, fail

COMMANDS = {
    "up": ("industry_brain.cli.running", "up"),
    "cluster": ("industry_brain.cli.running", "cluster"),
    "service": ("industry_brain.cli.running", "service"),
    "prepare": ("industry_brain.cli.running", "prepare_command"),
    "migrate": ("industry_brain.cli.running", "migrate"),
    "doctor": ("industry_brain.cli.doctor", "doctor"),
    "demo": ("industry_brain.cli.demo", "demo"),
    "push": ("industry_brain.cli.data", "push"),
    "query": ("industry_brain.cli.data", "query"),
    "datasets": ("industry_brain.cli.data", "datasets"),
    "derive": ("industry_brain.cli.lineage", "derive"),
    "versions": ("industry_brain.cli.lineage", "versions"),
    "lineage": ("industry_brain.cli.lineage", "lineage"),
    "contract": ("industry_brain.cli.data", "contract"),
    "component": ("industry_brain.cli.components", "component"),
    "indicators": ("industry_brain.cli.indicators", "indicators"),
    "org": ("industry_brain.cli.people", "org"),
    "key": ("industry_brain.cli.people", "key"),
    "job": ("industry_brain.cli.jobs", "job"),
    "centre": ("industry_brain.cli.centres", "centre"),
    "reserve": ("industry_brain.cli.reservations", "reserve"),
    "maintain": ("industry_brain.cli.reservations", "maintain"),
    "quota": ("industry_brain.cli.centres", "quota"),
    "inventory": ("industry_brain.cli.inventory", "inventory"),
    "network": ("industry_brain.cli.network", "network"),
    "lending": ("industry_brain.cli.lending", "lending"),
    "settlement": ("industry_brain.cli.settlement", "settlement"),
    "agent": ("industry_brain.cli.centres", "agent"),
    "backup": ("industry_brain.cli.backup", "backup_command"),
    "restore": ("industry_brain.cli.backup", "restore_command"),
    "verify": ("industry_brain.cli.backup", "verify_command"),
    "simulate": ("industry_brain.cli.simulate", "simulate"),
    "events": ("industry_brain.cli.events", "events"),
}


class LazyGroup(click.Group):
    """A group whose commands live in modules that are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(
    cls=LazyGroup, epilog="退出码 exit codes: " + "; ".join(f"{code} {text}" for code, text in EXIT_CODES.items())
)
@click.version_option(package_name="industry-brain")
def cli() -> None:
    """产业大脑 Industry Brain: start the platform, push and query data, run it."""


def main() -> None:
    """Entry point: errors of the platform become one clear line and an exit code."""
    try:
        cli.main(standalone_mode=True)
    except Exception as error:  # noqa: BLE001 - the last place where an error can be told in one line
        sys.exit(fail(error))
