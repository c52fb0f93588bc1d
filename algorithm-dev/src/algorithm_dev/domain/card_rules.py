"""Rules of a card that a JSON Schema cannot say: each wrong field with the reason, all at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from brain_contracts.codes import CodeInvalid, check_uscc
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from algorithm_dev.domain.card import Card, GoldenVector
from algorithm_dev.domain.check import check_parameters, check_signature, check_value
from algorithm_dev.domain.findings import Finding, named
from algorithm_dev.domain.signature import ColumnSchema, Parameter, Rows, Side, Tensor, Tensors
from algorithm_dev.domain.tensor_check import TensorInvalid, to_array

Found = Iterator[tuple[str, str]]
PICKLED = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".dill", ".npy", ".h5")
PLATFORM = "platform"


def contradictions(card: Card) -> list[tuple[str, str]]:
    """What contradicts itself or a standard in a well-formed card: (field, reason)."""
    found = [*_identity(card), *_artefacts(card), *_signature(card)]
    return found or list(_golden(card))


def _identity(card: Card) -> Found:
    try:
        canonical = canonicalize_license_expression(card.licence)
        if canonical != card.licence:
            yield "licence", f"应写作 {canonical}"
    except InvalidLicenseExpression:
        yield "licence", "不是 SPDX 许可标识；请用如 Apache-2.0、MIT、MulanPSL-2.0，自有许可用 LicenseRef-名称"
    if card.owner != PLATFORM:
        try:
            check_uscc(card.owner)
        except CodeInvalid as error:
            yield "owner", f"应为统一社会信用代码或 platform：{error}"


def _artefacts(card: Card) -> Found:
    paths = [item.path for item in card.artefacts]
    for number, path in enumerate(paths):
        field = f"artefacts[{number}].path"
        parts = path.split("/")
        if "\\" in path or path.startswith("/") or any(part in ("", ".", "..") for part in parts) or ":" in path:
            yield field, "应为组件内的相对路径，用 / 分隔，不含 . 或 .."
        if path.lower().endswith(PICKLED):
            yield field, "不接受 pickle 一类可执行的序列化文件，请导出为 ONNX"
        if paths.index(path) != number:
            yield field, f"文件 {path} 出现两次"
    if card.entry not in paths:
        yield "entry", f"不在 artefacts 中；可选：{'、'.join(paths[:5])}"
    if card.runtime == "sql":
        for name, side in (("inputs", card.signature.inputs), ("outputs", card.signature.outputs)):
            if not isinstance(side, Rows):
                yield f"signature.{name}.form", "SQL 组件的输入和输出都是行（rows）"
    if card.runtime == "onnx" and not isinstance(card.signature.inputs, type(card.signature.outputs)):
        yield "signature.outputs.form", "ONNX 组件的输入与输出应同为行（rows）或同为张量（tensors）"


def _signature(card: Card) -> Found:
    signature = card.signature
    for side in ("inputs", "outputs"):
        value: Side = getattr(signature, side)
        yield from (
            _rows(f"signature.{side}", value) if isinstance(value, Rows) else _tensors(f"signature.{side}", value)
        )
    yield from _twice("signature.parameters", [item.name for item in signature.parameters])
    for number, item in enumerate(signature.parameters):
        yield from _bounds(f"signature.parameters[{number}]", item, item.type)
    if isinstance(signature.inputs, Rows):
        taken = {name.lower() for name in signature.inputs.columns}
        for number, item in enumerate(signature.parameters):
            if item.name.lower() in taken:
                yield f"signature.parameters[{number}].name", f"与输入列 {item.name} 同名，请改名"
    defaults = check_parameters(signature, {item.name: item.default for item in signature.parameters})
    for finding in defaults:
        yield f"signature.parameters.{finding.field}.default", f"{finding.reason}；{finding.remedy}"


def _rows(place: str, rows: Rows) -> Found:
    names = list(rows.columns)
    yield from _twice(f"{place}.schema.properties", names)
    for key, listed in (("schema.required", rows.row_schema.required), ("order_by", rows.order_by)):
        for name in listed:
            if name not in rows.columns:
                yield f"{place}.{key}", f"没有列 {name}；可选：{'、'.join(names[:10])}"
    if rows.min_rows > rows.max_rows:
        yield f"{place}.min_rows", f"不应大于 max_rows（{rows.max_rows}）"
    for name, column in rows.columns.items():
        field = f"{place}.schema.properties.{name}"
        if not isinstance(column.type, str) and (len(set(column.type)) != len(column.type) or column.scalar == "null"):
            yield f"{field}.type", '应为一个类型，或一个类型加 "null"，如 ["number", "null"]'
            continue
        if not isinstance(column.type, str) and len(column.type) == 2 and not column.nullable:
            yield f"{field}.type", '一列只有一个类型；可空时写 ["number", "null"]'
        if column.format and column.scalar != "string":
            yield f"{field}.format", "format 只用于 string 列"
        if not column.nullable and name not in rows.row_schema.required:
            yield f"{field}.type", '不在 required 中的列应可空：["…", "null"]'
        yield from _bounds(field, column, column.scalar)


def _bounds(field: str, value: ColumnSchema | Parameter, kind: str) -> Found:
    numeric = kind in ("number", "integer")
    bounds = [value.minimum, value.maximum, value.exclusive_minimum, value.exclusive_maximum]
    if numeric and not value.unit:
        yield f"{field}.unit", "数值要写单位；纯数写 1"
    if not numeric and any(bound is not None for bound in bounds):
        yield f"{field}.minimum", "上下限只用于数值"
    low = max((bound for bound in (value.minimum, value.exclusive_minimum) if bound is not None), default=None)
    high = min((bound for bound in (value.maximum, value.exclusive_maximum) if bound is not None), default=None)
    if low is not None and high is not None and low > high:
        yield f"{field}.minimum", f"下限 {low:g} 大于上限 {high:g}"
    for choice in value.enum_titles:
        if value.enum is None or choice not in {str(item) for item in value.enum}:
            yield f"{field}.enum_titles", f"{choice} 不在 enum 中"


def _tensors(place: str, side: Tensors) -> Found:
    yield from _twice(f"{place}.tensors", [item.name for item in side.tensors])
    for number, item in enumerate(side.tensors):
        field = f"{place}.tensors[{number}]"
        if not item.unit and item.dtype not in ("BOOL", "BYTES"):
            yield f"{field}.unit", "数值要写单位；纯数写 1"
        if item.columns and not _columns_fit(item):
            yield f"{field}.columns", f"列数 {len(item.columns)} 与形状 {item.shape} 不符：形状应为 [行] 或 [行, 列数]"


def _columns_fit(item: Tensor) -> bool:
    if not item.shape or isinstance(item.shape[0], int) or len(set(item.columns)) != len(item.columns):
        return False
    return len(item.columns) == 1 if len(item.shape) == 1 else item.shape[1:] == [len(item.columns)]


def _twice(field: str, names: Iterable[str]) -> Found:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            yield field, f"{name} 出现两次（不分大小写）"
        seen.add(name.lower())


def _golden(card: Card) -> Found:
    yield from _twice("golden", [vector.name for vector in card.golden])
    for number, vector in enumerate(card.golden):
        place = f"golden[{number}]"
        yield from _told(f"{place}.inputs", check_signature(card.signature.inputs, vector.inputs))
        yield from _told(f"{place}.parameters", check_parameters(card.signature, vector.parameters))
        yield from _outputs(place, card.signature.outputs, vector)


def _outputs(place: str, side: Side, vector: GoldenVector) -> Found:
    known = set(side.columns) if isinstance(side, Rows) else {item.name for item in side.tensors}
    if isinstance(vector.outputs, list) != isinstance(side, Rows):
        yield f"{place}.outputs", "形式应与 signature.outputs 一致：rows 为列表，tensors 为键值结构"
        return
    if not vector.outputs:
        yield f"{place}.outputs", "没有可比较的值"
    rows = vector.outputs if isinstance(vector.outputs, list) else [vector.outputs]
    for number, row in enumerate(rows, 1):
        for name in row.keys() - known:
            yield f"{place}.outputs[{number}].{named(name)}", f"不是输出；可选：{'、'.join(sorted(known)[:10])}"
        for name in set(vector.key) - row.keys():
            yield f"{place}.outputs[{number}].{name}", "缺少 key 所指的列"
        yield from _expected(f"{place}.outputs", side, number, row)
    for name in vector.tolerances.keys() - known:
        yield f"{place}.tolerances.{name}", "不是输出"


def _expected(place: str, side: Side, number: int, row: dict[str, Any]) -> Found:
    """Values that could never be equal to a result, since they are of another type."""
    if isinstance(side, Rows):
        for name in row.keys() & side.columns.keys():
            yield from _told(place, check_value(number, name, side.columns[name], row[name]))
        return
    for tensor in side.tensors:
        if tensor.name in row:
            try:
                to_array(tensor, row[tensor.name])
            except TensorInvalid as error:
                yield f"{place}.{tensor.name}", str(error)


def _told(place: str, findings: list[Finding]) -> Found:
    for item in findings:
        row = f"[{item.row}]" if item.row is not None else ""
        yield f"{place}{row}.{item.field}", f"{item.reason}；{item.remedy}"
