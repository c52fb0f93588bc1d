"""The rows of a result on their way into a file with the types of a contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from brain_contracts.contract import Column

from data_hub.domain.derived import DerivedInvalid, DerivedRowsInvalid
from data_hub.domain.query.problems import SizeLimit
from data_hub.engine.checked import ARROW_TYPES
from data_hub.engine.query_results.values import json_rows

MEBIBYTE = 1 << 20
SEARCHED_ROWS = 1_000


class DerivedRows:
    """A Parquet file of typed rows. Raises SizeLimit when it grows over `max_bytes`."""

    def __init__(self, path: Path, columns: Sequence[Column], key: Sequence[str], max_bytes: int) -> None:
        self.path = path
        self.rows = 0
        self.first: dict[str, Any] = {}
        self._columns = columns
        self._key = key
        self._max_bytes = max_bytes
        self._schema = pa.schema([(column.name, ARROW_TYPES[column.duckdb_type]) for column in columns])
        self._writer = pq.ParquetWriter(path, self._schema, compression="lz4")

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends a batch. Raises DerivedInvalid for a value that does not fit, DerivedRowsInvalid for an empty key."""
        arrays = [_typed(array, column) for array, column in zip(batch.columns, self._columns, strict=True)]
        typed = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        for name in self._key:
            if typed.column(name).null_count:
                raise DerivedRowsInvalid(
                    f"主键列 {name} 有空值，不能作为主键；请筛去或换主键", field="key", column=name
                )
        if not self.first:
            self.first = _first_with_values(typed)
        self._writer.write_batch(typed)
        self.rows += typed.num_rows
        if self.path.stat().st_size > self._max_bytes:
            limit = self._max_bytes // MEBIBYTE
            raise SizeLimit(f"结果超过 {limit} MiB 的上限：请减少列或先聚合", limit_mib=limit)

    def close(self) -> None:
        """Completes the file."""
        self._writer.close()


def _first_with_values(batch: pa.RecordBatch) -> dict[str, Any]:
    """The first row that is not empty, without its nulls, as the contract's example; {} when there is none."""
    for row in json_rows(batch.slice(0, SEARCHED_ROWS)):
        values = {name: value for name, value in row.items() if value is not None}
        if values:
            return values
    return {}


def _typed(array: pa.Array, column: Column) -> pa.Array:
    target = ARROW_TYPES[column.duckdb_type]
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    try:
        if pa.types.is_timestamp(array.type) and array.type.tz is None:
            array = pc.assume_timezone(array.cast(pa.timestamp("us")), "UTC")
        typed = array.cast(target)
        if pa.types.is_floating(target) and not pc.all(pc.is_finite(typed), skip_nulls=True, min_count=0).as_py():
            raise pa.ArrowInvalid("NaN or infinity")
        return typed
    except pa.ArrowException as error:
        reason = f"有值超出 {column.logical_type} 的范围（{str(error)[:120]}）；请在查询中改正或筛去"
        where = f"columns.{column.name}"
        raise DerivedInvalid(f"{where}：{reason}", errors=[{"field": where, "reason": reason}]) from error
