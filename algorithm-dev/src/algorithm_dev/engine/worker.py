"""The sandbox process of components: `python -m algorithm_dev.engine.worker FD FOLDER LIMITS`.

It runs one component after the other. It knows no secret and has no environment; the platform kills it whenever a
component uses more than its time.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from brain_kit.sandbox import SandboxLimits, frames
from brain_kit.sandbox.worker import serve

from algorithm_dev.domain.card import Card, parse_card

RESERVED_MIB = 64


class ArtefactWrong(ValueError):
    """The file is not the one that the card names."""


class Desk:
    """Sessions of the last models; a SQL component leaves nothing behind."""

    def __init__(self, folder: Path, limits: SandboxLimits) -> None:
        self._folder = folder
        self._limits = limits
        self._runs = 0
        self._judged: set[str] = set()
        self._sessions: OrderedDict[str, Any] = OrderedDict()

    def answer(self, line: frames.FrameWriter, kind: bytes, request: dict[str, Any]) -> None:
        """CHECK judges the file, RUN runs the component on inputs; both end with DONE or ERROR."""
        started = time.perf_counter()
        try:
            card = parse_card(request["card"])
            content = _content(card, Path(request["path"]))
            result = _check(card, content) if kind == frames.CHECK else self._run(card, content, request)
            elapsed_ms = (time.perf_counter() - started) * 1000
            line.write_json(frames.DONE, {"result": result, "elapsed_ms": round(elapsed_ms, 3)})
        except Exception as error:  # noqa: BLE001 - whatever an engine raises is the component's failure, told to its caller
            self._sessions.clear()
            line.write_json(frames.ERROR, {"kind": type(error).__name__, "message": str(error)[:2000]})

    def reserve(self) -> None:
        """Nothing is made ahead."""

    def _run(self, card: Card, content: bytes, request: dict[str, Any]) -> Any:
        if card.runtime == "sql":
            return self._sql(card, content, request)
        from algorithm_dev.engine import onnx

        session = self._session(card, content)
        feed = onnx.feed_of(card, request["inputs"], request["parameters"])
        names = [item.name for item in session.get_outputs()]
        return onnx.outputs_of(card, names, session.run(names, feed), request["inputs"])

    def _sql(self, card: Card, content: bytes, request: dict[str, Any]) -> Any:
        from algorithm_dev.engine import sql, tables

        digest = card.artefact(card.entry).sha256
        text = content.decode("utf-8-sig") if digest in self._judged else sql.check_sql(content)
        self._judged.add(digest)
        self._runs += 1
        spill = self._folder / f"spill-{self._runs}"
        inputs: Any = card.signature.inputs
        try:
            with sql.open_database(spill, memory_mib=self._limits.memory_mib, threads=1) as connection:
                given = tables.table_of(inputs, request["inputs"])
                return tables.rows_of(sql.run_sql(connection, card, text, given, request["parameters"]))
        finally:
            shutil.rmtree(spill, ignore_errors=True)

    def _session(self, card: Card, content: bytes) -> Any:
        from algorithm_dev.engine import onnx

        digest = card.artefact(card.entry).sha256
        if digest not in self._sessions:
            while len(self._sessions) >= self._limits.kept_scopes:
                self._sessions.popitem(last=False)
            self._sessions[digest] = onnx.open_session(content, threads=1)
        self._sessions.move_to_end(digest)
        return self._sessions[digest]


def _content(card: Card, path: Path) -> bytes:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != card.artefact(card.entry).sha256:
        raise ArtefactWrong(f"文件 {card.entry} 的内容与卡片写明的摘要不符")
    return content


def _check(card: Card, content: bytes) -> Any:
    if card.runtime == "sql":
        from algorithm_dev.engine import sql

        sql.check_sql(content)
        return {}
    from algorithm_dev.engine import onnx

    session = onnx.open_session(content, threads=1)
    return {"inputs": len(session.get_inputs()), "outputs": len(session.get_outputs())}


def main(arguments: list[str]) -> None:
    """Serve the socket until the platform hangs up."""
    serve(arguments, Desk)


if __name__ == "__main__":
    main(sys.argv[1:])
