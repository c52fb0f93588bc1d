"""Whether a reported value is what its indicator asks for."""

from __future__ import annotations

import math

from evaluation.domain.sets import Indicator

# Units of things that are counted: no halves, none below zero.
WHOLE_UNITS = frozenset({"个", "家", "项", "人", "次", "项/次"})
GRADES = range(1, 6)
LONGEST_TEXT = 4000


class AnswerWrong(ValueError):
    """The value does not fit; `field` names the member, the text says what to give."""

    def __init__(self, field: str, text: str) -> None:
        self.field = field
        super().__init__(text)


def check_answer(indicator: Indicator, value: float | None, text: str | None) -> None:
    """Raises AnswerWrong unless exactly what the indicator asks for is given: a number, a grade or a text."""
    if indicator.answer == "text":
        if value is not None:
            raise AnswerWrong("value", f"指标「{indicator.name}」填文字说明（text），不填数值")
        if not text or not text.strip() or len(text) > LONGEST_TEXT:
            raise AnswerWrong("text", f"指标「{indicator.name}」要有 1 到 {LONGEST_TEXT} 个字的说明")
        return
    if value is None or not math.isfinite(value):
        raise AnswerWrong(
            "value", f"指标「{indicator.name}」要填数值" + (f"（{indicator.unit}）" if indicator.unit else "")
        )
    if text:
        raise AnswerWrong("text", f"指标「{indicator.name}」填数值（value）；说明请写在 note")
    if indicator.answer == "grade" and value not in GRADES:
        raise AnswerWrong("value", f"等级应为 {GRADES[0]} 到 {GRADES[-1]} 的整数")
    if indicator.unit in WHOLE_UNITS and (value < 0 or value != int(value)):
        raise AnswerWrong("value", f"单位是「{indicator.unit}」，应为不小于 0 的整数")
    if indicator.unit == "%" and not 0 <= value <= 100:
        raise AnswerWrong("value", "百分比应在 0 到 100 之间，如 36.5")
    if indicator.unit and value < 0:
        raise AnswerWrong("value", f"单位是「{indicator.unit}」，不能小于 0")
