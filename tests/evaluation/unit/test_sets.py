"""The official sets: counts always, every name, code and unit against the documents' texts where those are present."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from evaluation.domain.computations import computations
from evaluation.domain.sets import LEVELS, Criterion, Indicator, IndicatorSet, criteria_sets, indicator_sets
from pydantic import ValidationError

COUNTS = {
    "construction": (10, 4, 6, 8, 6),
    "evaluation": (10, 4, 5, 8, 5),
    "industry-brain": (5, 5, 4, 7, 5),
}
CRITERIA = criteria_sets()["morning-star-factory"]


def test_the_sets_have_as_many_indicators_as_the_documents() -> None:
    """34, 32 and 26 in five groups each."""
    assert {
        name: tuple(len(group.indicators) for group in found.groups) for name, found in indicator_sets().items()
    } == COUNTS


def test_coded_sets_number_each_group_without_gaps() -> None:
    """L1P1 to L5P6 and L1P1 to L5P5; the id is the code, and the row is its number."""
    for name in ("construction", "evaluation"):
        for place, group in enumerate(indicator_sets()[name].groups, 1):
            assert [item.code for item in group.indicators] == [
                f"L{place}P{n}" for n in range(1, len(group.indicators) + 1)
            ]
            assert [item.id for item in group.indicators] == [item.code for item in group.indicators]
            assert [item.source_row for item in group.indicators] == list(range(1, len(group.indicators) + 1))


def test_one_code_means_different_things_in_two_documents() -> None:
    """The key is (set, code)."""
    first, second = indicator_sets()["construction"], indicator_sets()["evaluation"]
    names = {
        code: (found(first, code).name, found(second, code).name)
        for code in ("L1P4", "L1P10", "L2P2", "L5P4")
    }  # fmt: skip

    assert names == {
        "L1P4": ("产业集聚度", "产业链企业数量"),
        "L1P10": ("产业影响力", "产业集聚度"),
        "L2P2": ("公共数据仓", "产业数据仓"),
        "L5P4": ("产业大脑平台建设", "资金支持强度"),
    }


def test_blank_units_and_codes_stay_blank() -> None:
    """Five units of the evaluation indicators; all codes and units of the industry brain's."""
    assert [item.id for item in indicator_sets()["evaluation"].indicators if item.unit is None] == [
        "L1P3", "L2P1", "L5P1", "L5P2", "L5P3",
    ]  # fmt: skip
    assert all(item.code is None and item.unit is None for item in indicator_sets()["industry-brain"].indicators)
    assert all(item.unit for item in indicator_sets()["construction"].indicators)


def test_as_many_indicators_are_computed_as_the_decision_record_says() -> None:
    """20 of 34, 20 of 32, 8 of 26, and 2, 1 and 2 with a reference value; every other says why it is reported."""
    assert {
        name: Counter(
            "reference" if item.kind == "reported" and item.computed else item.kind for item in chosen.indicators
        )
        for name, chosen in indicator_sets().items()
    } == {
        "construction": Counter(computed=20, reported=12, reference=2),
        "evaluation": Counter(computed=20, reported=11, reference=1),
        "industry-brain": Counter(computed=8, reported=16, reference=2),
    }
    assert all(
        item.why_reported
        for chosen in indicator_sets().values()
        for item in chosen.indicators
        if item.kind == "reported"
    )


def test_every_indicator_names_a_computation_that_exists_and_each_is_used() -> None:
    """No dangling name, no computation that nobody asks for; where both print a unit they agree or mean the same."""
    named = {
        item.computed.computation: item
        for chosen in indicator_sets().values()
        for item in chosen.indicators
        if item.computed
    }
    assert named.keys() == computations().keys()
    same = {("家", "个"), ("家", "项"), ("个", "项")}
    for chosen in indicator_sets().values():
        for item in chosen.indicators:
            if item.computed and item.unit:
                unit = computations()[item.computed.computation].unit
                assert unit == item.unit or {(unit, item.unit), (item.unit, unit)} & same, item.id


def test_the_criteria_are_counted_as_printed() -> None:
    """72 in six categories; stars of levels 1 to 5; one has no star, one no name, one name stands twice."""
    assert [len(category.criteria) for category in CRITERIA.categories] == [8, 8, 4, 45, 4, 3]
    assert [CRITERIA.stars_of_level(level) for level in LEVELS] == [13, 28, 46, 57, 71]
    assert [item.name for item in CRITERIA.criteria if not item.levels] == ["研发时间/成本预测"]
    assert [(item.id, item.dimension) for item in CRITERIA.criteria if item.name is None] == [("C65", "企业数字大脑")]
    assert [name for name, count in Counter(item.name for item in CRITERIA.criteria).items() if count > 1] == [
        "AR/VR 应用"
    ]


def test_a_higher_level_asks_for_all_that_a_lower_one_asks() -> None:
    """So in the printed table: a star at a level is followed by stars at all levels above."""
    assert all(item.levels == tuple(range(item.levels[0], 6)) for item in CRITERIA.criteria if item.levels)


def test_a_set_with_an_unexplained_or_doubled_indicator_is_refused() -> None:
    """A reported indicator says why; ids do not stand twice."""
    body = indicator_sets()["construction"].model_dump()
    silent = body["groups"][0]["indicators"][1] | {"why_reported": None}
    with pytest.raises(ValidationError, match="why_reported"):
        Indicator.model_validate(silent)
    body["groups"][1]["indicators"] += (body["groups"][0]["indicators"][0],)
    with pytest.raises(ValidationError, match="L1P1"):
        IndicatorSet.model_validate(body)


@pytest.fixture
def seeds(realdata: Path) -> Path:
    """The texts of the official documents, beside the real data."""
    folder = realdata.parent / "seeds"
    assert folder.is_dir(), f"the documents' texts are missing: {folder}"
    return folder


@pytest.mark.realdata
def test_construction_indicators_equal_the_document(seeds: Path) -> None:
    """Code, name and unit of all 34, cell by cell."""
    text = only(seeds, "000_*.txt").read_text(encoding="utf-8")
    cells = [line.strip() for line in text.splitlines()]
    printed = []
    for number, cell in enumerate(cells):
        if re.fullmatch(r"L\dP\d+", cell):
            unit = cells[number + 3] + (cells[number + 4] if cells[number + 3].endswith("TB/") else "")
            printed.append((cell, cells[number + 1], unit))

    assert [(item.code, item.name, item.unit) for item in indicator_sets()["construction"].indicators] == printed
    joined = "".join(text.split())
    assert all(group.title in joined for group in indicator_sets()["construction"].groups)


@pytest.mark.realdata
def test_evaluation_indicators_equal_the_document(seeds: Path) -> None:
    """Code, name and unit of all 32; a missing cell is a blank unit."""
    rows = [line.split("\t") for line in only(seeds, "001_*.txt").read_text(encoding="utf-8").splitlines()]
    table = [row for row in rows if len(row) == 5 and re.fullmatch(r"L\dP\d+", row[1])]
    headings = [row[0].replace(" ", "") for row in table if row[0]]
    chosen = indicator_sets()["evaluation"]

    assert [(item.code, item.name, item.unit) for item in chosen.indicators] == [
        (row[1], row[2], row[4] or None) for row in table
    ]
    assert [group.title for group in chosen.groups] == headings


@pytest.mark.realdata
def test_industry_brain_indicators_equal_the_document(seeds: Path) -> None:
    """All 26 names in the document's order; line breaks inside a cell are not part of the name."""
    text = "".join(only(seeds, "002_*.txt").read_text(encoding="utf-8").split())
    place = text.index("一级指标二级指标指标说明")
    for item in indicator_sets()["industry-brain"].indicators:
        # The name of one is broken in two by its description: 产业数据治理能力 ... 提升.
        name = item.name.removesuffix("提升") if item.id == "data-governance" else item.name
        assert name in text[place:], item.name
        place = text.index(name, place) + len(name)


@pytest.mark.realdata
def test_criteria_equal_the_document(seeds: Path) -> None:
    """Category, dimension, name and stars of all 72 as printed, spaces included."""
    text = only(seeds, "001_*.txt").read_text(encoding="utf-8")
    printed, category, dimension = [], "", ""
    for line in text[text.index("附件 2") :].splitlines():
        cells = [*line.split("\t"), *[""] * 9][:9]
        if "\t" not in line or cells[0] in ("分类", "晨星工厂评价维度"):
            continue
        category, dimension = cells[0] or category, cells[1] or dimension
        printed.append((category, dimension, cells[2] or None, tuple(cell.strip() == "★" for cell in cells[4:9])))
    stored = [
        (category.name, item.dimension, item.name, item.stars)
        for category in CRITERIA.categories
        for item in category.criteria
    ]

    assert stored == printed


@pytest.mark.realdata
def test_pages_are_those_of_the_annexes(seeds: Path) -> None:
    """The heading of a table stands once on each page: 4, 3 and 13 pages; the construction set has none."""
    evaluation = only(seeds, "001_*.txt").read_text(encoding="utf-8")
    first, second = evaluation.split("附件 2")
    headings = {
        "evaluation": first.count("类型\t编号"),
        "industry-brain": only(seeds, "002_*.txt").read_text(encoding="utf-8").count("一级指标 二级指标 指标说明"),
    }
    pages = {name: [item.page for item in chosen.indicators] for name, chosen in indicator_sets().items()}

    assert {name: max(found) for name, found in pages.items() if found[0] is not None} == headings  # type: ignore[type-var]
    assert set(pages["construction"]) == {None}
    assert [item.page for item in CRITERIA.criteria] == sorted(item.page for item in CRITERIA.criteria)
    assert CRITERIA.criteria[-1].page == second.count("晨星工厂评价维度")
    for name, code, page in (
        ("evaluation", "L2P1", 2),
        ("evaluation", "L4P1", 3),
        ("industry-brain", "service-portal", 2),
    ):
        assert found(indicator_sets()[name], code).page == page


def only(folder: Path, pattern: str) -> Path:
    """The one file of a pattern."""
    (path,) = folder.glob(pattern)
    return path


def found(chosen: IndicatorSet, code: str) -> Indicator:
    """An indicator that is there."""
    item = chosen.indicator(code)
    assert item is not None
    return item


def test_criteria_are_found_by_id_not_by_name() -> None:
    """Both AR/VR 应用 are there, under their own ids and dimensions."""
    both = [item for item in CRITERIA.criteria if item.name == "AR/VR 应用"]

    assert [(item.id, item.dimension) for item in both] == [("C28", "数字化研发"), ("C45", "数字化生产")]
    assert all(isinstance(CRITERIA.criterion(item.id), Criterion) for item in both)
    assert CRITERIA.criterion("AR/VR 应用") is None
