"""What the portal shows of a data set, taken from the data hub's answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from service_portal.portal.formats import decimals, is_missing

MOST_ALIKE = 3


@dataclass(frozen=True)
class Column:
    """One column of a contract; rules are written out in words."""

    name: str
    title: str
    type: str
    unit: str
    required: bool
    is_key: bool
    rules: tuple[tuple[str, str], ...]
    description: str


@dataclass(frozen=True)
class Dataset:
    """A data set as the catalogue and its page show it. rows, bytes and owners are None when unknown."""

    name: str
    title: str
    description: str
    warehouse: str
    library: str
    classification: str
    access: str
    owner: str
    owner_column: str
    version: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    example: dict[str, Any] = field(default_factory=dict)
    rows: int | None = None
    bytes: int | None = None
    owners: int | None = None
    last_commit: str | None = None
    synthetic: bool = False

    @property
    def search_text(self) -> str:
        """What the catalogue's search looks through."""
        columns = " ".join(f"{column.name} {column.title}" for column in self.columns)
        return f"{self.name} {self.title} {self.description} {columns}".casefold()

    def with_statistics(self, statistics: dict[str, Any]) -> Dataset:
        """The same data set with rows, bytes, owners and last commit from the statistics."""
        known = _statistics_by_name(statistics).get(self.name)
        if known is None:
            return self
        owners = known.get("owners")
        return dataclasses.replace(
            self,
            rows=known.get("rows") if known.get("rows") is not None else known.get("own_rows"),
            bytes=known.get("bytes"),
            owners=len(owners) if isinstance(owners, (list, dict)) else owners,
            last_commit=known.get("last_commit") or known.get("committed_at"),
            synthetic=bool(known.get("synthetic")),
        )


def dataset_of(body: dict[str, Any], locale: str = "zh") -> Dataset:
    """A data set from the hub's description of it."""
    name = str(body["name"])
    key = tuple(body.get("key") or ())
    return Dataset(
        name=name,
        title=_title(body, locale) or name,
        description=str((locale == "en" and body.get("description_en")) or body.get("description") or ""),
        warehouse=str(body.get("warehouse") or name.partition(".")[0]),
        library=str(body.get("library") or ""),
        classification=str(body.get("classification") or ""),
        access=str(body.get("access") or ""),
        owner=str(body.get("owner") or ""),
        owner_column=str(body.get("owner_column") or ""),
        version=str(body.get("version") or ""),
        key=key,
        columns=tuple(_column(column, key, locale) for column in body.get("columns") or body.get("schema") or ()),
        example=body.get("example") or {},
    )


def catalogue(items: list[dict[str, Any]], statistics: dict[str, Any], locale: str) -> list[Dataset]:
    """Every data set with its statistics, by name."""
    known = [dataset_of(item, locale).with_statistics(statistics) for item in items]
    return sorted(known, key=lambda item: item.name)


def _statistics_by_name(statistics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = statistics.get("datasets") or []
    if isinstance(found, dict):
        return found
    return {str(item.get("dataset") or item.get("name")): item for item in found}


def _title(body: dict[str, Any], locale: str) -> str:
    title = body.get("title")
    if isinstance(title, dict):
        return str(title.get(locale) or title.get("zh") or "")
    other = "title_en" if locale == "en" else "title_zh"
    return str(body.get(other) or title or body.get("title_zh") or "")


_RULES = ("enum", "pattern", "minimum", "maximum", "min_length", "max_length", "references", "code_type", "format")


def _column(body: dict[str, Any], key: tuple[str, ...], locale: str) -> Column:
    name = str(body["name"])
    given = body.get("rules") if isinstance(body.get("rules"), dict) else {}
    facts = {**body, **(given or {})}
    rules = tuple((rule, _shown(facts[rule])) for rule in _RULES if facts.get(rule) not in (None, "", [], {}))
    return Column(
        name=name,
        title=_title(body, locale),
        type=str(body.get("type") or body.get("logical_type") or ""),
        unit=str(body.get("unit") or ""),
        required=bool(facts.get("required")) or name in key,
        is_key=name in key,
        rules=rules,
        description=str(body.get("description") or ""),
    )


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " | ".join(str(item) for item in value)
    if isinstance(value, dict):
        return ".".join(str(item) for item in value.values())
    return str(value)


def numeric_columns(items: list[dict[str, Any]]) -> dict[str, int | None]:
    """Columns that hold numbers in the first rows and nothing else, each with the decimals that all its values get."""
    found: set[str] = set()
    other: set[str] = set()
    for item in items[:50]:
        for name, value in item.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                found.add(name)
            elif value is not None:
                other.add(name)
    return {name: one_scale(item.get(name) for item in items) for name in found - other}


def one_scale(values: Iterable[Any]) -> int | None:
    """The decimals at which the values of one column line up; None where small ones would vanish or fill the cell."""
    amounts = [float(value) for value in values if not is_missing(value)]
    digits = max((decimals(amount) for amount in amounts), default=0)
    return digits if digits <= MOST_ALIKE else None
