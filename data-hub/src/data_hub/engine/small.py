"""Checking a small push whole in memory: for a hundred rows this takes a millisecond, where SQL would plan for nine."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from brain_contracts.contract import DatasetContract

from data_hub.domain.push import Columns, columns_of
from data_hub.domain.refusals import ContentRefused
from data_hub.domain.row_check import RowChecker
from data_hub.domain.stamp import PushStamp
from data_hub.engine import readers
from data_hub.engine.checked import CheckedRows, RowCollector, entries_of_batches
from data_hub.engine.columnar import arrow_batches, check_parquet, parquet_refused
from data_hub.engine.media import Format, MediaType
from data_hub.engine.xlsx import read_xlsx

TEXT_FORMATS = {Format.CSV, Format.XLSX}


def check_small(body: bytes, media: MediaType, contract: DatasetContract, stamp: PushStamp) -> CheckedRows:
    """Every row of a body judged. Raises ContentRefused when it cannot be read as a whole."""
    if not body.strip():
        raise ContentRefused("empty_body", "内容是空的；请至少提供一行数据")
    wanted = columns_of(contract, stamp.mode)
    is_text = media.format in TEXT_FORMATS
    checker = RowChecker(contract, stamp.mode, owner=stamp.only_owner, is_text=is_text)
    return RowCollector(checker, stamp, 1, {}).add_all(entries_of(body, media, wanted))


def entries_of(body: bytes, media: MediaType, wanted: Columns) -> Iterator[readers.Entry]:
    """Rows of a body in any format."""
    if media.format is Format.NDJSON:
        return readers.read_lines(body)
    if media.format is Format.JSON:
        return readers.read_array(body)
    if media.format is Format.CSV:
        return readers.read_csv(readers.decode_csv(body, media.charset), wanted)
    if media.format is Format.XLSX:
        return read_xlsx(io.BytesIO(body), wanted)
    if media.format is Format.PARQUET:
        return _parquet_entries(body, wanted)
    return entries_of_batches(arrow_batches(io.BytesIO(body), media.format, wanted))


def _parquet_entries(body: bytes, wanted: Columns) -> Iterator[readers.Entry]:
    names = check_parquet(io.BytesIO(body), wanted)
    try:
        with pq.ParquetFile(io.BytesIO(body)) as file:
            yield from entries_of_batches(file.iter_batches(batch_size=10_000, columns=list(names)))
    except (pa.ArrowException, OSError) as error:
        raise parquet_refused(error) from error
