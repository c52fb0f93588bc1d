"""Serves the portal's own and vendored static files with names that change with their content.

Every address carries the release hash (`/static/<hash>/...`), so browsers keep a file for a year and modules may
import each other by relative path. Text is sent compressed when the browser takes gzip.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

STATIC = Path(__file__).resolve().parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


@dataclass(frozen=True)
class StaticFile:
    """One file and its gzip twin, both in memory or on disk."""

    path: Path
    media_type: str
    zipped: bytes | None


class StaticFiles:
    """The static files of one release. Own files are small and kept compressed; vendored ones stay on disk.

    Raises FileNotFoundError when the vendored files were never fetched.
    """

    def __init__(self, folder: Path = STATIC) -> None:
        manifest = folder / "vendor" / "manifest.json"
        if not manifest.is_file():
            raise FileNotFoundError("browser assets are missing: run `python -m service_portal.portal.assets`")
        self._vendor: dict[str, str] = {
            name: entry["file"] for name, entry in json.loads(manifest.read_text())["files"].items()
        }
        self._files: dict[str, StaticFile] = {}
        digest = hashlib.sha256(manifest.read_bytes())
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if not path.is_file() or path.suffix not in _TYPES:
                continue
            if not name.startswith("vendor/"):
                content = path.read_bytes()
                digest.update(name.encode() + content)
                self._files[name] = StaticFile(path, _TYPES[path.suffix], gzip.compress(content, 6, mtime=0))
            else:
                self._files[name] = StaticFile(path, _TYPES[path.suffix], None)
        self.release = digest.hexdigest()[:12]

    def url(self, name: str) -> str:
        """Address of a file; a vendored file is named as in the manifest (`echarts.js`)."""
        inner = f"vendor/{self._vendor[name]}" if name in self._vendor else name
        if inner not in self._files:
            raise KeyError(name)
        return f"/static/{self.release}/{inner}"

    def respond(self, request: Request, name: str) -> Response:
        """The file, from disk or memory; 404 for anything that is not one of the release's files."""
        file = self._files.get(name)
        if file is None:
            return PlainTextResponse("not found\n", 404)
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            zipped = file.zipped or _twin(file.path)
            if zipped:
                return Response(zipped, media_type=file.media_type, headers=headers | {"Content-Encoding": "gzip"})
        return Response(file.path.read_bytes(), media_type=file.media_type, headers=headers)


def _twin(path: Path) -> bytes | None:
    twin = path.with_name(path.name + ".gz")
    return twin.read_bytes() if twin.is_file() else None
