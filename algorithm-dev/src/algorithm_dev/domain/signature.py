"""What goes into a component and what comes out of it: rows under a JSON Schema, or tensors.

Rows are described by an object schema of JSON Schema 2020-12, kept to flat rows of single values so that each column
is also a column of a table: `number` is DOUBLE, `integer` BIGINT, `boolean` BOOLEAN, `string` VARCHAR, with format
`date` DATE and `date-time` TIMESTAMP. The keywords `unit`, `title_en` and `enum_titles` are additions of this platform.
Tensors carry the data types of the Open Inference Protocol v2; a dimension is a number or a name, and one name stands
for one size in a whole call.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

ColumnName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
TensorName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.:/-]{0,127}$")]
Dimension = Annotated[int, Field(ge=1, le=2**31 - 1)] | Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Unit = Annotated[str, StringConstraints(min_length=1, max_length=40)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
ScalarType = Literal["number", "integer", "boolean", "string"]
Dtype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]
MAX_COLUMNS = 500
SQL_TYPES = {
    ("number", None): "DOUBLE",
    ("integer", None): "BIGINT",
    ("boolean", None): "BOOLEAN",
    ("string", None): "VARCHAR",
    ("string", "date"): "DATE",
    ("string", "date-time"): "TIMESTAMP",
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, strict=True)


class Text(_Part):
    """A text in both languages."""

    zh: str = Field(min_length=1, max_length=4000)
    en: str = Field(min_length=1, max_length=4000)


class _Value(_Part):
    """What columns and parameters have in common: bounds, choices, unit, titles."""

    title: Label | None = Field(None, description="Chinese title")
    title_en: Label | None = Field(None, description="English title")
    description: str | None = Field(None, max_length=2000)
    unit: Unit | None = Field(None, description="unit of measure, '1' for a pure number; every number has one")
    minimum: Finite | None = None
    maximum: Finite | None = None
    exclusive_minimum: Finite | None = Field(None, alias="exclusiveMinimum")
    exclusive_maximum: Finite | None = Field(None, alias="exclusiveMaximum")
    enum: list[str | int | float] | None = Field(None, min_length=1, max_length=200)
    enum_titles: dict[str, Text] = Field({}, description="what each choice means, in both languages")


class ColumnSchema(_Value):
    """The schema of one value of a row; `["number", "null"]` makes it nullable."""

    type: ScalarType | Annotated[list[Literal["number", "integer", "boolean", "string", "null"]], Field(max_length=2)]
    format: Literal["date", "date-time"] | None = None
    max_length: int | None = Field(None, alias="maxLength", ge=1, le=1_000_000)

    @property
    def scalar(self) -> str:
        """The type without null."""
        kinds = [self.type] if isinstance(self.type, str) else [kind for kind in self.type if kind != "null"]
        return kinds[0] if kinds else "null"

    @property
    def nullable(self) -> bool:
        """Whether null is a value of this column."""
        return not isinstance(self.type, str) and "null" in self.type

    @property
    def sql_type(self) -> str:
        """The column's type in DuckDB."""
        return SQL_TYPES[self.scalar, self.format]


class RowSchema(_Part):
    """An object schema whose properties are the columns."""

    type: Literal["object"] = "object"
    properties: dict[ColumnName, ColumnSchema] = Field(min_length=1, max_length=MAX_COLUMNS)
    required: list[str] = Field([], description="columns that every row names; the others are null where missing")
    additional_properties: Literal[False] = Field(False, alias="additionalProperties")


class Rows(_Part):
    """Rows under a schema."""

    form: Literal["rows"]
    row_schema: RowSchema = Field(alias="schema")
    min_rows: int = Field(0, ge=0, description="fewer rows are refused")
    max_rows: int = Field(1_000_000, ge=1, le=100_000_000, description="more rows are refused")
    order_by: list[str] = Field([], description="columns by which rows are sorted before the component sees them")

    @property
    def columns(self) -> dict[str, ColumnSchema]:
        """Columns by name, in the order of the card."""
        return self.row_schema.properties


class Tensor(_Part):
    """One named tensor."""

    name: TensorName
    dtype: Dtype
    shape: list[Dimension] = Field(max_length=8, description="sizes or names of dimensions; [] is a single value")
    title: Label | None = None
    title_en: Label | None = None
    unit: Unit | None = None
    minimum: Finite | None = None
    maximum: Finite | None = None
    nan_allowed: bool = Field(False, description="whether NaN may stand for a missing value")
    columns: list[ColumnName] = Field(
        [], description="columns of a table that fill the last dimension when the component runs on a data set"
    )


class Tensors(_Part):
    """Named tensors."""

    form: Literal["tensors"]
    tensors: list[Tensor] = Field(min_length=1, max_length=200)


Side = Annotated[Rows | Tensors, Field(discriminator="form")]


class Parameter(_Value):
    """A setting of the component that a caller may change."""

    name: ColumnName
    type: ScalarType
    default: str | bool | int | float

    @property
    def sql_type(self) -> str:
        """The parameter's type in DuckDB."""
        return SQL_TYPES[self.type, None]


class Signature(_Part):
    """Inputs, outputs and parameters 输入 输出 参数."""

    inputs: Side
    outputs: Side
    parameters: list[Parameter] = Field([], max_length=100)

    def settled(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Every parameter's value: the caller's, or the default."""
        return {item.name: parameters.get(item.name, item.default) for item in self.parameters}
