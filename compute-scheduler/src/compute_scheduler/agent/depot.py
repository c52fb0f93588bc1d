"""What an agent keeps of data sets at its centre: a folder a version, whole and verified, or on its way.

`<dataset>@<version>[@<view>]/manifest.json`  names, sizes, SHA-256 as the platform told them
`.../files/<name>`        verified, never changed; `<name>.part` while it comes
`.../ready.json`          made last: bytes and SHA-256 of the whole; its time is that of the last use

What nobody uses goes when room is needed, the longest unused first. Everything can be read again from the folders.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compute_scheduler.engine.folder import read_json, write_whole

Json = dict[str, Any]
CHUNK_BYTES = 1 << 20
MB = 1_000_000
PART = ".part"


class NoRoom(Exception):
    """The data do not fit beside what is in use; the text says what is missing."""


@dataclass(frozen=True)
class DepotLimits:
    """most_bytes: of all versions together. spare_bytes: what stays free on the disk."""

    most_bytes: int = 50_000 * MB
    spare_bytes: int = 1_000 * MB


def folder_name(item: Mapping[str, Any]) -> str:
    """How a version's folder is named. item: dataset, version, view."""
    name = f"{item['dataset']}@{item['version']}"
    return name if item["view"] == "whole" else f"{name}@{item['view']}"


class Depot:
    """Versions at a centre; safe among threads, but one thread at a time fills a folder."""

    def __init__(self, root: Path, limits: DepotLimits) -> None:
        self.root = root
        self._limits = limits
        self._guard = threading.Lock()
        # What folders that are being filled will hold.
        self._promised: dict[str, int] = {}

    def replicas(self) -> list[Json]:
        """Versions that are here as a whole: dataset, version, view."""
        found = []
        for name in self._folders():
            if self.holds(name):
                dataset, version, *view = name.split("@")
                found.append({"dataset": dataset, "version": version, "view": view[0] if view else "whole"})
        return found

    def holds(self, name: str) -> bool:
        """Whether a version is here as a whole, every file with its size."""
        manifest = read_json(self._file(name, "manifest.json"))
        if manifest is None or read_json(self._file(name, "ready.json")) is None:
            return False
        return all(_size(self.files(name) / item["name"]) == item["bytes"] for item in manifest["files"])

    def digest(self, name: str) -> str:
        """SHA-256 of a version that is here."""
        return str((read_json(self._file(name, "ready.json")) or {}).get("sha256", ""))

    def files(self, name: str) -> Path:
        """The folder with a version's files, as jobs read it."""
        return self.root / name / "files"

    def use(self, name: str) -> None:
        """Notes that a version is being used."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._file(name, "ready.json"))

    def begin(self, name: str, manifest: Json) -> int:
        """Makes the folder of a version, or takes up what is there of it; returns how many bytes that is.

        What belongs to another manifest is thrown away.
        """
        known = read_json(self._file(name, "manifest.json"))
        if known is not None and known["sha256"] != manifest["sha256"]:
            self.remove(name)
        folder = self.files(name)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(self._file(name, "manifest.json"), manifest)
        return sum(min(item["bytes"], _present(folder / item["name"])) for item in manifest["files"])

    def make_room(self, name: str, total: int, in_use: Iterable[str]) -> list[str]:
        """Promises room for a version of so many bytes; returns what was removed for it. Raises NoRoom."""
        with self._guard:
            kept = set(in_use) | self._promised.keys() | {name}
            removed: list[str] = []
            while True:
                sizes = {each: _bytes_of(self.root / each) for each in self._folders()}
                coming = {each: max(0, size - sizes.get(each, 0)) for each, size in self._promised.items()}
                wanted = max(0, total - sizes.get(name, 0))
                over = sum(sizes.values()) + sum(coming.values()) + wanted - self._limits.most_bytes
                free = shutil.disk_usage(self.root).free - self._limits.spare_bytes
                lacking = sum(coming.values()) + wanted - free
                if over <= 0 and lacking <= 0:
                    self._promised[name] = total
                    return removed
                old = min((each for each in sizes if each not in kept), key=self._used_at, default=None)
                if old is None:
                    raise NoRoom(_no_room(wanted, over, lacking))
                self.remove(old)
                removed.append(old)

    def finish(self, name: str, manifest: Json) -> None:
        """A version is here as a whole and verified."""
        write_whole(self._file(name, "ready.json"), {"bytes": manifest["bytes"], "sha256": manifest["sha256"]})
        self.leave(name)

    def leave(self, name: str) -> None:
        """Nobody fills the folder any more; what is there stays for the next time."""
        with self._guard:
            self._promised.pop(name, None)

    def remove(self, name: str) -> None:
        """Forgets a version; its record goes first, so that the rest is never taken for the whole."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._file(name, "ready.json"))
        shutil.rmtree(self.root / name, ignore_errors=True)

    def _file(self, name: str, part: str) -> str:
        return str(self.root / name / part)

    def _folders(self) -> list[str]:
        try:
            return sorted(entry.name for entry in os.scandir(self.root) if "@" in entry.name)
        except FileNotFoundError:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            return []

    def _used_at(self, name: str) -> float:
        """What is not whole goes before everything that is."""
        try:
            return os.stat(self._file(name, "ready.json")).st_mtime
        except FileNotFoundError:
            return 0.0


class Incoming:
    """One file on its way: bytes are added behind what is there, then the whole is checked and put in its place."""

    def __init__(self, folder: Path, item: Mapping[str, Any]) -> None:
        self._target = folder / item["name"]
        self._part = folder / (item["name"] + PART)
        self._sha256 = str(item["sha256"])
        self.size = int(item["bytes"])
        self.is_done = _size(self._target) == self.size
        self._digest = hashlib.sha256()
        self.offset = 0

    def __enter__(self) -> Incoming:
        self._file = self._part.open("ab", buffering=0)
        if self._part.stat().st_size > self.size:
            self._file.truncate(0)
        with self._part.open("rb") as known:
            while chunk := known.read(CHUNK_BYTES):
                self._digest.update(chunk)
                self.offset += len(chunk)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, chunk: bytes) -> int:
        """Takes what follows, up to the size that the file should have; returns how much that was. Raises OSError."""
        chunk = chunk[: self.size - self.offset]
        view = memoryview(chunk)
        while view:
            written = self._file.write(view) or 0
            self._digest.update(view[:written])
            self.offset += written
            view = view[written:]
        return len(chunk)

    def close(self) -> bool:
        """Whether what has come is what it should be; else it is thrown away, to be fetched anew."""
        if self._digest.hexdigest() != self._sha256:
            self._file.truncate(0)
            self._digest, self.offset = hashlib.sha256(), 0
            return False
        os.fsync(self._file.fileno())
        os.chmod(self._part, 0o400)
        os.replace(self._part, self._target)
        return True


def whole_digest(files: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 of the lines `sha256 size name`, by which the platform names the whole."""
    lines = "".join(f"{item['sha256']} {item['bytes']} {item['name']}\n" for item in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _present(path: Path) -> int:
    whole = _size(path)
    return whole if whole is not None else _size(path.with_name(path.name + PART)) or 0


def _bytes_of(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


def _no_room(wanted: int, over: int, lacking: int) -> str:
    why = []
    if over > 0:
        why.append(f"超出副本上限 {over / MB:.1f} MB")
    if lacking > 0:
        why.append(f"磁盘还差 {lacking / MB:.1f} MB")
    return f"中心放不下这些数据：还要 {wanted / MB:.1f} MB，{'，'.join(why)}，其余副本都在使用"
