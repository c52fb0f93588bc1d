"""Rows of a spreadsheet (XLSX), read with calamine after its parts were measured."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from data_hub.domain.push import Columns
from data_hub.domain.refusals import ContentRefused
from data_hub.engine.readers import Entry, check_names, dumper

LIMIT_BYTES = 200 << 20
MAX_PARTS = 2000
CHUNK = 1 << 20


def check_unpacked(source: BinaryIO, limit: int) -> None:
    """Raises ContentRefused when the parts unpack to more than the limit; counts real bytes, not those announced."""
    try:
        with zipfile.ZipFile(source) as archive:
            parts = archive.infolist()
            if len(parts) > MAX_PARTS:
                raise _bomb(f"有 {len(parts)} 个部件，上限 {MAX_PARTS}")
            # What the directory announces is refused at once; what it hides is found by unpacking.
            if sum(part.file_size for part in parts) > limit:
                raise _bomb(f"解开后超过 {limit >> 20} MiB")
            total = 0
            for part in parts:
                with archive.open(part) as stream:
                    while chunk := stream.read(CHUNK):
                        total += len(chunk)
                        if total > limit:
                            raise _bomb(f"解开后超过 {limit >> 20} MiB")
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise ContentRefused("malformed_xlsx", f"不是完整的 XLSX 文件（{error}）；请用表格软件另存后推送") from error
    except Exception as error:
        if type(error).__module__ == "zlib":
            raise ContentRefused("malformed_xlsx", "XLSX 的压缩数据损坏；请用表格软件另存后推送") from error
        raise


def _bomb(what: str) -> ContentRefused:
    return ContentRefused("xlsx_too_large", f"XLSX {what}；请改用 CSV 或 Parquet 推送")


def read_xlsx(source: BinaryIO, wanted: Columns, limit: int = LIMIT_BYTES) -> Iterator[Entry]:
    """Rows of the first sheet; its first row that is not empty is the header. Raises ContentRefused."""
    import python_calamine

    check_unpacked(source, limit)
    source.seek(0)
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(source)
        rows = iter(book.get_sheet_by_index(0).to_python(skip_empty_area=True))
    except (python_calamine.CalamineError, IndexError, OSError) as error:
        raise ContentRefused("malformed_xlsx", f"XLSX 不能读懂：{error}；请用表格软件另存后推送") from error
    header = next((row for row in rows if any(cell not in ("", None) for cell in row)), None)
    if header is None:
        raise ContentRefused("empty_body", "XLSX 的第一张表是空的；请至少提供表头和一行数据")
    cells = [str(cell).strip() for cell in header]
    while cells and not cells[-1]:
        cells.pop()
    names = check_names(cells, wanted)
    for row in rows:
        if any(cell not in ("", None) for cell in row):
            yield _entry(names, row)


def _entry(names: tuple[str, ...], row: Sequence[object]) -> Entry:
    if any(cell not in ("", None) for cell in row[len(names) :]):
        original = dumper(dict(zip(names, row, strict=False)))
        return Entry(None, original, f"有 {len(row)} 个值，表头有 {len(names)} 列")
    values = {name: cell for name, cell in zip(names, row, strict=False) if not name.startswith("_")}
    return Entry(values, dumper(values))
