"""Scores, stars and levels against arithmetic by hand; nothing missing is counted as zero."""

from __future__ import annotations

import pytest
from evaluation.domain.scoring import (
    LevelRule,
    Mark,
    Rule,
    SchemeUnfit,
    ScoringScheme,
    assess_factory,
    default_level_rule,
    default_scheme,
    printed_thresholds,
    score,
)
from evaluation.domain.sets import LEVELS, criteria_sets, indicator_sets
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

SET = indicator_sets()["evaluation"]
CRITERIA = criteria_sets()["morning-star-factory"]
OF_LEVEL = {level: [item.id for item in CRITERIA.criteria if level in item.levels] for level in LEVELS}


def test_a_score_is_the_weighted_mean_of_what_can_be_scored() -> None:
    """(3 x 50 + 1 x 100 + 2 x 80) / 6 = 68.33; these six of 3 + 1 + 2 + 29 x 1 = 35 weights are covered."""
    rules = {
        "L1P1": Rule(weight=3, full_mark=200),
        "L1P4": Rule(weight=1, full_mark=10),
        "L5P1": Rule(weight=2),
    }
    scheme = ScoringScheme(id="own", set="evaluation", title="t", text="t", rules=rules)
    result = score(SET, scheme, {"L1P1": Mark(value=100), "L1P4": Mark(value=25), "L5P1": Mark(points=80)})

    assert result.total == pytest.approx(410 / 6)
    assert result.covered == pytest.approx(6 / 35)
    assert result.groups[0][1:] == (pytest.approx(250 / 4), pytest.approx(4 / 12))
    assert result.groups[1][1:] == (None, 0.0)


def test_a_missing_value_is_left_out_with_its_reason() -> None:
    """No value, no full mark and no review: three reasons, no zero."""
    result = score(SET, default_scheme(), {"L1P1": Mark(value=5), "L5P5": Mark(value=3)})
    lines = {line.indicator: line for line in result.lines}

    assert result.total == 100  # 等级保护 level 3 of 3 is all that can be scored
    assert (lines["L1P1"].points, lines["L1P1"].reason) == (None, "没有满分值，请在评分方案或目标中设定")
    assert (lines["L1P4"].points, lines["L1P4"].reason) == (None, "还没有值")
    assert (lines["L5P1"].points, lines["L5P1"].reason) == (None, "文字型指标，等评审人打分")
    assert score(SET, default_scheme(), {}).total is None


def test_a_target_earns_full_marks_where_the_scheme_names_none() -> None:
    """5 of a target of 20 are 25 points; a zero is a value and earns zero points."""
    result = score(SET, default_scheme(), {"L1P1": Mark(value=5), "L1P4": Mark(value=0)}, {"L1P1": 20, "L1P4": 4})

    assert result.total == 12.5


def test_the_default_scheme_says_that_it_is_a_choice() -> None:
    """Equal weights of all 32, marked as this product's."""
    scheme = default_scheme()

    assert {scheme.rule(item.id).weight for item in SET.indicators} == {1.0}
    assert scheme.choice is True
    assert "没有规定" in scheme.text
    assert default_level_rule().choice is True


def test_a_scheme_that_does_not_fit_is_refused_by_name() -> None:
    """An unknown indicator, another set, weights all zero, a negative weight, points of 101."""
    with pytest.raises(SchemeUnfit, match="L9P9"):
        default_scheme().model_copy(update={"rules": {"L9P9": Rule(weight=1)}}).fitted(SET)
    with pytest.raises(SchemeUnfit, match="construction"):
        default_scheme().fitted(indicator_sets()["construction"])
    with pytest.raises(SchemeUnfit, match="0"):
        default_scheme().model_copy(update={"weight": 0, "rules": {}}).fitted(SET)
    with pytest.raises(ValidationError):
        Rule(weight=-1)
    with pytest.raises(ValueError, match="L1P1"):
        score(SET, default_scheme(), {"L1P1": Mark(points=101)})


@given(st.dictionaries(st.sampled_from([item.id for item in SET.indicators]), st.floats(0, 1e9), min_size=1))
def test_a_score_lies_between_its_points(values: dict[str, float]) -> None:
    """Between the least and the largest points; scaling all weights changes nothing."""
    targets = dict.fromkeys(values, 1e6)
    marks = {name: Mark(value=value) for name, value in values.items()}
    result = score(SET, default_scheme(), marks, targets)
    heavier = score(SET, default_scheme().model_copy(update={"weight": 7.0, "rules": {}}), marks, targets)
    points = [line.points for line in result.lines if line.points is not None]

    assert (result.total is None) == (not points)
    if points and result.total is not None:
        assert min(points) - 1e-9 <= result.total <= max(points) + 1e-9
    if "L5P5" not in values:
        assert heavier.total == pytest.approx(result.total)


@pytest.mark.parametrize("level", LEVELS)
def test_all_criteria_of_a_level_give_that_level_and_one_less_does_not(level: int) -> None:
    """13, 28, 46, 57, 71 stars; without the last criterion that the level adds, the level below remains."""
    met: dict[str, bool | None] = dict.fromkeys(OF_LEVEL[level], True)
    result = assess_factory(CRITERIA, default_level_rule(), met)
    added = [name for name in OF_LEVEL[level] if name not in OF_LEVEL.get(level - 1, [])]
    short = assess_factory(CRITERIA, default_level_rule(), met | {added[-1]: False})

    assert (result.level, result.stars) == (level, {1: 13, 2: 28, 3: 46, 4: 57, 5: 71}[level])
    assert short.level == (level - 1 or None)
    assert short.checks[level - 1].unmet == (added[-1],)


def test_a_level_is_not_reached_over_a_lower_one_that_is_not() -> None:
    """All but one criterion of level 1: no level at all, and what is lacking is named."""
    met: dict[str, bool | None] = {item.id: item.id != "C01" for item in CRITERIA.criteria}
    result = assess_factory(CRITERIA, default_level_rule(), met)

    assert (result.level, result.stars) == (None, 70)
    assert all(check.unmet == ("C01",) for check in result.checks)


def test_a_criterion_without_a_star_counts_for_no_level() -> None:
    """研发时间/成本预测 has no star: meeting it alone is no star."""
    result = assess_factory(CRITERIA, default_level_rule(), {"C26": True})

    assert (result.stars, result.level) == (0, None)
    assert len(result.unanswered) == 71
    assert {name: met for name, met, _ in result.categories}["intelligence"] == 1


def test_shares_and_counts_are_other_rules_that_may_be_chosen() -> None:
    """Nine tenths of 13 are 12 criteria; by count, any 13 starred criteria make level 1."""
    met: dict[str, bool | None] = dict.fromkeys(OF_LEVEL[1][:12], True)
    share = LevelRule(id="own", set=CRITERIA.id, title="t", text="t", shares={1: 0.9})
    count = LevelRule(id="own", set=CRITERIA.id, title="t", text="t", method="count")
    upper: dict[str, bool | None] = dict.fromkeys(OF_LEVEL[5][-13:], True)

    assert assess_factory(CRITERIA, share, met).level == 1
    assert assess_factory(CRITERIA, default_level_rule(), met).level is None
    assert assess_factory(CRITERIA, count, upper).level == 1
    assert assess_factory(CRITERIA, default_level_rule(), upper).level is None
    assert printed_thresholds() == {1: 13, 2: 28, 3: 46, 4: 57, 5: 71}


def test_a_rule_that_falls_or_a_criterion_that_is_unknown_is_refused() -> None:
    """A higher level never asks for fewer stars; an unknown criterion is named."""
    with pytest.raises(ValidationError, match="thresholds"):
        LevelRule(id="own", set=CRITERIA.id, title="t", text="t", method="count", thresholds={1: 20, 2: 10})
    with pytest.raises(SchemeUnfit, match="C99"):
        assess_factory(CRITERIA, default_level_rule(), {"C99": True})


@given(st.sets(st.sampled_from([item.id for item in CRITERIA.criteria])), st.sampled_from(CRITERIA.criteria))
def test_meeting_more_never_lowers_stars_or_level(names: set[str], more: object) -> None:
    """Monotone under both rules."""
    added = names | {more.id}  # type: ignore[attr-defined]
    for rule in (default_level_rule(), LevelRule(id="own", set=CRITERIA.id, title="t", text="t", method="count")):
        before = assess_factory(CRITERIA, rule, dict.fromkeys(names, True))
        after = assess_factory(CRITERIA, rule, dict.fromkeys(added, True))

        assert after.stars >= before.stars
        assert (after.level or 0) >= (before.level or 0)
