"""Element types of ONNX tensors: their names in the Open Inference Protocol v2, their size, where a file keeps them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from algorithm_dev.domain import wire

FLOAT_DATA, INT32_DATA, STRING_DATA, INT64_DATA, RAW_DATA, DOUBLE_DATA, UINT64_DATA = 4, 5, 6, 7, 9, 10, 11
_WIDTH = {FLOAT_DATA: 4, DOUBLE_DATA: 8, RAW_DATA: 1}


class Element(NamedTuple):
    """dtype: name in the protocol, "" where it has none. bits: of one value. place: the typed field that holds it."""

    dtype: str
    bits: int
    place: int

    def is_whole(self, elements: int, held: dict[int, int]) -> bool:
        """Whether the counted data (values by field, bytes for raw data) are exactly those of so many elements."""
        if self.dtype == "BYTES":
            return held.get(STRING_DATA, 0) == elements
        if held.get(RAW_DATA):
            return held[RAW_DATA] == math.ceil(elements * self.bits / 8)
        per_value = 8 // self.bits if self.bits < 8 else 1
        return held.get(self.place, 0) == math.ceil(elements / per_value)


# TensorProto.DataType to element.
ELEMENTS = {
    1: Element("FP32", 32, FLOAT_DATA),
    2: Element("UINT8", 8, INT32_DATA),
    3: Element("INT8", 8, INT32_DATA),
    4: Element("UINT16", 16, INT32_DATA),
    5: Element("INT16", 16, INT32_DATA),
    6: Element("INT32", 32, INT32_DATA),
    7: Element("INT64", 64, INT64_DATA),
    8: Element("BYTES", 64, STRING_DATA),
    9: Element("BOOL", 8, INT32_DATA),
    10: Element("FP16", 16, INT32_DATA),
    11: Element("FP64", 64, DOUBLE_DATA),
    12: Element("UINT32", 32, UINT64_DATA),
    13: Element("UINT64", 64, UINT64_DATA),
    16: Element("", 16, INT32_DATA),
    17: Element("", 8, INT32_DATA),
    18: Element("", 8, INT32_DATA),
    19: Element("", 8, INT32_DATA),
    20: Element("", 8, INT32_DATA),
    21: Element("", 4, INT32_DATA),
    22: Element("", 4, INT32_DATA),
}


def count_of(number: int, kind: int, value: wire.Value) -> int:
    """How many values a data field adds: bytes of raw data, else elements, packed or single."""
    if number == STRING_DATA:
        return 1
    if not isinstance(value, memoryview):
        return 1
    if kind != wire.BYTES:
        return 1
    if number in _WIDTH:
        return len(value) // _WIDTH[number]
    # Packed varints: each ends at the byte without the high bit.
    return int(np.count_nonzero(np.frombuffer(value, np.uint8) < 0x80)) if len(value) else 0
