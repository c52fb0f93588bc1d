"""What a version must pass before it is submitted, and again before it is published."""

from __future__ import annotations

from typing import Any

from brain_kit.clock import rfc3339, utc_now

from algorithm_dev.domain.card import Card, GoldenVector
from algorithm_dev.domain.check import check_signature
from algorithm_dev.domain.golden import compare_golden
from algorithm_dev.domain.onnx_file import ModelRefused, read_model
from algorithm_dev.engine.boxed import BoxedRunner
from algorithm_dev.service.artefacts import ArtefactStore
from algorithm_dev.service.errors import GoldenFailed, GoldenMissing, ModelInvalid

SHOWN = 50


class Checks:
    """Verifies files and golden vectors in sandbox processes."""

    def __init__(self, artefacts: ArtefactStore, boxes: BoxedRunner) -> None:
        self._artefacts = artefacts
        self._boxes = boxes

    def run(self, card: Card) -> dict[str, Any]:
        """The record of a passed check: when, how many vectors, seconds.

        Raises VersionBroken, ModelInvalid, ComponentFailed, GoldenMissing, GoldenFailed.
        """
        self.judge_files(card)
        if not card.golden:
            raise GoldenMissing(
                "卡片没有黄金向量（golden）：提交前至少给出一组来自公开来源的输入与结果",
                errors=[{"field": "golden", "reason": "缺少"}],
            )
        vectors = [self._vector(card, vector) for vector in card.golden]
        return {"checked_at": rfc3339(utc_now()), "vectors": vectors}

    def judge_files(self, card: Card) -> None:
        """Verifies every file's digest and lets the runtime judge the entry. Raises VersionBroken, ModelInvalid."""
        for item in card.artefacts:
            path = self._artefacts.path(card, item.path)
            if item.path == card.entry and card.runtime == "onnx":
                judge_model(card, path.read_bytes(), self._artefacts.limit_bytes)
        self._boxes.check(card, self._artefacts.path(card, card.entry))

    def _vector(self, card: Card, vector: GoldenVector) -> dict[str, Any]:
        settled = card.signature.settled(vector.parameters)
        path = self._artefacts.path(card, card.entry)
        got, elapsed_ms = self._boxes.run(card, path, vector.inputs, settled)
        different = [{"field": vector.name, "reason": item.told} for item in compare_golden(vector, got)]
        wrong = [
            {"field": f"{vector.name}.{item.field}", "reason": item.reason}
            for item in check_signature(card.signature.outputs, got)
        ]
        errors = (different + wrong)[:SHOWN]
        if errors:
            raise GoldenFailed(f"黄金向量 {vector.name} 没有复现：{errors[0]['reason']}", errors=errors)
        return {"name": vector.name, "elapsed_ms": elapsed_ms}


def judge_model(card: Card, content: bytes, limit_bytes: int) -> None:
    """Refuses a model by its bytes, and one whose ports are not those of its card. Raises ModelInvalid."""
    try:
        facts = read_model(content, most_bytes=limit_bytes)
    except ModelRefused as error:
        errors = [{"field": card.entry, "reason": str(error)}]
        raise ModelInvalid(f"模型 {card.entry} 被拒绝：{error}", model_code=error.code, errors=errors) from error
    from algorithm_dev.engine.onnx import mismatches

    errors = [{"field": f"signature.{tensor}", "reason": reason} for tensor, reason in mismatches(card, facts)]
    if errors:
        raise ModelInvalid(f"模型与卡片的签名不符：{errors[0]['reason']}", model_code="model_signature", errors=errors)
