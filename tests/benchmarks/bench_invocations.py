"""What a single call of an ONNX model through the gateway adds to onnxruntime itself, sixteen callers at once.

Reference: sixteen callers of one onnxruntime session in one process, with the same number of threads in an operator.
The model is a perceptron of 20 inputs and two hidden layers; the two take turns, so that a neighbour on the machine
disturbs both alike. Client and server share the machine's cores.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import uvloop
from brain_contracts.codes import make_uscc
from brain_testing.process import PlatformProcess
from industry_brain.apiclient import ApiClient
from onnx import TensorProto, helper, numpy_helper

CALLERS, ROUNDS, CALLS = 16, 5, 3000
INPUTS, HIDDEN = 20, 64
PATH = "/api/algorithm-dev/v1/components/bench-perceptron/versions/1.0.0/invocations"


def run() -> dict[str, Any]:
    """Median milliseconds of a call in process and through the gateway, and what the gateway adds."""
    content = _model()
    with tempfile.TemporaryDirectory() as folder, PlatformProcess(Path(folder)) as platform:
        key = _publish(platform.url, Path(folder), content)
        row = np.linspace(0.0, 1.0, INPUTS, dtype=np.float32)[None, :]
        request = _request(urlsplit(platform.url).netloc, key, {"inputs": {"x": row.tolist()}})
        uvloop.run(_load(platform.url, request, 500))
        inside, through, rates = [], [], []
        for _ in range(ROUNDS):
            inside += _in_process(content, row, CALLS)
            times, rate = uvloop.run(_load(platform.url, request, CALLS))
            through += times
            rates.append(rate)
    reference_ms, gateway_ms = statistics.median(inside), statistics.median(through)
    return {
        f"onnxruntime in process, c={CALLERS}, p50": {"value": reference_ms, "unit": "ms"},
        f"through the gateway, c={CALLERS}, p50": {"value": gateway_ms, "unit": "ms"},
        f"through the gateway, c={CALLERS}, p99": {"value": statistics.quantiles(through, n=100)[98], "unit": "ms"},
        f"through the gateway, c={CALLERS}": {"value": statistics.median(rates), "unit": "calls/s"},
        "added p50": {"value": gateway_ms - reference_ms, "unit": "ms", "bound": 2, "better": "less"},
    }


def _model() -> bytes:
    random = np.random.default_rng(0)
    sizes = [(INPUTS, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 1)]
    weights = [
        numpy_helper.from_array(random.normal(size=size).astype(np.float32), f"w{i}") for i, size in enumerate(sizes)
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "w1"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("MatMul", ["d", "w2"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", INPUTS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])],
        weights,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(made.SerializeToString())


def _publish(url: str, home: Path, content: bytes) -> str:
    """Registers the model by the operator, approves it by a department; the department's key."""
    first = json.loads((home / "first-credentials.json").read_text(encoding="utf-8"))["operator"]["api_key"]
    base = "/api/algorithm-dev/v1"
    with ApiClient(url, first) as operator:
        digest = operator.put(f"{base}/artefacts", content, "application/onnx")["sha256"]
        place = f"{base}/components/bench-perceptron/versions/1.0.0"
        operator.put(place, json.dumps(_card(digest, content)).encode(), "application/json")
        operator.post(f"{place}/submit")
        org = make_uscc("370300", 77, registrar="12")
        body = {"uscc": org, "name": "测量", "kind": "department", "region": "370300"}
        operator.post("/api/identity/v1/organisations", body)
        key: str = operator.post("/api/identity/v1/keys", {"org": org, "name": "bench"})["key"]
    with ApiClient(url, key) as department:
        department.post(f"{place}/approve", {"reason": "测量"})
    return first


def _card(digest: str, content: bytes) -> dict[str, Any]:
    text = {"zh": "测量用感知机", "en": "perceptron for measuring"}
    session = _session(content)
    inputs = np.ones((1, INPUTS), dtype=np.float32)
    expected = session.run(None, {"x": inputs})[0].tolist()
    tensor = {"dtype": "FP32", "unit": "1"}
    return {
        "card": "1", "name": "bench-perceptron", "version": "1.0.0", "title": text, "kind": "algorithm",
        "description": text, "owner": "platform", "licence": "Apache-2.0", "runtime": "onnx", "entry": "model.onnx",
        "artefacts": [
            {"path": "model.onnx", "sha256": digest, "bytes": len(content), "media_type": "application/onnx"}
        ],
        "signature": {
            "inputs": {"form": "tensors", "tensors": [tensor | {"name": "x", "shape": ["batch", INPUTS]}]},
            "outputs": {"form": "tensors", "tensors": [tensor | {"name": "y", "shape": ["batch", 1]}]},
        },
        "golden": [
            {
                "name": "ones", "title": text, "source": {"title": "onnxruntime"}, "inputs": {"x": inputs.tolist()},
                "outputs": {"y": expected}, "tolerance": {"relative": 1e-5},
            }
        ],
    }  # fmt: skip


def _session(content: bytes) -> Any:
    from algorithm_dev.engine.onnx import open_session

    return open_session(content, threads=1)


def _in_process(content: bytes, row: Any, calls: int) -> list[float]:
    session = _session(content)
    times: list[float] = []

    def call() -> None:
        own = []
        for _ in range(calls // CALLERS):
            started = time.perf_counter()
            session.run(None, {"x": row})
            own.append((time.perf_counter() - started) * 1000)
        times.extend(own)

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def _request(host: str, key: str, body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def _load(url: str, request: bytes, calls: int) -> tuple[list[float], float]:
    """(milliseconds of each call, calls per second) of CALLERS connections that call one after the other."""
    address = urlsplit(url)
    started = time.perf_counter()
    found = await asyncio.gather(
        *(_caller(str(address.hostname), int(address.port or 80), request, calls // CALLERS) for _ in range(CALLERS))
    )
    elapsed = time.perf_counter() - started
    times = [item for own in found for item in own]
    return times, len(times) / elapsed


async def _caller(host: str, port: int, request: bytes, calls: int) -> list[float]:
    reader, writer = await asyncio.open_connection(host, port)
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        times.append((time.perf_counter() - started) * 1000)
    writer.close()
    return times
