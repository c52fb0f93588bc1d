"""ONNX files judged by their bytes; the files are written by the onnx library."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile

import numpy as np
import onnx
import pytest
from algorithm_dev.domain.onnx_file import ModelRefused, TensorPort, read_model
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.algorithm_dev import models

MOST = 1 << 26
PORTS = ([TensorPort("x", "FP32", ("batch", 3))], [TensorPort("y", "FP32", ("batch", 2))])


def refusal(content: bytes) -> str:
    """The code of a refusal, whose text is Chinese."""
    with pytest.raises(ModelRefused) as caught:
        read_model(content, most_bytes=MOST)
    assert any("\u4e00" <= letter <= "\u9fff" for letter in str(caught.value))
    return caught.value.code


def test_a_sound_model_tells_its_ports_opsets_operators_and_weights() -> None:
    """As the library wrote them: 3 x 2 floats are 24 bytes."""
    facts = read_model(models.linear(), most_bytes=MOST)

    assert (facts.inputs, facts.outputs) == PORTS
    assert (facts.opsets, facts.operators, facts.nodes, facts.weight_bytes) == ({"": 17}, {"MatMul"}, 1, 24)
    assert not facts.has_loop
    assert read_model(models.endless_loop(), most_bytes=MOST).has_loop


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3), np.float64), np.zeros((4,), np.int64), np.zeros((3,), np.int8), np.zeros((0, 5), np.float32),
        np.array(1.5, np.float16), np.zeros((2, 2), np.bool_), np.zeros((3,), np.uint64), np.array(["a", "b"], object),
    ],
)  # fmt: skip
def test_tensors_of_every_type_are_measured(array: np.ndarray) -> None:
    """Raw, as the library stores numpy arrays, and in the typed fields."""
    raw = numpy_helper.from_array(array, "w")
    kind = raw.data_type
    values = array.view(np.uint16) if array.dtype == np.float16 else array
    typed = helper.make_tensor("w", kind, array.shape, list(np.ravel(values).tolist()))
    node = helper.make_node("Identity", ["x"], ["y"])
    for tensor in (raw, typed):
        read_model(models.model([node], [tensor]), most_bytes=MOST)
        tensor.dims[:] = [*array.shape, 7] if array.size else [5, 5]
        assert refusal(models.model([node], [tensor])) == "model_tensor"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "model_empty"),
        (pickle.dumps({"weights": [1, 2]}), "pickle_refused"),
        (pickle.dumps({"weights": [1, 2]}, protocol=2), "pickle_refused"),
        (b"cposix\nsystem\n(S'id'\ntR.", "pickle_refused"),
        (gzip.compress(models.linear()), "model_not_onnx"),
        (b'{"card": "1"}', "model_not_onnx"),
        (b"\x89HDF\r\n\x1a\n", "model_not_onnx"),
        (models.with_external_data(), "model_external_data"),
        (models.with_huge_initialiser(), "model_tensor"),
        (models.with_custom_operator(), "model_custom_operators"),
        (models.with_undeclared_domain(), "model_custom_operators"),
        (models.linear(opsets={"": 3}), "model_opset"),
        (models.linear(opsets={"": 99}), "model_opset"),
        (models.linear(np.zeros((MOST // 8, 3), np.float32)), "model_too_large"),
    ],
)
def test_what_must_not_be_loaded_is_refused_with_its_reason(content: bytes, code: str) -> None:
    """Each rule by its own code."""
    assert refusal(content) == code


def test_a_pytorch_file_is_called_a_pickle() -> None:
    """The usual .pt is a zip with data.pkl in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("archive/data.pkl", pickle.dumps([1]))
    assert refusal(buffer.getvalue()) == "pickle_refused"


def test_functions_training_parts_sparse_weights_and_sequences_are_refused() -> None:
    """Nothing that a published component needs, all of it harder to judge."""
    made = onnx.load_from_string(models.linear())
    made.functions.add().name = "f"
    assert refusal(made.SerializeToString()) == "model_functions"
    made = onnx.load_from_string(models.linear())
    made.training_info.add()
    assert refusal(made.SerializeToString()) == "model_training"
    made = onnx.load_from_string(models.linear())
    made.graph.sparse_initializer.add().dims.append(3)
    assert refusal(made.SerializeToString()) == "model_sparse"
    sequence = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    assert refusal(models.model([helper.make_node("Identity", ["x"], ["y"])], [], outputs=[sequence])) == "model_port"


def test_external_data_in_a_nested_constant_is_found() -> None:
    """In an attribute of a node of a subgraph of a loop."""
    made = onnx.load_from_string(models.endless_loop())
    body = next(item.g for node in made.graph.node for item in node.attribute if item.HasField("g"))
    constant = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0]))
    constant.attribute[0].t.ClearField("float_data")
    constant.attribute[0].t.data_location = TensorProto.EXTERNAL
    entry = constant.attribute[0].t.external_data.add()
    entry.key, entry.value = "location", "/etc/shadow"
    body.node.append(constant)
    assert refusal(made.SerializeToString()) == "model_external_data"


def test_every_truncation_is_refused() -> None:
    """Wherever the file ends."""
    content = models.linear()
    for size in range(len(content)):
        with pytest.raises(ModelRefused):
            read_model(content[:size], most_bytes=MOST)


@given(st.binary(max_size=200), st.integers(0, 120))
def test_no_bytes_make_the_reader_fail_otherwise(noise: bytes, at: int) -> None:
    """Whatever comes, it is read or refused."""
    content = models.linear()
    for mutated in (noise, content[:at] + noise + content[at + len(noise) :]):
        try:
            read_model(mutated, most_bytes=MOST)
        except ModelRefused:
            continue


def test_the_readers_ports_are_those_of_the_library() -> None:
    """The library reads the same file as an oracle."""
    made = onnx.load_from_string(models.linear())
    read = read_model(models.linear(), most_bytes=MOST)
    names = [item.name for item in made.graph.input], [item.name for item in made.graph.output]
    assert ([port.name for port in read.inputs], [port.name for port in read.outputs]) == names
