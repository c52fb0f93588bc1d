"""Sets, indicators and criteria by their ids."""

from __future__ import annotations

from evaluation.domain.sets import CriteriaSet, Criterion, Indicator, IndicatorSet, criteria_sets, indicator_sets
from evaluation.service.problems import IndicatorUnknown, SetUnknown

FACTORY_SET = "morning-star-factory"


def known_set(set_id: str) -> IndicatorSet:
    """An indicator set. Raises SetUnknown naming those there are."""
    found = indicator_sets().get(set_id)
    if found is None:
        known = list(indicator_sets())
        raise SetUnknown(f"没有指标体系 {set_id}，可用：{'、'.join(known)}", known=known)
    return found


def known_indicator(set_id: str, name: str) -> tuple[IndicatorSet, Indicator]:
    """An indicator of a set by its code, or by its id where the document prints no codes. Raises IndicatorUnknown."""
    found = known_set(set_id)
    indicator = found.indicator(name)
    if indicator is None:
        raise IndicatorUnknown(f"指标体系 {set_id} 没有指标 {name}，列表见 .../indicators", set=set_id)
    return found, indicator


def factory_criteria() -> CriteriaSet:
    """The 72 criteria of the 晨星工厂 assessment."""
    return criteria_sets()[FACTORY_SET]


def known_criterion(name: str) -> Criterion:
    """A criterion by its id. Raises IndicatorUnknown."""
    found = factory_criteria().criterion(name)
    if found is None:
        raise IndicatorUnknown(f"晨星工厂评价没有指标 {name}", criterion=name)
    return found
