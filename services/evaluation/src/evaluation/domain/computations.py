"""How a figure is computed: a query over the warehouses, or the data hub's statistics.

The SQL of a computation is put together from its file and the fragments that the file needs. A file has two parts:
`-- rows` names the rows behind the figure (the table `used`), `-- value` makes one row of figures from them. What every
answer must tell, whichever the computation, is added here: which data sets are empty, and the day of the newest data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from evaluation.domain.periods import Period
from evaluation.domain.sets import Cadence, ComputationId, Text

DatasetName = Annotated[str, StringConstraints(pattern=r"^(public|industry|enterprise)\.[a-z][a-z0-9_]{0,62}$")]
RegionPrefix = Annotated[str, StringConstraints(pattern=r"^(\d{2}|\d{4}|\d{6})?$")]
ChainId = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]*$", max_length=64)]

_PLACEHOLDER = re.compile(r"\$([a-z_]+)")
_PRODUCT = "industry.product"
"""Read only to find the enterprises of a chain: it may be empty while no chain is chosen."""


class Scope(BaseModel):
    """Which enterprises count: a region by GB/T 2260 prefix and a chain; an empty text means all."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    region: RegionPrefix = ""
    chain: ChainId = ""


@dataclass(frozen=True)
class Query:
    """The body of `POST /v1/queries`: a text and the values of its placeholders."""

    sql: str
    parameters: dict[str, str]


class Computation(BaseModel):
    """A figure that the platform's own data give. unit: of `value`. scope: what region and chain choose.
    mark: the optional column without which a row says nothing.

    calendar_year: January to December only, since the data are by year. datasets: what the query reads.
    warehouses: of computations from statistics.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: ComputationId
    title: Text
    source: Literal["sql", "statistics"] = "sql"
    unit: Text
    cadence: Cadence
    formula: Text
    choice: str | None = None
    subject: Text = "企业"
    mark: str | None = None
    scope: Literal["enterprises", "projects", "platform"] = "enterprises"
    needs_chain: bool = False
    calendar_year: bool = False
    datasets: tuple[DatasetName, ...] = ()
    warehouses: tuple[Literal["public", "industry", "enterprise"], ...] = ()
    needs: tuple[str, ...] = Field((), exclude=True)
    rows: str = Field("", exclude=True)
    value: str = Field("", exclude=True)

    @model_validator(mode="after")
    def _whole(self) -> Computation:
        if self.source == "sql" and not (self.datasets and self.rows and self.value):
            raise ValueError(f"{self.id}: a query names its data sets and has a part for rows and one for the value")
        if self.source == "statistics" and not self.warehouses:
            raise ValueError(f"{self.id}: a figure from statistics names its warehouses")
        return self

    def query(self, period: Period, scope: Scope) -> Query:
        """The query whose only row `outcome.judge` reads."""
        ctes = [*self._fragments(), ("used", self.rows), ("answer", self.value)]
        facts = f"{self._empty()},\n    {self._data_at()}"
        return _bound(f"{_with(ctes)}\nSELECT answer.*,\n    {facts}\nFROM answer", period, scope)

    def rows_query(self, period: Period, scope: Scope) -> Query:
        """The query that lists the rows behind the figure, in a fixed order."""
        ctes = [*self._fragments(), ("used", self.rows)]
        return _bound(f"{_with(ctes)}\nSELECT * FROM used ORDER BY ALL", period, scope)

    def _fragments(self) -> list[tuple[str, str]]:
        found: dict[str, str] = {}

        def add(name: str) -> None:
            fragment = _fragment(name)
            for needed in fragment.needs:
                add(needed)
            found.setdefault(name, fragment.sql)

        for name in self.needs:
            add(name)
        return list(found.items())

    def _empty(self) -> str:
        """The declared data sets without a single row, as a list."""
        checks = [
            f"SELECT '{name}' AS dataset WHERE NOT EXISTS (SELECT 1 FROM {name})"
            + (" AND $chain <> ''" if name == _PRODUCT else "")
            for name in self.datasets
        ]
        listed = "\n        UNION ALL ".join(checks)
        return f"(SELECT list(dataset) FROM (\n        {listed}\n    )) AS empty_datasets"

    def _data_at(self) -> str:
        """The day, in Chinese time, on which the newest row of any declared data set was pushed."""
        newest = "\n        UNION ALL ".join(f"SELECT max(_pushed_at) AS pushed FROM {name}" for name in self.datasets)
        day = "CAST(CAST(max(pushed) AT TIME ZONE 'Asia/Shanghai' AS DATE) AS VARCHAR)"
        return f"(SELECT {day} FROM (\n        {newest}\n    )) AS data_at"


@dataclass(frozen=True)
class _Fragment:
    needs: tuple[str, ...]
    sql: str


@cache
def computations() -> dict[str, Computation]:
    """Every computation of the package, by id."""
    folder = files("evaluation") / "computations"
    listed: list[dict[str, Any]] = yaml.load(
        (folder / "computations.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
    )
    found = {}
    for body in listed:
        parts: dict[str, Any] = {}
        if body.get("source", "sql") == "sql":
            text = (folder / f"{body['id']}.sql").read_text(encoding="utf-8")
            head, rows, value = _parts(body["id"], text)
            parts = {"needs": _needs(head), "rows": rows, "value": value}
        found[body["id"]] = Computation.model_validate(body | parts)
    return found


@cache
def _fragment(name: str) -> _Fragment:
    text = (files("evaluation") / "computations" / "fragments" / f"{name}.sql").read_text(encoding="utf-8")
    return _Fragment(_needs(text), _without_comments(text))


def _parts(name: str, text: str) -> tuple[str, str, str]:
    head, rows_mark, rest = text.partition("-- rows\n")
    rows, value_mark, value = rest.partition("-- value\n")
    if not rows_mark or not value_mark:
        raise ValueError(f"{name}.sql: the parts `-- rows` and `-- value` are missing")
    return head, _without_comments(rows), _without_comments(value)


def _needs(text: str) -> tuple[str, ...]:
    matched = re.search(r"^-- needs: (.+)$", text, re.MULTILINE)
    return tuple(name.strip() for name in matched[1].split(",")) if matched else ()


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.strip().splitlines() if not line.startswith("--"))


def _with(ctes: list[tuple[str, str]]) -> str:
    indented = (f"{name} AS (\n    " + sql.replace("\n", "\n    ") + "\n)" for name, sql in ctes)
    return "WITH " + ",\n".join(indented)


def _bound(sql: str, period: Period, scope: Scope) -> Query:
    """The query with exactly the values that its text names: the query API refuses a surplus one."""
    known = {
        "period_start": period.first,
        "period_end": period.last,
        "region": scope.region,
        "chain": scope.chain,
    }
    return Query(sql, {name: known[name] for name in sorted(set(_PLACEHOLDER.findall(sql)))})
