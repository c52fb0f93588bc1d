"""The data set that a run makes: its columns come from the signature of the component, its rules with them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from brain_contracts.contract import COLUMN_NAME, Column, DatasetContract, validated

from algorithm_dev.domain.card import Card
from algorithm_dev.domain.signature import ColumnSchema, Rows, Tensor

LOGICAL = {"number": "number", "integer": "integer", "boolean": "boolean", "string": "string"}
FORMATS = {"date": "date", "date-time": "timestamp"}
TENSOR_LOGICAL = {"BOOL": "boolean", "BYTES": "string", "FP16": "number", "FP32": "number", "FP64": "number"}
MAX_ENUM = 1000
ZONE = re.compile(r"(Z|[+-]\d{2}:\d{2})$")


def output_columns(card: Card) -> dict[str, Column]:
    """The columns of a component's result as a table, by name. Raises ValueError for a result that is no table."""
    side = card.signature.outputs
    if isinstance(side, Rows):
        return {name: _column(name, column, name in side.row_schema.required) for name, column in side.columns.items()}
    found: dict[str, Column] = {}
    for tensor in side.tensors:
        for name in tensor_columns(tensor):
            if name in found:
                raise ValueError(f"两个输出张量都写入列 {name}")
            logical = TENSOR_LOGICAL.get(tensor.dtype, "integer")
            found[name] = Column(name, logical, tensor.title or "", tensor.title_en or "", unit=tensor.unit or "")
    return found


def tensor_columns(tensor: Tensor) -> list[str]:
    """Names of the table columns of a tensor: those of the card, else its own name, numbered when it is wide.

    Raises ValueError when the tensor is no column and no table.
    """
    if tensor.columns:
        return list(tensor.columns)
    shape = tensor.shape
    if not shape or isinstance(shape[0], int) or len(shape) > 2:
        raise ValueError(f"张量 {tensor.name} 的形状 {shape} 不能作为表：请在卡片里写 columns")
    if len(shape) == 1:
        return [tensor.name]
    if not isinstance(shape[1], int):
        raise ValueError(f"张量 {tensor.name} 的列数不固定：请在卡片里写 columns")
    return [f"{tensor.name}_{number}" for number in range(1, shape[1] + 1)]


def input_columns(card: Card) -> list[str]:
    """Names of the columns that a run needs. Raises ValueError when an input tensor names none."""
    side = card.signature.inputs
    if isinstance(side, Rows):
        return list(side.columns)
    missing = [tensor.name for tensor in side.tensors if not tensor.columns]
    if missing:
        raise ValueError(f"输入张量 {'、'.join(missing)} 没有写 columns，不能在数据集上运行")
    return [name for tensor in side.tensors for name in tensor.columns]


def result_contract(card: Card, into: str, key: list[str], source: str) -> DatasetContract:
    """The contract of a run's result. Raises ContractInvalid or ValueError naming what does not fit."""
    columns = output_columns(card)
    missing = [name for name in key if name not in columns]
    if missing:
        raise ValueError(f"主键列 {'、'.join(missing)} 不在输出中；可选：{'、'.join(columns)}")
    wrong = [name for name in columns if not COLUMN_NAME.fullmatch(name)]
    if wrong:
        raise ValueError(f"输出列 {'、'.join(wrong)} 不能作为数据集的列名：应以字母开头，由字母、数字、下划线组成")
    made = DatasetContract(
        name=into,
        version="1.0.0",
        title_zh=f"{card.title.zh}结果（{into.split('.', 1)[1]}）"[:200],
        title_en=f"result of {card.title.en}"[:200],
        description=f"Result of component {card.name} on {source}.",
        warehouse=into.split(".", 1)[0],
        library="scene",
        classification="一般-2",
        access="owner",
        columns=tuple(_keyed(column, column.name in key) for column in columns.values()),
        key=tuple(key),
        example=_example(card, columns),
    )
    return validated(made)


def _keyed(column: Column, is_key: bool) -> Column:
    return replace(column, required=True) if is_key else column


def _example(card: Card, columns: dict[str, Column]) -> dict[str, Any]:
    """A valid row: what the first golden vector gives, else a plain value of the type."""
    outputs = card.golden[0].outputs if card.golden else []
    given = outputs[0] if isinstance(outputs, list) and outputs else {}
    return {name: _value(column, given.get(name)) for name, column in columns.items()}


def _value(column: Column, given: Any) -> Any:
    if given is None:
        plain = {
            "number": column.minimum or 0.0,
            "integer": int(column.minimum or 0),
            "boolean": True,
            "string": column.enum[0] if column.enum else "示例"[: column.max_length],
            "date": "2026-01-31",
            "timestamp": "2026-01-31T00:00:00Z",
        }
        return plain[column.logical_type]
    if column.logical_type == "timestamp" and isinstance(given, str) and not ZONE.search(given):
        return f"{given}Z"
    return given


def _column(name: str, schema: ColumnSchema, required: bool) -> Column:
    logical = FORMATS[schema.format] if schema.format else LOGICAL[schema.scalar]
    enum = tuple(str(item) for item in schema.enum or ()) if logical == "string" else ()
    return Column(
        name=name,
        logical_type=logical,
        title_zh=schema.title or "",
        title_en=schema.title_en or "",
        description=schema.description or "",
        unit="" if schema.unit in (None, "1") else str(schema.unit),
        required=required and not schema.nullable,
        enum=enum[:MAX_ENUM],
        minimum=schema.minimum,
        maximum=schema.maximum,
        max_length=schema.max_length,
    )


def run_settings(card: Card, mapping: dict[str, str], parameters: dict[str, Any]) -> dict[str, Any]:
    """What the runner reads beside card and files: which column fills which, and every parameter's value."""
    return {"mapping": mapping, "parameters": card.signature.settled(parameters)}
