"""Scores of the 32 evaluation indicators, and stars and level of a factory by the 72 criteria.

The documents give neither weights nor a rule that makes a level of stars. Schemes and rules are therefore data of this
product: each says so (`choice`, `text`), and each may be edited.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from evaluation.domain.sets import LEVELS, CriteriaSet, Indicator, IndicatorSet, Slug, Text, Version, criteria_sets

Weight = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
MOST_POINTS = 100.0


class SchemeUnfit(ValueError):
    """A scheme does not fit its set; the message names what."""


class _Choice(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    id: Slug
    version: Version = "1.0.0"
    set: Slug
    title: Text
    choice: Literal[True] = Field(True, description="always true: no document prescribes it")
    text: Text = Field(description="what was chosen, for users")


class Rule(BaseModel):
    """How one indicator counts. full_mark: the value that earns 100 points; None: a target or the reviewer's points."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    weight: Weight
    full_mark: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class ScoringScheme(_Choice):
    """Weights of a set's indicators. weight: of those that `rules` does not name."""

    weight: Weight = 1.0
    rules: dict[str, Rule] = {}

    def rule(self, indicator: str) -> Rule:
        """The rule of an indicator."""
        return self.rules.get(indicator, Rule(weight=self.weight))

    def fitted(self, indicators: IndicatorSet) -> ScoringScheme:
        """Itself, if it fits the set. Raises SchemeUnfit for an unknown indicator or weights that are all zero."""
        unknown = sorted(self.rules.keys() - {item.id for item in indicators.indicators})
        if self.set != indicators.id:
            raise SchemeUnfit(f"评分方案属于指标体系 {self.set}，不能用于 {indicators.id}")
        if unknown:
            raise SchemeUnfit(f"指标体系 {indicators.id} 没有指标 {'、'.join(unknown)}，请改正或删去")
        if all(self.rule(item.id).weight == 0 for item in indicators.indicators):
            raise SchemeUnfit("所有指标的权重都是 0，请至少给一项权重")
        return self


class LevelRule(_Choice):
    """How stars make a level 1 to 5.

    method `criteria`: a share of the criteria that have a star at the level are met, at each lower level too.
    method `count`: so many starred criteria are met in all (`thresholds`; those of the table where not given).
    """

    method: Literal["criteria", "count"] = "criteria"
    shares: dict[Annotated[int, Field(ge=1, le=5)], Share] = {}
    thresholds: dict[Annotated[int, Field(ge=1, le=5)], Annotated[int, Field(ge=0, le=10_000)]] = {}

    @model_validator(mode="after")
    def _rising(self) -> LevelRule:
        given = [self.thresholds[level] for level in LEVELS if level in self.thresholds]
        if given != sorted(given):
            raise ValueError("等级越高，所需星数不能越少（thresholds）")
        return self


@dataclass(frozen=True)
class Mark:
    """What is known of an indicator: a confirmed or computed value, and points of a reviewer (0 to 100)."""

    value: float | None = None
    points: float | None = None


@dataclass(frozen=True)
class ScoreLine:
    """Points of one indicator, 0 to 100; None with the reason when it cannot be scored."""

    indicator: str
    weight: float
    points: float | None
    full_mark: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Score:
    """Weighted mean of the points, 0 to 100. covered: share of the weight that has points; total None when none has."""

    total: float | None
    covered: float
    lines: tuple[ScoreLine, ...]
    groups: tuple[tuple[str, float | None, float], ...]
    choice: str


@dataclass(frozen=True)
class LevelCheck:
    """One level of a factory: how many criteria it asks for, how many are met, which are not, whether it is reached."""

    level: int
    asked: int
    required: int
    met: int
    unmet: tuple[str, ...]
    is_reached: bool


@dataclass(frozen=True)
class FactoryResult:
    """Stars and level of a factory. level None: not even level 1. stars: criteria met that have a star at any level."""

    stars: int
    level: int | None
    checks: tuple[LevelCheck, ...]
    categories: tuple[tuple[str, int, int], ...]
    unanswered: tuple[str, ...]
    choice: str


def score(
    indicators: IndicatorSet,
    scheme: ScoringScheme,
    marks: Mapping[str, Mark],
    targets: Mapping[str, float] | None = None,
) -> Score:
    """The score of a set under a scheme. An indicator that cannot be scored is left out, never counted as zero.

    targets: values that earn full marks where the scheme names none. Raises SchemeUnfit; ValueError on points outside
    0 to 100 or a value that is no finite number.
    """
    scheme.fitted(indicators)
    lines = tuple(
        _line(item, scheme.rule(item.id), marks.get(item.id, Mark()), (targets or {}).get(item.id))
        for item in indicators.indicators
    )
    by_id = {line.indicator: line for line in lines}
    groups = tuple((group.id, *_mean([by_id[item.id] for item in group.indicators])) for group in indicators.groups)
    total, covered = _mean(lines)
    return Score(total, covered, lines, groups, scheme.text)


def assess_factory(criteria: CriteriaSet, rule: LevelRule, met: Mapping[str, bool | None]) -> FactoryResult:
    """Stars and level from which criteria are met; a criterion that is not answered counts as not met.

    Raises SchemeUnfit for a criterion or a rule of another set.
    """
    unknown = sorted(met.keys() - {item.id for item in criteria.criteria})
    if rule.set != criteria.id or unknown:
        raise SchemeUnfit(f"{criteria.id} 没有指标 {'、'.join(unknown)}" if unknown else f"规则属于 {rule.set}")
    reached = {item.id for item in criteria.criteria if met.get(item.id)}
    stars = sum(bool(item.levels) and item.id in reached for item in criteria.criteria)
    checks: list[LevelCheck] = []
    for level in LEVELS:
        before = not checks or checks[-1].is_reached
        checks.append(_check(criteria, rule, reached, stars, level, before=before))
    levels = [check.level for check in checks if check.is_reached]
    return FactoryResult(
        stars=stars,
        level=max(levels) if levels else None,
        checks=tuple(checks),
        categories=tuple(
            (category.id, sum(item.id in reached for item in category.criteria), len(category.criteria))
            for category in criteria.categories
        ),
        unanswered=tuple(item.id for item in criteria.criteria if met.get(item.id) is None),
        choice=rule.text,
    )


@cache
def default_scheme() -> ScoringScheme:
    """The scheme that the platform begins with."""
    return ScoringScheme.model_validate(_document("evaluation"))


@cache
def default_level_rule() -> LevelRule:
    """The rule that the platform begins with."""
    return LevelRule.model_validate(_document("morning-star-factory"))


def printed_thresholds() -> dict[int, int]:
    """Stars of levels 1 to 5 in the document's table: 13, 28, 46, 57, 71."""
    criteria = criteria_sets()["morning-star-factory"]
    return {level: criteria.stars_of_level(level) for level in LEVELS}


def _line(indicator: Indicator, rule: Rule, mark: Mark, target: float | None) -> ScoreLine:
    if mark.points is not None:
        if not 0 <= mark.points <= MOST_POINTS:
            raise ValueError(f"{indicator.id} 的评分 {mark.points} 应在 0 到 100 之间")
        return ScoreLine(indicator.id, rule.weight, float(mark.points))
    if indicator.answer == "text":
        return ScoreLine(indicator.id, rule.weight, None, reason="文字型指标，等评审人打分")
    if mark.value is None:
        return ScoreLine(indicator.id, rule.weight, None, reason="还没有值")
    if not math.isfinite(mark.value):
        raise ValueError(f"{indicator.id} 的值不是有限的数")
    full = rule.full_mark if rule.full_mark is not None else target
    if full is None or full <= 0:
        return ScoreLine(indicator.id, rule.weight, None, reason="没有满分值，请在评分方案或目标中设定")
    points = min(MOST_POINTS, max(0.0, MOST_POINTS * mark.value / full))
    return ScoreLine(indicator.id, rule.weight, points, full)


def _mean(lines: Any) -> tuple[float | None, float]:
    """Weighted mean of the points that there are, and the share of the weight that they stand for."""
    whole = math.fsum(line.weight for line in lines)
    scored = [line for line in lines if line.points is not None]
    weight = math.fsum(line.weight for line in scored)
    if whole == 0 or weight == 0:
        return None, 0.0
    return math.fsum(line.weight * line.points for line in scored) / weight, weight / whole


def _check(
    criteria: CriteriaSet, rule: LevelRule, reached: set[str], stars: int, level: int, *, before: bool
) -> LevelCheck:
    asked = [item.id for item in criteria.criteria if level in item.levels]
    unmet = tuple(name for name in asked if name not in reached)
    if rule.method == "count":
        required, met = rule.thresholds.get(level, len(asked)), stars
    else:
        # A share of 0.9 of 13 criteria asks for 12: the tolerance keeps 0.7 * 10 from asking for 8.
        required, met = math.ceil(rule.shares.get(level, 1.0) * len(asked) - 1e-9), len(asked) - len(unmet)
    return LevelCheck(level, len(asked), required, met, unmet, before and met >= required)


def _document(name: str) -> dict[str, Any]:
    text = (files("evaluation") / "scoring" / f"{name}.yaml").read_text(encoding="utf-8")
    body: dict[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)
    return body
