"""The ONNX runtime: sessions of onnxruntime on the CPU, and the way from rows or tensors to its arrays and back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from algorithm_dev.domain.card import Card
from algorithm_dev.domain.onnx_file import ModelFacts, TensorPort, port_mismatches
from algorithm_dev.domain.signature import ColumnSchema, Parameter, Rows
from algorithm_dev.domain.tensor_check import to_array

# Wheels of onnxruntime send usage data unless told not to; both names are in use (its pull requests 27379, 29843).
TELEMETRY_SWITCHES = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")
ROW_DTYPES = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "string": "BYTES"}
NUMPY = {"number": np.float64, "integer": np.int64, "boolean": np.bool_, "string": np.object_}
Arrays = dict[str, "np.ndarray[Any, Any]"]


def runtime() -> Any:
    """The module onnxruntime, imported with its telemetry switched off."""
    for switch in TELEMETRY_SWITCHES:
        os.environ[switch] = "1"
    import onnxruntime

    return onnxruntime


def open_session(content: bytes, *, threads: int = 1) -> Any:
    """A session on the CPU with so many threads within an operator. Raises what onnxruntime says of a bad model."""
    ort = runtime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # The arena never gives memory back; a service that holds many models must.
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(content, sess_options=options, providers=["CPUExecutionProvider"])


def passed_through(card: Card) -> list[str]:
    """Columns in both inputs and outputs: they go past the model row by row, which may not use a name twice."""
    inputs, outputs = card.signature.inputs, card.signature.outputs
    if not isinstance(inputs, Rows) or not isinstance(outputs, Rows):
        return []
    return [name for name in inputs.columns if name in outputs.columns]


def declared_ports(card: Card) -> tuple[list[TensorPort], list[TensorPort]]:
    """(inputs, outputs) that a model must have to fit its card: see the card format for rows and parameters."""
    signature, beside = card.signature, set(passed_through(card))
    inputs = [port for port in _ports(signature.inputs) if port.name not in beside]
    inputs += [TensorPort(item.name, ROW_DTYPES[item.type], ()) for item in signature.parameters]
    return inputs, [port for port in _ports(signature.outputs) if port.name not in beside]


def mismatches(card: Card, facts: ModelFacts) -> list[tuple[str, str]]:
    """(tensor, what differs) between a model and its card."""
    inputs, outputs = declared_ports(card)
    found = [*port_mismatches(facts.inputs, inputs, "输入")]
    return [*found, *port_mismatches(facts.outputs, outputs, "输出")]


def _ports(side: Any) -> list[TensorPort]:
    if isinstance(side, Rows):
        return [TensorPort(name, ROW_DTYPES[column.scalar], ("rows",)) for name, column in side.columns.items()]
    return [TensorPort(item.name, item.dtype, tuple(item.shape)) for item in side.tensors]


def feed_of(card: Card, inputs: Any, settled: dict[str, Any]) -> Arrays:
    """The arrays that a session takes for checked inputs and a value of every parameter."""
    side = card.signature.inputs
    feed: Arrays = {}
    if isinstance(side, Rows):
        ordered, beside = sorted_rows(side, inputs), passed_through(card)
        for name, column in side.columns.items():
            if name not in beside:
                feed[name] = _column([row.get(name) for row in ordered], column)
    else:
        for tensor in side.tensors:
            value = inputs[tensor.name]
            feed[tensor.name] = value if isinstance(value, np.ndarray) else to_array(tensor, value)
    for item in card.signature.parameters:
        feed[item.name] = parameter_array(item, settled[item.name])
    return feed


def parameter_array(item: Parameter, value: Any) -> np.ndarray[Any, Any]:
    """A parameter as a tensor of rank 0."""
    return np.array(value, dtype=NUMPY[item.type])


def sorted_rows(side: Rows, rows: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Rows in the order of the card, nulls last, as the SQL runtime sorts."""
    if not side.order_by:
        return rows
    return sorted(rows, key=lambda row: tuple((row.get(name) is None, row.get(name)) for name in side.order_by))


def _column(values: list[Any], column: ColumnSchema) -> np.ndarray[Any, Any]:
    if column.scalar == "number":
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return np.array(values, dtype=NUMPY[column.scalar])


def outputs_of(card: Card, names: Sequence[str], arrays: Sequence[Any], inputs: Any) -> Any:
    """What a session gave for inputs, as rows (numbers NaN as null) or as nested lists by tensor name.

    Raises ValueError when the output columns differ in length.
    """
    by_name = dict(zip(names, arrays, strict=True))
    side = card.signature.outputs
    if not isinstance(side, Rows):
        return {item.name: nested(by_name[item.name]) for item in side.tensors}
    columns = {name: _values(by_name[name]) for name in by_name}
    beside = passed_through(card)
    if beside and isinstance(card.signature.inputs, Rows):
        ordered = sorted_rows(card.signature.inputs, inputs)
        columns |= {name: [row.get(name) for row in ordered] for name in beside}
    columns = {name: columns[name] for name in side.columns}
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise ValueError(f"输出各列长度不一：{ {name: len(values) for name, values in columns.items()} }")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def written_outputs(card: Card, names: Sequence[str], arrays: Sequence[Any], inputs: Any) -> Any:
    """`outputs_of` for orjson, which itself writes NaN and infinities as null."""
    side = card.signature.outputs
    if isinstance(side, Rows):
        return outputs_of(card, names, arrays, inputs)
    by_name = dict(zip(names, arrays, strict=True))
    return {item.name: by_name[item.name].tolist() for item in side.tensors}


def nested(array: np.ndarray[Any, Any]) -> Any:
    """An array as nested lists of JSON: NaN and infinities as null."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        plain = array.astype(object)
        plain[~np.isfinite(array)] = None
        return plain.tolist()
    return array.tolist()


def _values(array: np.ndarray[Any, Any]) -> list[Any]:
    values: list[Any] = nested(array.reshape(-1))
    return values
