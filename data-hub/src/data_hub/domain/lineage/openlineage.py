"""OpenLineage RunEvents as this platform reads them: the rules of the JSON schemas 1-x-x and 2-x-x, plus its bounds.

https://openlineage.io/spec/2-0-2/OpenLineage.json; facets DatasetVersion 1-x-x and ColumnLineage 1-x-x are read, others
are checked for their base fields and kept as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from brain_kit.problems import InvalidInput
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

MAX_EVENT_BYTES = 256 << 10
MAX_DATASETS = 200
MAX_COLUMN_LINKS = 10_000
SCHEMA_URL = re.compile(
    r"https://openlineage\.io/spec/[12]-[0-9]+-[0-9]+/OpenLineage\.json(#/(\$defs|definitions)/RunEvent)?"
)
SHOWN_ERRORS = 20

EventType = Literal["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]


class EventInvalid(InvalidInput):
    """The document is no RunEvent; `errors` lists each wrong field."""

    code, title = "lineage_event_invalid", "Not an OpenLineage event"


def _uri(text: str) -> str:
    """A URI has a scheme; that is all the schema's `format: uri` asks for."""
    try:
        scheme = urlsplit(text).scheme
    except ValueError as error:
        raise ValueError("应为 URI") from error
    if not scheme or any(letter.isspace() for letter in text):
        raise ValueError("应为带协议的 URI，如 https://…")
    return text


def _schema_url(text: str) -> str:
    if not SCHEMA_URL.fullmatch(text):
        raise ValueError("应为 https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent（1-x-x 或 2-x-x）")
    return text


Uri = Annotated[str, Field(max_length=1000), AfterValidator(_uri)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class _Part(BaseModel):
    """An object of the schema: unknown members are allowed."""

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)


class Facet(_Part):
    """The base of every facet."""

    producer: Uri = Field(alias="_producer")
    schema_url: Uri = Field(alias="_schemaURL")


class VersionFacet(Facet):
    """`version`: which version of a data set was read or made."""

    dataset_version: str = Field(alias="datasetVersion", min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")


class Transformation(_Part):
    """How an input column went into an output column."""

    type: Literal["DIRECT", "INDIRECT"]
    subtype: str = Field("", max_length=40)


class InputField(_Part):
    """An input column."""

    namespace: Name
    name: Name
    field: Name
    transformations: list[Transformation] = Field([], max_length=20)


class OutputField(_Part):
    """The input columns of an output column."""

    input_fields: list[InputField] = Field(alias="inputFields")


class ColumnLineageFacet(Facet):
    """`columnLineage`: by output column. `dataset`: input columns that the whole data set depends on."""

    fields: dict[Name, OutputField]
    dataset: list[InputField] = []


class Dataset(_Part):
    """An input or output."""

    namespace: Name
    name: Name
    facets: dict[str, Any] = {}
    version: VersionFacet | None = Field(None, exclude=True)
    columns: ColumnLineageFacet | None = Field(None, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _read_facets(cls, body: Any) -> Any:
        if not isinstance(body, Mapping):
            return body
        facets = body.get("facets")
        facets = facets if isinstance(facets, Mapping) else {}
        given = {name: value for name, value in body.items() if name not in ("version", "columns")}
        return given | {"version": facets.get("version"), "columns": facets.get("columnLineage")}

    @property
    def version_text(self) -> str:
        """The version, empty when the event names none."""
        return self.version.dataset_version if self.version is not None else ""


class Run(_Part):
    """The run that an event tells of."""

    run_id: UUID = Field(alias="runId")
    facets: dict[str, Any] = {}


class Job(_Part):
    """What ran."""

    namespace: Name
    name: Name
    facets: dict[str, Any] = {}


class RunEvent(_Part):
    """A state change of a run, with the data sets it read and made."""

    event_type: EventType = Field("OTHER", alias="eventType")
    event_time: AwareDatetime = Field(alias="eventTime")
    run: Run
    job: Job
    inputs: list[Dataset] = Field([], max_length=MAX_DATASETS)
    outputs: list[Dataset] = Field([], max_length=MAX_DATASETS)
    producer: Uri
    schema_url: Annotated[str, AfterValidator(_schema_url)] = Field(alias="schemaURL")

    @model_validator(mode="after")
    def _check_facets(self) -> RunEvent:
        named = [("run", self.run.facets), ("job", self.job.facets)]
        for side, found in (("inputs", self.inputs), ("outputs", self.outputs)):
            named += [(f"{side}.{place}", item.facets) for place, item in enumerate(found)]
        for where, facets in named:
            for name, facet in facets.items():
                _check_facet(f"{where}.facets.{name}", facet)
        links = sum(
            len(item.input_fields) for out in self.outputs if out.columns for item in out.columns.fields.values()
        )
        if links > MAX_COLUMN_LINKS:
            raise ValueError(f"columnLineage 至多 {MAX_COLUMN_LINKS} 条列关系，现有 {links} 条")
        return self

    @property
    def run_id(self) -> str:
        """The run's id in its usual form."""
        return str(self.run.run_id)

    @property
    def at(self) -> datetime:
        """When it happened."""
        return self.event_time


def _check_facet(where: str, facet: Any) -> None:
    try:
        Facet.model_validate(facet)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{where}.{'.'.join(map(str, first['loc']))}：{_words(first)}") from error


def read_event(body: Any) -> RunEvent:
    """The event of a JSON value. Raises EventInvalid naming every wrong field."""
    if not isinstance(body, dict):
        raise EventInvalid("应为一个 OpenLineage RunEvent 对象", errors=[{"field": "", "reason": "应为对象"}])
    try:
        return RunEvent.model_validate(body)
    except ValidationError as error:
        found = [{"field": _field(item["loc"]), "reason": _words(item)} for item in error.errors()]
        shown = found[0]
        raise EventInvalid(
            f"不是有效的 OpenLineage 事件：{shown['field'] or '事件'}（{shown['reason']}）", errors=found[:SHOWN_ERRORS]
        ) from error


def _field(path: tuple[int | str, ...]) -> str:
    """Where a fault lies in the document; the two facets that are read stand beside their data set's name here."""
    renamed = {"version": "facets.version", "columns": "facets.columnLineage"}
    inside = len(path) > 2 and path[0] in ("inputs", "outputs")
    return ".".join(
        renamed.get(str(part), str(part)) if inside and place == 2 else str(part) for place, part in enumerate(path)
    )


WORDS = {
    "missing": "缺少该字段",
    "string_type": "应为文本",
    "string_too_short": "不能为空",
    "string_too_long": "过长",
    "string_pattern_mismatch": "含有控制字符",
    "uuid_parsing": "应为 UUID",
    "uuid_type": "应为 UUID",
    "timezone_aware": "应为带时区的时间（RFC 3339）",
    "datetime_from_date_parsing": "应为带时区的时间（RFC 3339）",
    "datetime_parsing": "应为带时区的时间（RFC 3339）",
    "datetime_type": "应为带时区的时间（RFC 3339）",
    "dict_type": "应为对象",
    "model_type": "应为对象",
    "list_type": "应为数组",
    "too_long": "项数过多",
    "literal_error": "取值不在规范之内",
}


def _words(item: Any) -> str:
    if item["type"] == "value_error":
        return str(item["msg"]).removeprefix("Value error, ")
    return WORDS.get(str(item["type"]), str(item["msg"]))
