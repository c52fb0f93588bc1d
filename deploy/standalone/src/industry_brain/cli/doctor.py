"""`brain doctor`: what a machine or a running platform lacks, and what to do about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from industry_brain.cli.output import DIFFERS, first_key, show
from industry_brain.doctor.finding import Finding, wrong


@click.command()
@click.option("--url", envvar="BRAIN_URL", default="http://127.0.0.1:8080", show_default=True, help="平台地址")
@click.option("--key", envvar="BRAIN_KEY", help="运营方密钥 an operator's key; default $BRAIN_KEY, else of --home")
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("./brain-data"),
    envvar="BRAIN_HOME",
    show_default=True,
)
@click.option("--json", "as_json", is_flag=True, help="机器可读 print JSON")
def doctor(url: str, key: str | None, home: Path, as_json: bool) -> None:
    """体检 checks ports, disk, clock, versions, migrations, events and object store; 7 when one is wrong."""
    os.environ["BRAIN_HOME"] = str(home)
    findings = []
    for finding in _findings(url, key or first_key(), home):
        findings.append(finding)
        if not as_json:
            click.echo(f"{'✓' if finding.ok else '✗'} {finding.check}: {finding.seen}")
            if not finding.ok:
                click.echo(f"  → {finding.advice}")
    if as_json:
        show([asdict(finding) for finding in findings], True)
    sys.exit(0 if all(finding.ok for finding in findings) else DIFFERS)


def _findings(url: str, key: str | None, home: Path) -> Iterator[Finding]:
    from industry_brain.doctor.machine import machine_findings, port_finding
    from industry_brain.doctor.platform import is_answering, platform_findings
    from industry_brain.doctor.stores import store_findings

    answers = is_answering(url)
    yield from machine_findings(home)
    yield port_finding(url, answers)
    yield from store_findings(home)
    if answers:
        yield from platform_findings(url, key)
    else:
        yield wrong("platform", f"{url} 没有应答 does not answer", f"brain up --home {home}")
