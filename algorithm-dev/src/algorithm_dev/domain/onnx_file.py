"""What an ONNX file holds, and whether it may be loaded: judged from its bytes before any library sees them.

Field numbers follow onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3). Refused are files of other
kinds (pickle above all), files cut short, data outside the file, tensors that promise more than the file holds,
operators outside the two standard domains, and what no published component needs: functions, sparse initialisers,
training parts, inputs and outputs that are no tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from algorithm_dev.domain import wire
from algorithm_dev.domain.onnx_elements import ELEMENTS, count_of

MAX_NODES = 100_000
MAX_DEPTH = 16
MAX_DIMENSIONS = 32
DOMAINS = {"": (7, 25), "ai.onnx.ml": (1, 5)}
"""Operator domains with the oldest and newest opset that are taken; "" is ai.onnx."""
LOOPS = frozenset({"Loop", "Scan"})
_PICKLE = "pickle 不能用：打开它就会执行其中的代码。请把模型导出为 ONNX 后上传"
_PICKLE_TEXT = (b"ccopy_reg\n", b"cposix\n", b"c__builtin__\n", b"cbuiltins\n", b"(dp0\n", b"(lp0\n", b"(i__main__")
_OTHERS = (
    (b"PK\x03\x04", "这是 ZIP 包（PyTorch 的 .pt 也是，里面是 pickle），不是 ONNX：" + _PICKLE),
    (b"\x89HDF", "这是 HDF5（Keras）文件，不是 ONNX：请导出为 ONNX 后上传"),
    (b"\x1f\x8b", "这是 gzip 压缩文件，不是 ONNX：请解压后上传"),
    (b"GGUF", "这是 GGUF 文件，不是 ONNX"),
    (b"\x93NUMPY", "这是 NumPy 数组，不是 ONNX"),
    (b"{", "这是文本（JSON），不是 ONNX"),
)
_PARTS_REFUSED = {
    20: ("model_training", "模型带有训练部分（training_info）：请只导出推理部分"),
    25: ("model_functions", "模型带有自定义函数：请先用 onnx.inliner 展开"),
}


class ModelRefused(ValueError):
    """The file is no ONNX model that may be loaded; `code` is stable, the text says what to do."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True)
class TensorPort:
    """An input or output: name, data type (Open Inference Protocol), sizes or names of its dimensions."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass
class ModelFacts:
    """What a file holds: its ports, opsets by domain, operators, bytes of its weights, and whether it loops."""

    inputs: list[TensorPort] = field(default_factory=list)
    outputs: list[TensorPort] = field(default_factory=list)
    opsets: dict[str, int] = field(default_factory=dict)
    operators: set[str] = field(default_factory=set)
    nodes: int = 0
    weight_bytes: int = 0
    producer: str = ""

    @property
    def has_loop(self) -> bool:
        """Whether its running time may depend on values, not only on shapes."""
        return bool(self.operators & LOOPS)


def read_model(content: bytes, *, most_bytes: int) -> ModelFacts:
    """The facts of an ONNX file. Raises ModelRefused."""
    _check_kind(content)
    if len(content) > most_bytes:
        raise ModelRefused("model_too_large", f"模型 {len(content):,} 字节，上限 {most_bytes:,} 字节：请裁剪或量化")
    reader = _Reader(most_bytes)
    try:
        return reader.model(memoryview(content))
    except wire.WireBroken as error:
        reason = f"不是完整的 ONNX 文件：{error}。文件可能被截断，请重新导出并上传"
        raise ModelRefused("model_truncated", reason) from error


def _check_kind(content: bytes) -> None:
    if not content:
        raise ModelRefused("model_empty", "文件是空的：请上传 ONNX 模型")
    is_binary_pickle = content[0] == 0x80 and len(content) > 1 and content[1] in range(2, 6)
    if is_binary_pickle or content.startswith(_PICKLE_TEXT):
        raise ModelRefused("pickle_refused", _PICKLE)
    for magic, reason in _OTHERS:
        if content.startswith(magic):
            code = "pickle_refused" if magic == b"PK\x03\x04" else "model_not_onnx"
            raise ModelRefused(code, reason)


class _Reader:
    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._facts = ModelFacts()

    def model(self, message: memoryview) -> ModelFacts:
        graph: memoryview | None = None
        ir_version = 0
        for number, _, value in wire.fields(message):
            if number == 1 and isinstance(value, int):
                ir_version = value
            elif number == 2:
                self._facts.producer = wire.text(value)[:100]
            elif number == 7 and isinstance(value, memoryview):
                graph = value
            elif number == 8:
                self._opset(_message(value))
            elif number in _PARTS_REFUSED:
                raise ModelRefused(*_PARTS_REFUSED[number])
        if not ir_version or graph is None:
            raise ModelRefused("model_not_onnx", "不是 ONNX 模型：没有 ir_version 或计算图。请导出为 ONNX 后上传")
        if not self._facts.opsets:
            raise ModelRefused("model_opset", "模型没有声明算子集版本（opset_import）")
        self._graph(graph, depth=0)
        if not self._facts.outputs:
            raise ModelRefused("model_without_outputs", "模型没有输出")
        return self._facts

    def _opset(self, message: memoryview) -> None:
        domain, version = "", 0
        for number, _, value in wire.fields(message):
            if number == 1:
                domain = wire.text(value)
            elif number == 2:
                version = wire.signed(value)
        domain = "" if domain == "ai.onnx" else domain
        if domain not in DOMAINS:
            raise ModelRefused(
                "model_custom_operators",
                f"不支持算子域 {domain[:60]}：只接受标准域 ai.onnx 与 ai.onnx.ml，自定义算子是外来代码",
            )
        low, high = DOMAINS[domain]
        if not low <= version <= high:
            shown = domain or "ai.onnx"
            raise ModelRefused("model_opset", f"{shown} 的算子集版本 {version} 不支持：请用 {low} 到 {high} 导出")
        self._facts.opsets[domain] = version

    def _graph(self, message: memoryview, *, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ModelRefused("model_too_deep", f"子图嵌套超过 {MAX_DEPTH} 层")
        initialised: set[str] = set()
        inputs: list[memoryview] = []
        outputs: list[memoryview] = []
        for number, _, value in wire.fields(message):
            if number == 1:
                self._node(_message(value), depth)
            elif number == 5:
                initialised.add(self._tensor(_message(value)))
            elif number == 15:
                raise ModelRefused("model_sparse", "不支持稀疏初始值：请转成稠密张量")
            elif number == 11:
                inputs.append(_message(value))
            elif number == 12:
                outputs.append(_message(value))
        if depth == 0:
            ports = [_port(item, "输入") for item in inputs]
            self._facts.inputs = [port for port in ports if port.name not in initialised]
            self._facts.outputs = [_port(item, "输出") for item in outputs]

    def _node(self, message: memoryview, depth: int) -> None:
        self._facts.nodes += 1
        if self._facts.nodes > MAX_NODES:
            raise ModelRefused("model_too_large", f"节点超过 {MAX_NODES:,} 个")
        operator, domain = "", ""
        for number, _, value in wire.fields(message):
            if number == 4:
                operator = wire.text(value)
            elif number == 7:
                domain = wire.text(value)
            elif number == 5:
                self._attribute(_message(value), depth)
        if domain not in ("", "ai.onnx", "ai.onnx.ml"):
            raise ModelRefused(
                "model_custom_operators",
                f"算子 {operator[:60]} 属于域 {domain[:60]}：只接受标准域 ai.onnx 与 ai.onnx.ml，自定义算子是外来代码",
            )
        self._facts.operators.add(operator)

    def _attribute(self, message: memoryview, depth: int) -> None:
        for number, _, value in wire.fields(message):
            if number in (5, 10):
                self._tensor(_message(value))
            elif number in (6, 11):
                self._graph(_message(value), depth=depth + 1)
            elif number in (22, 23):
                raise ModelRefused("model_sparse", "不支持稀疏张量：请转成稠密张量")

    def _tensor(self, message: memoryview) -> str:
        """The name of a tensor that holds exactly what it promises."""
        dims: list[int] = []
        name, kind, location = "", 0, 0
        held: dict[int, int] = {}
        external = ""
        for number, wire_kind, value in wire.fields(message):
            if number == 1:
                dims.extend(wire.packed_integers(value))
            elif number == 2:
                kind = wire.signed(value)
            elif number == 8:
                name = wire.text(value)
            elif number == 13:
                external = external or _external_path(_message(value))
            elif number == 14:
                location = wire.signed(value)
            else:
                held[number] = held.get(number, 0) + count_of(number, wire_kind, value)
        if external or location:
            where = f"（{external[:80]}）" if external else ""
            raise ModelRefused(
                "model_external_data",
                f"张量 {name[:60]} 的数据在文件之外{where}：外部路径不会被读取，请把权重存进同一个 ONNX 文件",
            )
        self._facts.weight_bytes += self._size(name, dims, kind, held)
        if self._facts.weight_bytes > self._most_bytes:
            raise ModelRefused("model_too_large", f"权重合计超过 {self._most_bytes:,} 字节")
        return name

    def _size(self, name: str, dims: list[int], kind: int, held: dict[int, int]) -> int:
        if len(dims) > MAX_DIMENSIONS or any(size < 0 for size in dims):
            raise ModelRefused("model_tensor", f"张量 {name[:60]} 的形状 {dims[:8]} 无效")
        if kind not in ELEMENTS:
            raise ModelRefused("model_tensor", f"张量 {name[:60]} 的数据类型 {kind} 不支持")
        element = ELEMENTS[kind]
        promised = math.prod(dims)
        size = math.ceil(promised * element.bits / 8)
        if element.is_whole(promised, held):
            return size
        raise ModelRefused(
            "model_tensor",
            f"张量 {name[:60]} 声明 {promised:,} 个元素（{size:,} 字节），文件里没有这么多数据：请重新导出",
        )


def _message(value: wire.Value) -> memoryview:
    if not isinstance(value, memoryview):
        raise wire.WireBroken("应为内嵌消息", 0)
    return value


def _external_path(entry: memoryview) -> str:
    parts = {number: wire.text(value) for number, _, value in wire.fields(entry)}
    return parts.get(2, "") if parts.get(1) == "location" else ""


def _port(message: memoryview, side: str) -> TensorPort:
    name, kind = "", None
    for number, _, value in wire.fields(message):
        if number == 1:
            name = wire.text(value)
        elif number == 2:
            kind = _message(value)
    if kind is not None:
        for number, _, value in wire.fields(kind):
            if number == 1:
                return _tensor_port(name, _message(value), side)
    raise ModelRefused(
        "model_port", f"{side} {name[:60]} 不是张量：序列与映射不支持（scikit-learn 导出时请关闭 ZipMap）"
    )


def _tensor_port(name: str, message: memoryview, side: str) -> TensorPort:
    kind = 0
    shape: list[int | str] = []
    for number, _, value in wire.fields(message):
        if number == 1:
            kind = wire.signed(value)
        elif number == 2:
            shape.extend(_dimension(_message(item)) for part, _, item in wire.fields(_message(value)) if part == 1)
    element = ELEMENTS.get(kind)
    if element is None or not element.dtype:
        raise ModelRefused("model_port", f"{side} {name[:60]} 的数据类型 {kind} 不支持")
    return TensorPort(name, element.dtype, tuple(shape))


def _dimension(message: memoryview) -> int | str:
    for number, _, value in wire.fields(message):
        if number == 1:
            return wire.signed(value)
        if number == 2:
            return wire.text(value)
    return "?"


def port_mismatches(ports: list[TensorPort], declared: list[TensorPort], side: str) -> Iterator[tuple[str, str]]:
    """(tensor, what differs) between a model's ports and those of its card; a named dimension fits any size."""
    by_name = {port.name: port for port in ports}
    for wanted in declared:
        found = by_name.pop(wanted.name, None)
        if found is None:
            yield wanted.name, f"模型没有名为 {wanted.name} 的{side}；模型的{side}：{'、'.join(p.name for p in ports)}"
        elif found.dtype != wanted.dtype:
            yield wanted.name, f"类型写的是 {wanted.dtype}，模型是 {found.dtype}"
        elif found.shape and not _fits(found.shape, wanted.shape):
            yield wanted.name, f"形状写的是 {list(wanted.shape)}，模型是 {list(found.shape)}"
    if side == "输入":
        for name in by_name:
            yield name, f"模型需要输入 {name}，卡片没有写"


def _fits(model: tuple[int | str, ...], card: tuple[int | str, ...]) -> bool:
    if len(model) != len(card):
        return False
    pairs = zip(model, card, strict=True)
    return all(not isinstance(have, int) or not isinstance(want, int) or have == want for have, want in pairs)
