"""A result as a file to download: written whole, then sent, so that what arrives is complete or an error."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from data_hub.domain.query.problems import RowsLimit
from data_hub.engine.query_engine import Answer
from data_hub.engine.query_results.files import MEDIA_TYPES, CsvOptions, Format, ResultFile

CHUNK = 1 << 18


@dataclass
class Export:
    """A finished file, already without a name on the disk: its space is free as soon as nobody reads it."""

    file: BinaryIO
    size: int
    format: Format
    rows: int
    id: str = ""
    next: str | None = None
    snapshot: str | None = None

    @property
    def media_type(self) -> str:
        """The file's media type."""
        return MEDIA_TYPES[self.format]

    def chunks(self) -> Generator[bytes, None, None]:
        """The content, piece by piece; closes the file."""
        with self.file:
            while chunk := self.file.read(CHUNK):
                yield chunk


@dataclass(frozen=True)
class ExportForm:
    """Format of a file, and how a CSV is written."""

    format: Format
    csv: CsvOptions = field(default_factory=CsvOptions)


def write_export(path: Path, form: ExportForm, answer: Answer, *, max_rows: int, max_bytes: int) -> Export:
    """All rows of an answer as a file; the answer must have been asked for with the same `max_rows`.

    Raises RowsLimit when there are more rows than that, SizeLimit when the file grows over `max_bytes`.
    """
    file = ResultFile(path, form.format, max_bytes, form.csv)
    try:
        for batch in answer.batches:
            file.write(batch)
        if answer.more:
            raise RowsLimit(f"结果超过 {max_rows} 行的导出上限：请加条件分批导出", limit=max_rows)
        file.close()
        return Export(path.open("rb"), path.stat().st_size, form.format, answer.rows)
    finally:
        file.discard()
