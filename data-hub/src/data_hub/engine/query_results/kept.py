"""Results that are kept for some minutes, so that a client can read page after page of one and the same answer."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from data_hub.domain.query.problems import QueryUnknown
from data_hub.engine.query_results.files import Format, ResultFile


@dataclass(frozen=True)
class KeptHead:
    """What belongs to a kept result beside its rows."""

    columns: list[dict[str, str]]
    snapshots: dict[str, str | None]
    rows: int
    truncated: bool


class KeptResults:
    """A folder of results, each bound to the credential that asked for it; old ones are removed by `tend`."""

    def __init__(self, folder: Path, *, lifetime_s: float, max_bytes: int, capacity_bytes: int) -> None:
        self._folder = folder
        self._lifetime_s = lifetime_s
        self._max_bytes = max_bytes
        self._capacity_bytes = capacity_bytes
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def writer(self, subject: str, query_id: str) -> ResultFile:
        """The file that the rows of a result go to; not readable before `publish`."""
        path = self._path(subject, query_id, ".part")
        path.unlink(missing_ok=True)
        return ResultFile(path, "arrow", self._max_bytes)

    def export(self, query_id: str, kind: Format) -> Path:
        """A new path for a file to download."""
        return self._folder / f"export-{hashlib.sha256(query_id.encode()).hexdigest()[:32]}-{time.time_ns()}.{kind}"

    def publish(self, subject: str, query_id: str, head: KeptHead) -> None:
        """Make a written result readable to its owner."""
        self._path(subject, query_id, ".json").write_text(json.dumps(asdict(head)), encoding="utf-8")
        self._path(subject, query_id, ".part").replace(self._path(subject, query_id, ".arrow"))
        self._make_room()

    def head(self, subject: str, query_id: str) -> KeptHead:
        """What is known of a kept result. Raises QueryUnknown when it is not the caller's or no longer kept."""
        try:
            if not self._path(subject, query_id, ".arrow").exists():
                raise FileNotFoundError
            return KeptHead(**json.loads(self._path(subject, query_id, ".json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            minutes = round(self._lifetime_s / 60)
            raise QueryUnknown(f"没有这个查询，或其结果已过保留期（{minutes} 分钟），请重新查询") from None

    def page(self, subject: str, query_id: str, start: int, limit: int) -> Iterator[pa.RecordBatch]:
        """`limit` rows from row `start`, in batches. Raises QueryUnknown."""
        self.head(subject, query_id)
        try:
            source = pa.memory_map(str(self._path(subject, query_id, ".arrow")))
        except FileNotFoundError:
            raise QueryUnknown("查询结果已过保留期，请重新查询") from None
        # Only the heads of the batches before the page are read: the file is mapped, not loaded.
        with source, pa.ipc.open_stream(source) as reader:
            position = 0
            for batch in reader:
                end = position + batch.num_rows
                if end > start and position < start + limit:
                    first = max(0, start - position)
                    yield batch.slice(first, min(end, start + limit) - position - first)
                position = end
                if position >= start + limit:
                    return

    def tend(self) -> None:
        """Remove what is older than its lifetime."""
        oldest = time.time() - self._lifetime_s
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    path.unlink()

    def _make_room(self) -> None:
        """Remove the oldest results while all of them together are over the capacity."""
        entries = []
        for path in self._folder.glob("*.arrow"):
            with suppress(FileNotFoundError):
                entries.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        excess = sum(size for _, size, _ in entries) - self._capacity_bytes
        for _, size, path in sorted(entries):
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= size

    def _path(self, subject: str, query_id: str, suffix: str) -> Path:
        # The name binds a result to its owner: nobody else's request leads to the same file.
        name = hashlib.sha256(f"{subject}\0{query_id}".encode()).hexdigest()
        return self._folder / f"{name}{suffix}"
