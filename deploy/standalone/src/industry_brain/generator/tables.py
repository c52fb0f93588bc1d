"""Arrow tables in the shape of a canonical contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from brain_contracts.odcs import canonical_contracts

ARROW_TYPES = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


def table_of(dataset: str, columns: Mapping[str, Any]) -> pa.Table:
    """The columns as a table of the data set, in the contract's order and types; NaN and None become null.

    Raises KeyError for a column that the contract does not know.
    """
    contract = canonical_contracts()[dataset]
    unknown = set(columns) - set(contract.column_names)
    if unknown:
        raise KeyError(f"{dataset} has no columns {sorted(unknown)}")
    known = [column for column in contract.columns if column.name in columns]
    arrays = [_array(columns[column.name], ARROW_TYPES[column.logical_type]) for column in known]
    return pa.table(arrays, names=[column.name for column in known])


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values.cast(kind)
    return pa.array(values, from_pandas=True).cast(kind)


def where(mask: npt.NDArray[np.bool_], chosen: Any, other: Any = None) -> npt.NDArray[np.object_]:
    """`chosen` where the mask holds, `other` elsewhere; either is one value for all or one a row."""
    pair = np.empty((2, len(mask)), dtype=object)
    pair[0], pair[1] = other, chosen
    return np.asarray(pair[mask.astype(int), np.arange(len(mask))], dtype=object)


def texts(values: npt.NDArray[Any], chosen: npt.NDArray[Any]) -> pa.Array:
    """One text per number in `chosen`, taken from the few different `values`; cheap for many rows."""
    return pa.array(values).take(pa.array(np.asarray(chosen)))
