"""A data set made from a query: what its contract is, and what cannot be stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from brain_contracts.contract import (
    COLUMN_NAME,
    NAME,
    SENSITIVITY,
    Change,
    Column,
    DatasetContract,
    compare,
    validated,
)
from brain_kit.problems import Conflict, InvalidInput

DERIVED_MEDIA = "application/vnd.brain.derived"
Mode = Literal["replace", "upsert"]
INTEGERS = frozenset(
    ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT", "UHUGEINT"]
)
LOGICAL_TYPES = {
    "VARCHAR": "string",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "FLOAT": "number",
    "DOUBLE": "number",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
}
LOWEST = "一般-1"


class DerivedInvalid(InvalidInput):
    """The result cannot become a data set; `errors` lists each wrong column or field."""

    code, title = "derived_invalid", "Result cannot be stored"


class DerivedRowsInvalid(InvalidInput):
    """Rows of the result break the contract; `rejects` are the first of them. Nothing was stored."""

    code, title = "derived_rows_invalid", "Rows cannot be stored"


class DerivedEmpty(InvalidInput):
    """The result has no row; the data set stays as it was."""

    code, title = "derived_empty", "Result is empty"


class DerivedInterrupted(Conflict):
    """The work took so long that it was given up, or the data set has changed in the meantime."""

    code, title = "derived_interrupted", "Derivation interrupted"


@dataclass(frozen=True)
class DeriveRequest:
    """What a caller asks for."""

    name: str
    title: str
    sql: str
    parameters: Mapping[str, Any] | Sequence[Any] | None = None
    versions: Mapping[str, str] | None = None
    key: tuple[str, ...] = ()
    mode: Mode = "replace"
    description: str = ""
    allow_breaking: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of everything that was asked, to tell a repeat from another request."""
        facts = [self.name, self.title, self.sql, self.parameters, self.versions, self.key, self.mode, self.description]
        return hashlib.sha256(json.dumps(facts, ensure_ascii=False, sort_keys=True, default=str).encode()).hexdigest()


def check_request(request: DeriveRequest) -> None:
    """Raises DerivedInvalid for a name, a key or a mode that cannot be."""
    errors = []
    if not NAME.fullmatch(request.name):
        reason = "应写作 仓.数据集，如 enterprise.monthly_sums：仓为 public、industry、enterprise，其后小写字母、数字"
        errors.append({"field": "name", "reason": reason})
    if request.mode == "upsert" and not request.key:
        errors.append({"field": "key", "reason": "mode=upsert 按主键更新，需要 key"})
    if len(set(request.key)) < len(request.key):
        errors.append({"field": "key", "reason": "key 中有重复的列"})
    if errors:
        raise DerivedInvalid(f"{errors[0]['field']}：{errors[0]['reason']}", errors=errors)


def logical_type(duckdb_type: str) -> str | None:
    """The type of a contract's column for a type of the engine; None for one that cannot be stored."""
    if duckdb_type in INTEGERS:
        return "integer"
    if duckdb_type.startswith("DECIMAL"):
        return "number"
    if duckdb_type.startswith("ENUM"):
        return "string"
    return LOGICAL_TYPES.get(duckdb_type)


def columns_of_result(
    result: Sequence[Mapping[str, str]],
    key: Sequence[str],
    sources: Sequence[tuple[str, str, str, str]] | None,
    inputs: Mapping[str, DatasetContract],
) -> tuple[Column, ...]:
    """The columns of a result (name and engine type) as a contract has them.

    One that is an input's column unchanged keeps its titles, unit and classification. Raises DerivedInvalid.
    """
    errors = [*_column_errors(result), *_key_errors(result, key)]
    if errors:
        raise DerivedInvalid(f"{errors[0]['field']}：{errors[0]['reason']}", errors=errors)
    copied = _copied(sources, inputs)
    return tuple(
        _column(item["name"], str(logical_type(item["type"])), copied.get(item["name"]), required=item["name"] in key)
        for item in result
    )


def _column_errors(result: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    errors, seen = [], set()
    if not result:
        errors.append({"field": "sql", "reason": "结果没有可存的列"})
    for item in result:
        name, where = item["name"], f"columns.{item['name']}"
        if not COLUMN_NAME.fullmatch(name):
            errors.append({"field": where, "reason": "列名应以字母开头，只含字母、数字和下划线；请用 AS 取名"})
        if name.lower() in seen:
            errors.append({"field": where, "reason": "列名重复；请用 AS 取不同的名"})
        seen.add(name.lower())
        if logical_type(item["type"]) is None:
            errors.append(
                {"field": where, "reason": f"类型 {item['type']} 不能存入数据集；请用 CAST 改为文本、数字或时间"}
            )
    return errors


def _key_errors(result: Sequence[Mapping[str, str]], key: Sequence[str]) -> list[dict[str, str]]:
    names = [item["name"] for item in result]
    missing = [name for name in key if name not in names]
    return [{"field": "key", "reason": f"结果中没有列 {name}；可用：{'、'.join(names)}"} for name in missing]


def _copied(
    sources: Sequence[tuple[str, str, str, str]] | None, inputs: Mapping[str, DatasetContract]
) -> dict[str, Column]:
    """Input columns by the output column that is a copy of exactly one of them."""
    by_output: dict[str, list[tuple[str, str, str]]] = {}
    for output, dataset, column, how in sources or ():
        by_output.setdefault(output, []).append((dataset, column, how))
    found = {}
    for output, made_of in by_output.items():
        dataset, column, how = made_of[0]
        if len(made_of) == 1 and how == "IDENTITY" and column in inputs[dataset].column_names:
            found[output] = inputs[dataset].column(column)
    return found


def _column(name: str, kind: str, source: Column | None, *, required: bool) -> Column:
    if source is None or source.logical_type != kind:
        return Column(name, kind, title_zh=name, title_en=name, required=required)
    return Column(
        name,
        kind,
        title_zh=source.title_zh or name,
        title_en=source.title_en or name,
        description=source.description,
        unit=source.unit,
        required=required,
        classification=source.classification,
    )


def contract_of(
    request: DeriveRequest, columns: tuple[Column, ...], example: dict[str, Any], inputs: Sequence[DatasetContract]
) -> DatasetContract:
    """The first contract of a derived data set: as sensitive as the most sensitive of its inputs, seen by its owner."""
    ranked = sorted((item.classification for item in inputs), key=lambda name: SENSITIVITY.get(name, 0))
    return DatasetContract(
        name=request.name,
        version="1.0.0",
        title_zh=request.title,
        title_en=request.name.split(".")[1].replace("_", " "),
        description=request.description,
        warehouse=request.name.split(".")[0],
        library="scene",
        classification=ranked[-1] if ranked else LOWEST,
        access="owner",
        columns=columns,
        key=request.key,
        example=example,
    )


def refreshed(old: DatasetContract, new: DatasetContract) -> tuple[DatasetContract, Change]:
    """The contract for a result of the same data set, and what changes; the old one itself when nothing does.

    Columns that stay keep what people have written about them. Never less sensitive than before.
    """
    known = {column.name: column for column in old.columns}
    kept = tuple(
        replace(known[column.name], required=column.required)
        if column.name in known and known[column.name].logical_type == column.logical_type
        else column
        for column in new.columns
    )
    level = max(old.classification, new.classification, key=lambda name: SENSITIVITY.get(name, 0))
    made = replace(
        old,
        columns=kept,
        key=new.key,
        classification=level,
        title_zh=new.title_zh,
        description=new.description or old.description,
    )
    if replace(made, example=old.example) == old:
        return old, Change(True, ())
    change = compare(old, made)
    major, minor, patch = (int(part) for part in old.version.split("."))
    if not change.compatible:
        version = f"{major + 1}.0.0"
    elif any(item.code != "text_changed" for item in change.changes):
        version = f"{major}.{minor + 1}.0"
    else:
        version = f"{major}.{minor}.{patch + 1}"
    return validated(replace(made, version=version, example=new.example)), change
