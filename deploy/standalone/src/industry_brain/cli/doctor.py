"""`brain doctor`: what a machine or a running platform lacks, and what to do about it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from industry_brain.apiclient import ApiClient, ApiError, PlatformUnreachable
from industry_brain.cli.output import show

FREE_DISK_BYTES = 2 << 30


@dataclass(frozen=True)
class Finding:
    """One check: whether it is fine, what was seen, what to do."""

    check: str
    ok: bool
    seen: str
    advice: str = ""


@click.command()
@click.option("--url", envvar="BRAIN_URL", default="http://127.0.0.1:8080", show_default=True)
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("./brain-data"),
    envvar="BRAIN_HOME",
    show_default=True,
)
@click.option("--json", "as_json", is_flag=True)
def doctor(url: str, home: Path, as_json: bool) -> None:
    """体检 checks this machine and the platform at URL; exit code 1 when something needs attention."""
    findings = [*machine_findings(home), *platform_findings(url)]
    if as_json:
        show([asdict(finding) for finding in findings], True)
    else:
        for finding in findings:
            click.echo(
                f"{'✓' if finding.ok else '✗'} {finding.check}: {finding.seen}"
                + (f" → {finding.advice}" if not finding.ok else "")
            )
    sys.exit(0 if all(finding.ok for finding in findings) else 1)


def machine_findings(home: Path) -> Iterator[Finding]:
    """Checks of the machine: Python, disk, credentials file, browser assets."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", sys.version_info >= (3, 11), version, "安装 install Python 3.11+")
    folder = home if home.exists() else home.absolute().parent
    free = shutil.disk_usage(folder).free
    yield Finding(
        "disk", free > FREE_DISK_BYTES, f"{free / (1 << 30):.1f} GiB free at {folder}", "腾出空间 free some space"
    )
    credentials = home / "first-credentials.json"
    if credentials.exists():
        mode = credentials.stat().st_mode & 0o777
        yield Finding("first-credentials.json", mode == 0o600, f"mode {mode:o}", f"chmod 600 {credentials}")
    import service_portal

    vendor = Path(str(service_portal.__file__)).parent / "portal" / "static" / "vendor"
    yield Finding("browser assets", vendor.is_dir(), str(vendor.is_dir()), "make setup")


def platform_findings(url: str) -> Iterator[Finding]:
    """Checks of a running platform: every part of /readyz."""
    with ApiClient(url, timeout_s=10) as api:
        try:
            body = api.get("/readyz")
        except PlatformUnreachable:
            yield Finding("platform", False, f"{url} does not answer", "brain up")
            return
        except ApiError as error:
            body = error.problem
    for part in body.get("parts", []):
        yield Finding(str(part["name"]), bool(part["ok"]), str(part.get("detail") or "ok"), "见 see detail")
