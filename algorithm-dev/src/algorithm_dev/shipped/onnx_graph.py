"""Writes ONNX models: a graph is built node by node and serialised as the standard's protobuf.

Only what the shipped components need: tensors of FP64, INT64, BOOL and STRING, nodes, attributes, sub-graphs. The
same calls give the same bytes, so a model has one digest on every machine. Field numbers are those of `onnx.proto`
(ONNX IR version 8), the operator set is version 18.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

IR_VERSION = 8
OPSET = 18
FP64, INT64, BOOL, STRING = 11, 7, 9, 8
_VARINT, _BYTES, _FLOAT = 0, 2, 5


def _varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _integer(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def _bytes(number: int, value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | _BYTES) + _varint(len(raw)) + raw


def _tensor(value: np.ndarray[Any, Any], name: str = "") -> bytes:
    kinds = {"f": (FP64, "<f8"), "i": (INT64, "<i8"), "b": (BOOL, "?")}
    dims = b"".join(_integer(1, size) for size in value.shape)
    named = _bytes(8, name) if name else b""
    if value.dtype.kind in "OU":
        texts = b"".join(_bytes(6, str(item)) for item in value.ravel().tolist())
        return dims + _integer(2, STRING) + texts + named
    element, form = kinds[value.dtype.kind]
    return dims + _integer(2, element) + named + _bytes(9, value.astype(form).tobytes())


def _attribute(name: str, value: Any) -> bytes:
    head = _bytes(1, name)
    if isinstance(value, Graph):
        return head + _bytes(6, value.serialised()) + _integer(20, 5)
    if isinstance(value, np.ndarray):
        return head + _bytes(5, _tensor(value)) + _integer(20, 4)
    if isinstance(value, float):
        return head + _varint(2 << 3 | _FLOAT) + struct.pack("<f", value) + _integer(20, 1)
    if isinstance(value, int):
        return head + _integer(3, value) + _integer(20, 2)
    if isinstance(value, str):
        return head + _bytes(4, value) + _integer(20, 3)
    return head + b"".join(_integer(8, item) for item in value) + _integer(20, 7)


def _value_info(name: str, element: int, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(_bytes(1, _bytes(2, size) if isinstance(size, str) else _integer(1, size)) for size in shape)
    return _bytes(1, name) + _bytes(2, _bytes(1, _integer(1, element) + _bytes(2, dims)))


@dataclass
class Graph:
    """A graph under construction; every method that adds a node returns the name of its output.

    Arguments of nodes are names of earlier outputs, or Python and numpy values, which become constants.
    """

    name: str
    nodes: list[bytes] = field(default_factory=list)
    inputs: list[bytes] = field(default_factory=list)
    outputs: list[bytes] = field(default_factory=list)
    _count: int = 0

    def input(self, name: str, element: int, shape: Sequence[int | str] = ()) -> str:
        """A named input of the graph."""
        self.inputs.append(_value_info(name, element, shape))
        return name

    def output(self, name: str, value: str, element: int, shape: Sequence[int | str] = ()) -> None:
        """Names a value as an output of the graph."""
        self._node("Identity", [value], [name], {})
        self.outputs.append(_value_info(name, element, shape))

    def constant(self, value: Any) -> str:
        """A constant of the graph."""
        name = self._fresh()
        self._node("Constant", [], [name], {"value": np.asarray(value)})
        return name

    def add(self, operator: str, *arguments: Any, **attributes: Any) -> str:
        """A node with one output."""
        return self.several(operator, 1, *arguments, **attributes)[0]

    def several(self, operator: str, count: int, *arguments: Any, **attributes: Any) -> list[str]:
        """A node with `count` outputs."""
        names = [item if isinstance(item, str) else self.constant(item) for item in arguments]
        results = [self._fresh() for _ in range(count)]
        self._node(operator, names, results, attributes)
        return results

    def choose(self, cases: Sequence[tuple[str, Any]], otherwise: Any) -> str:
        """The value of the first case whose condition holds, element by element."""
        value = otherwise if isinstance(otherwise, str) else self.constant(otherwise)
        for condition, result in reversed(cases):
            value = self.add("Where", condition, result, value)
        return value

    def serialised(self) -> bytes:
        """The graph as a GraphProto."""
        nodes = b"".join(_bytes(1, node) for node in self.nodes)
        ends = [*((11, item) for item in self.inputs), *((12, item) for item in self.outputs)]
        return nodes + _bytes(2, self.name) + b"".join(_bytes(number, item) for number, item in ends)

    def model(self) -> bytes:
        """The whole model as a ModelProto."""
        opset = _bytes(1, "") + _integer(2, OPSET)
        head = _integer(1, IR_VERSION) + _bytes(2, "industry-brain")
        return head + _bytes(7, self.serialised()) + _bytes(8, opset)

    def _fresh(self) -> str:
        self._count += 1
        return f"{self.name}/{self._count}"

    def _node(self, operator: str, inputs: list[str], outputs: list[str], attributes: dict[str, Any]) -> None:
        ends = [*((1, name) for name in inputs), *((2, name) for name in outputs)]
        body = b"".join(_bytes(number, name) for number, name in ends) + _bytes(4, operator)
        self.nodes.append(body + b"".join(_bytes(5, _attribute(name, value)) for name, value in attributes.items()))
