"""The check of tensors against a signature: names, data types, shapes with named dimensions, values."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np

from algorithm_dev.domain.findings import Finding, named
from algorithm_dev.domain.signature import Tensor, Tensors

DTYPES: dict[str, type] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}
# As `struct` and numpy say it, and the largest number.
FLOATS = {
    name: (letter, np.dtype(DTYPES[name]), float(np.finfo(DTYPES[name]).max))
    for name, letter in (("FP32", "f"), ("FP64", "d"))
}
MAX_ELEMENTS = 1 << 28


class TensorInvalid(ValueError):
    """Nested lists do not make a tensor of that data type."""


def to_array(tensor: Tensor, value: Any) -> np.ndarray[Any, Any]:
    """The value as an array of the tensor's data type; nested lists are converted only where nothing is lost.

    An array comes back as it is when its type fits. Raises TensorInvalid.
    """
    if isinstance(value, np.ndarray):
        return _same_kind(tensor, value)
    try:
        array = np.array(value, dtype=None if _size(value) else DTYPES.get(tensor.dtype, np.object_))
    except (ValueError, OverflowError, TypeError) as error:
        raise TensorInvalid("各行长度不一，或含有不能放入张量的值") from error
    if tensor.dtype == "BYTES":
        if array.size and not all(isinstance(item, str | bytes) for item in array.ravel().tolist()):
            raise TensorInvalid("应全为文本")
        return array.astype(np.object_)
    wanted = np.dtype(DTYPES[tensor.dtype])
    kinds = {"b": "b", "u": "iu", "i": "iu", "f": "iuf"}[wanted.kind]
    if array.dtype.kind not in kinds:
        raise TensorInvalid(f"应为 {tensor.dtype}，含有其他类型的值")
    return _narrow(tensor, array, wanted)


def _narrow(tensor: Tensor, array: np.ndarray[Any, Any], wanted: np.dtype[Any]) -> np.ndarray[Any, Any]:
    if wanted.kind in "iu" and array.size:
        limits = np.iinfo(wanted)
        low, high = int(array.min()), int(array.max())
        if low < limits.min or high > limits.max:
            raise TensorInvalid(f"值 {low}…{high} 超出 {tensor.dtype} 的范围 {limits.min}…{limits.max}")
    if wanted.kind == "f" and wanted.itemsize < 8 and array.size:
        size = np.abs(array)
        if ((size > np.finfo(wanted).max) & np.isfinite(size)).any():
            raise TensorInvalid(f"有值超出 {tensor.dtype} 的范围")
    return array.astype(wanted)


def _same_kind(tensor: Tensor, value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if tensor.dtype == "BYTES":
        fits = value.dtype.kind in "OSU"
    else:
        fits = value.dtype == np.dtype(DTYPES[tensor.dtype])
    if not fits:
        raise TensorInvalid(f"数据类型是 {value.dtype}，应为 {tensor.dtype}")
    return value


def _size(value: Any) -> int:
    while isinstance(value, list):
        if not value:
            return 0
        value = value[0]
    return 1


def check_tensors(side: Tensors, value: Any) -> list[Finding]:
    """What does not fit a tensors signature; a named dimension must have one size in the whole call."""
    if not isinstance(value, Mapping):
        return [Finding(None, "tensors", "应为张量名到值的键值结构", "传 {张量名: 数组}")]
    known = {item.name: item for item in side.tensors}
    listed = "、".join(known)
    found = [Finding(None, named(name), "没有这个张量", f"可用的张量：{listed}") for name in value if name not in known]
    sizes: dict[str, tuple[int, str]] = {}
    for name, tensor in known.items():
        if name not in value:
            found.append(Finding(None, name, "缺少该张量", f"补上 {tensor.dtype} {tensor.shape}"))
            continue
        try:
            array = to_array(tensor, value[name])
        except TensorInvalid as error:
            found.append(Finding(None, name, str(error), f"传 {tensor.dtype} {tensor.shape}"))
            continue
        found += [*_shape(tensor, array.shape, sizes), *_values(tensor, array)]
    return found


def fitting_arrays(side: Tensors, value: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]] | None:
    """The arrays of tensors of floats that `check_tensors` finds nothing wrong with, by fewer steps than it takes.

    None: something does not fit, or cannot be told in short; then `to_array` and `check_tensors` tell.
    """
    if len(value) != len(side.tensors):
        return None
    arrays = {}
    sizes: dict[str, int] = {}
    for tensor in side.tensors:
        array = _fitting(tensor, value.get(tensor.name))
        if array is None or len(array.shape) != len(tensor.shape):
            return None
        for size, wanted in zip(array.shape, tensor.shape, strict=True):
            if size != (wanted if isinstance(wanted, int) else sizes.setdefault(wanted, size)):
                return None
        arrays[tensor.name] = array
    return arrays


def _fitting(tensor: Tensor, value: Any) -> np.ndarray[Any, Any] | None:
    """The array of plain floats, packed without numpy: its way from lists costs more than a small model."""
    form = FLOATS.get(tensor.dtype)
    if form is None or type(value) is not list or not value or tensor.minimum is not None or tensor.maximum is not None:
        return None
    shape: tuple[int, ...] = (len(value),)
    if type(value[0]) is list:
        shape = (len(value), len(value[0]))
        if any(type(row) is not list or len(row) != shape[1] for row in value):
            return None
        value = value[0] if len(value) == 1 else list(chain.from_iterable(value))
    # One sum tells of all whether there is an infinity or NaN: they stay in it.
    if set(map(type, value)) != {float} or not math.isfinite(sum(value)):
        return None
    if max(value) > form[2] or min(value) < -form[2]:
        return None
    return np.frombuffer(struct.pack(f"{len(value)}{form[0]}", *value), form[1]).reshape(shape)


def _shape(tensor: Tensor, shape: tuple[int, ...], sizes: dict[str, tuple[int, str]]) -> Iterator[Finding]:
    if len(shape) != len(tensor.shape):
        reason = f"有 {len(shape)} 维（形状 {list(shape)}），应为 {len(tensor.shape)} 维"
        yield Finding(None, tensor.name, reason, f"整理成形状 {tensor.shape}")
        return
    for axis, (size, wanted) in enumerate(zip(shape, tensor.shape, strict=True)):
        if isinstance(wanted, int):
            if size != wanted:
                yield Finding(None, tensor.name, f"第 {axis} 维是 {size}，应为 {wanted}", f"整理成形状 {tensor.shape}")
        else:
            first, where = sizes.setdefault(wanted, (size, tensor.name))
            if first != size:
                reason = f"维 {wanted} 是 {size}，而 {where} 中是 {first}"
                yield Finding(None, tensor.name, reason, f"让所有张量的 {wanted} 维一样长")


def _values(tensor: Tensor, array: np.ndarray[Any, Any]) -> Iterator[Finding]:
    if array.dtype.kind not in "iuf" or not array.size:
        return
    if array.dtype.kind == "f":
        bad = np.isinf(array) if tensor.nan_allowed else ~np.isfinite(array)
        if bad.any():
            at = np.argwhere(bad)[0].tolist()
            reason = f"{int(bad.sum())} 个值是 NaN 或无穷，第一个在 {at}"
            yield Finding(at[0] + 1 if at else None, tensor.name, reason, "补上或去掉这些值")
            return
    for limit, broken, words in (
        (tensor.minimum, np.less, "小于下限"),
        (tensor.maximum, np.greater, "大于上限"),
    ):
        if limit is not None and (outside := broken(array, limit)).any():
            at = np.argwhere(outside)[0].tolist()
            reason = f"{int(outside.sum())} 个值{words} {limit:g}，第一个在 {at}"
            yield Finding(at[0] + 1 if at else None, tensor.name, reason, "改正这些值")
