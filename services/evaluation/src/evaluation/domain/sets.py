"""Indicator sets 指标体系 as the official documents print them: typed, frozen, read from the package's data files.

A set is known by its id, an indicator by (set, id): one code means different things in two documents, and one document
prints no codes at all. `code` and `unit` are what the document prints, None where it prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=63)]
IndicatorId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,62}$")]
ComputationId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Version = Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]

Cadence = Literal["year", "as_of", "current", "event"]
"""year: a sum over a year (年度); as_of: a stock at the end of the period (时点); current: a figure of the present
moment only (实时); event: changes when something is decided, such as a body founded (变更时)."""

Answer = Literal["number", "text", "grade"]
"""What a reported value is: a number in the unit, a statement of facts, or a number that names a grade."""

Role = Literal["value", "reference"]
"""value: the computation is the indicator's value; reference: it is shown beside a reported value, because the data
lack a restriction that the definition makes."""


Level = Annotated[int, Field(ge=1, le=5)]
LEVELS = (1, 2, 3, 4, 5)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Part):
    """The document that a set is copied from."""

    document: Text
    annex: str | None = None
    note: str | None = None


class ComputedBy(_Part):
    """The computation behind an indicator, and what about it is this product's choice."""

    computation: ComputationId
    role: Role = "value"
    choice: str | None = Field(None, description="reading chosen for this indicator; added to the computation's own")


class Indicator(_Part):
    """One indicator 指标. name, code, unit: as printed; code and unit None where the document leaves them blank."""

    id: IndicatorId
    code: str | None
    name: Text
    unit: str | None
    formula: Text = Field(description="what is counted, in this product's words")
    cadence: Cadence
    answer: Answer = "number"
    page: int | None = Field(None, ge=1, description="page of the annex, counted from its first; None: not paginated")
    source_row: int = Field(ge=1, description="row in the document's table, counted within the group")
    computed: ComputedBy | None = None
    why_reported: str | None = Field(None, description="why the platform's own data cannot give the value")

    @model_validator(mode="after")
    def _computed_or_explained(self) -> Indicator:
        if self.kind == "reported" and not self.why_reported:
            raise ValueError(f"{self.id}: a reported indicator says why (why_reported)")
        if self.kind == "computed" and self.why_reported:
            raise ValueError(f"{self.id}: a computed indicator has no why_reported")
        return self

    @property
    def kind(self) -> Literal["computed", "reported"]:
        """Whether the platform computes the value, or an organisation reports it with evidence."""
        return "computed" if self.computed is not None and self.computed.role == "value" else "reported"


class Group(_Part):
    """A group 类型 (一级指标) of a set, in the document's order. ordinal: 一, 二, ... where the document numbers."""

    id: Slug
    ordinal: str | None
    name: Text
    indicators: tuple[Indicator, ...] = Field(min_length=1)

    @property
    def title(self) -> str:
        """The heading as printed: 一、产业发展水平."""
        return f"{self.ordinal}、{self.name}" if self.ordinal else self.name


class IndicatorSet(_Part):
    """An official set of indicators."""

    id: Slug
    version: Version
    title: Text
    summary: Text
    source: Source
    groups: tuple[Group, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_differ(self) -> IndicatorSet:
        for what, names in (
            ("group", [group.id for group in self.groups]),
            ("indicator", [indicator.id for indicator in self.indicators]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{self.id}: {what} ids stand twice: {', '.join(twice)}")
        return self

    @property
    def indicators(self) -> tuple[Indicator, ...]:
        """All indicators in the document's order."""
        return tuple(indicator for group in self.groups for indicator in group.indicators)

    def indicator(self, name: str) -> Indicator | None:
        """The indicator with this id; the id is the code where the document prints codes."""
        return next((indicator for indicator in self.indicators if indicator.id == name), None)

    def group_of(self, name: str) -> Group | None:
        """The group in which the indicator stands."""
        return next((group for group in self.groups if any(item.id == name for item in group.indicators)), None)


class Criterion(_Part):
    """A criterion 二级指标 of the factory assessment. name: None where the cell is blank; a name is no key."""

    id: IndicatorId
    page: int = Field(ge=1, description="page of the annex, counted from its first")
    dimension: Text = Field(description="一级指标, as printed")
    name: str | None
    requirement: Text = Field(description="what is looked at, in this product's words")
    levels: tuple[Level, ...] = Field(description="levels that the table marks with a star, as printed; may be none")

    @property
    def stars(self) -> tuple[bool, ...]:
        """Whether the table has a star for levels 1 to 5."""
        return tuple(level in self.levels for level in LEVELS)


class Category(_Part):
    """A category 分类 of criteria."""

    id: Slug
    name: Text
    criteria: tuple[Criterion, ...] = Field(min_length=1)


class CriteriaSet(_Part):
    """The criteria of the 晨星工厂 assessment with the table of five levels."""

    id: Slug
    version: Version
    title: Text
    summary: Text
    source: Source
    categories: tuple[Category, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_differ(self) -> CriteriaSet:
        names = [criterion.id for criterion in self.criteria]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.id}: criterion ids stand twice")
        return self

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """All criteria in the document's order."""
        return tuple(criterion for category in self.categories for criterion in category.criteria)

    def criterion(self, name: str) -> Criterion | None:
        """The criterion with this id."""
        return next((criterion for criterion in self.criteria if criterion.id == name), None)

    def stars_of_level(self, level: int) -> int:
        """How many criteria the document's table marks for a level 1 to 5."""
        return sum(level in criterion.levels for criterion in self.criteria)


@cache
def indicator_sets() -> dict[str, IndicatorSet]:
    """Every indicator set of the package, by id."""
    return {found.id: found for found in (IndicatorSet.model_validate(body) for body in _documents("indicators"))}


@cache
def criteria_sets() -> dict[str, CriteriaSet]:
    """Every set of criteria of the package, by id."""
    return {found.id: found for found in (CriteriaSet.model_validate(body) for body in _documents("criteria"))}


def _documents(kind: str) -> Iterator[dict[str, Any]]:
    folder = files("evaluation") / "sets" / kind
    for path in sorted(folder.iterdir(), key=lambda item: item.name):
        if path.name.endswith(".yaml"):
            yield yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
