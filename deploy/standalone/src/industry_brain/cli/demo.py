"""`brain demo`: the synthetic demonstration cluster."""

from __future__ import annotations

from pathlib import Path

import click

from industry_brain.cli.output import show


@click.command()
@click.option("--url", envvar="BRAIN_URL", default="http://127.0.0.1:8080", show_default=True)
@click.option(
    "--home",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("./brain-data"),
    envvar="BRAIN_HOME",
    show_default=True,
    help="folder with first-credentials.json",
)
@click.option("--enterprises", default=2000, show_default=True, help="企业数")
@click.option("--json", "as_json", is_flag=True)
def demo(url: str, home: Path, enterprises: int, as_json: bool) -> None:
    """演示 loads the demonstration cluster (合成数据) into a running platform; a repeat loads nothing twice."""
    from industry_brain.demo import load_with_bar

    result = load_with_bar(url, home, enterprises=enterprises, quiet=as_json)
    if as_json:
        show(result or {"rows": 0, "loaded_before": True}, True)
