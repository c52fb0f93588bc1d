"""ONNX models written with the onnx library itself: sound ones, and ones that must be refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=np.float32)


def linear(weights: np.ndarray[Any, Any] = WEIGHTS, **options: Any) -> bytes:
    """y = x @ weights; x: [batch, 3] float, y: [batch, 2] float."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    return model(nodes, [numpy_helper.from_array(weights, "w")], **options)


def model(
    nodes: list[Any],
    initialisers: list[Any],
    *,
    inputs: list[Any] | None = None,
    outputs: list[Any] | None = None,
    opsets: dict[str, int] | None = None,
) -> bytes:
    """A model from its parts."""
    graph = helper.make_graph(
        nodes,
        "g",
        inputs or [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        outputs or [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        initialisers,
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in (opsets or {"": 17}).items()]
    made = helper.make_model(graph, opset_imports=imports, ir_version=9)
    return bytes(made.SerializeToString())


def with_external_data() -> bytes:
    """A model whose weights lie in /etc/passwd."""
    made = onnx.load_from_string(linear())
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/passwd"
    return bytes(made.SerializeToString())


def with_huge_initialiser() -> bytes:
    """A model of a few hundred bytes that declares weights of 4 TB."""
    made = onnx.load_from_string(linear())
    tensor = made.graph.initializer[0]
    del tensor.dims[:]
    tensor.dims.extend([1_000_000, 1_000_000])
    return bytes(made.SerializeToString())


def with_custom_operator() -> bytes:
    """A model with an operator of somebody's own domain."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Shell", ["m"], ["y"], domain="com.evil")]
    return model(nodes, [numpy_helper.from_array(WEIGHTS, "w")], opsets={"": 17, "com.evil": 1})


def with_undeclared_domain() -> bytes:
    """A model whose operator names a domain that the imports leave out."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Gelu", ["m"], ["y"], domain="com.microsoft"),
    ]
    return model(nodes, [numpy_helper.from_array(WEIGHTS, "w")])


def memory_bomb() -> bytes:
    """A model that makes a tensor of 40 GB when it runs: no initialiser is large."""
    shape = numpy_helper.from_array(np.array([100_000, 100_000], dtype=np.int64), "shape")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("ConstantOfShape", ["shape"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["total"], keepdims=0),
        helper.make_node("Add", ["m", "total"], ["y"]),
    ]
    return model(nodes, [numpy_helper.from_array(WEIGHTS, "w"), shape])


def endless_loop() -> bytes:
    """A model that loops 2**62 times."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["going_out"]),
            helper.make_node("Identity", ["carried"], ["carried_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("going_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried_out", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Loop", ["times", "always", "m"], ["y"], body=body),
    ]
    parts = [
        numpy_helper.from_array(WEIGHTS, "w"),
        numpy_helper.from_array(np.array(2**62, dtype=np.int64), "times"),
        numpy_helper.from_array(np.array(True), "always"),
    ]
    return model(nodes, parts)
