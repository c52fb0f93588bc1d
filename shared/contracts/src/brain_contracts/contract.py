"""The contract of a data set: what the platform needs of an Open Data Contract Standard v3.1 document.

A document names one data set `<warehouse>.<dataset>`; what the standard has no field for stands in `customProperties`:
warehouse, library, classification, owner, access, ownerColumn, titleZh, titleEn, example; per column titleZh, titleEn,
unit, codeType, references.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from brain_contracts.codes import SQL_CHECKS

WAREHOUSES = ("public", "industry", "enterprise")
LIBRARIES = ("base", "industry", "scene")
ACCESS = ("open", "government", "owner")
CLASSIFICATIONS = ("一般-1", "一般-2", "一般-3", "一般-4", "重要")
DUCKDB_TYPES = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
}
NAME = re.compile(r"^(public|industry|enterprise)\.[a-z][a-z0-9_]{0,62}$")
COLUMN_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_]{0,62}$")
VERSION = re.compile(r"^[0-9]+\.[0-9]+\.[0-9]+$")
MAX_COLUMNS = 500

Access = Literal["open", "government", "owner"]


class ContractInvalid(ValueError):
    """A contract cannot be used; `errors` lists (field, reason) pairs."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        self.errors = errors
        super().__init__("；".join(f"{name}: {reason}" for name, reason in errors))


@dataclass(frozen=True)
class Column:
    """A column of a data set with its rules."""

    name: str
    logical_type: str
    title_zh: str = ""
    title_en: str = ""
    description: str = ""
    unit: str = ""
    required: bool = False
    code_type: str | None = None
    enum: tuple[str, ...] = ()
    pattern: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    max_length: int | None = None
    references: str | None = None
    classification: str | None = None

    @property
    def duckdb_type(self) -> str:
        """The column's type in DuckDB; timestamps carry a zone and are UTC."""
        return DUCKDB_TYPES[self.logical_type]


@dataclass(frozen=True)
class DatasetContract:
    """A data set: name, schema, key, rules, and who may do what with it."""

    name: str
    version: str
    title_zh: str
    title_en: str
    description: str
    warehouse: str
    library: str
    classification: str
    access: Access
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    owner: str = ""
    owner_column: str | None = None
    example: dict[str, Any] = field(default_factory=dict)

    @property
    def table(self) -> str:
        """The name within the warehouse."""
        return self.name.split(".", 1)[1]

    def column(self, name: str) -> Column:
        """A column by name. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns in order."""
        return tuple(column.name for column in self.columns)


def validated(contract: DatasetContract) -> DatasetContract:
    """The same contract when it is sound. Raises ContractInvalid naming every wrong field."""
    errors = [*_document_errors(contract), *_column_errors(contract), *_key_errors(contract)]
    if not errors:
        errors = _example_errors(contract)
    if errors:
        raise ContractInvalid(errors)
    return contract


def _document_errors(contract: DatasetContract) -> list[tuple[str, str]]:
    errors = []
    if not NAME.match(contract.name):
        errors.append(("name", f"应为 <warehouse>.<dataset>，如 enterprise.enterprise_monthly，现为 {contract.name!r}"))
    elif contract.name.split(".")[0] != contract.warehouse:
        errors.append(("customProperties.warehouse", f"应与名称的前半一致，现为 {contract.warehouse!r}"))
    if not VERSION.match(contract.version):
        errors.append(("version", f"应为 主.次.修订，如 1.0.0，现为 {contract.version!r}"))
    for name, allowed in (("library", LIBRARIES), ("access", ACCESS), ("classification", CLASSIFICATIONS)):
        value = getattr(contract, name)
        if value not in allowed:
            errors.append((f"customProperties.{name}", f"应为 {'、'.join(allowed)} 之一，现为 {value!r}"))
    if not contract.title_zh:
        errors.append(("customProperties.titleZh", "缺少中文名称"))
    return errors


def _column_errors(contract: DatasetContract) -> list[tuple[str, str]]:
    errors = []
    if not 0 < len(contract.columns) <= MAX_COLUMNS:
        errors.append(("schema.properties", f"应有 1 到 {MAX_COLUMNS} 列，现有 {len(contract.columns)} 列"))
    seen: set[str] = set()
    for column in contract.columns:
        where = f"schema.properties.{column.name}"
        if not COLUMN_NAME.match(column.name):
            errors.append((where, "列名应以字母开头，只含字母、数字和下划线，不超过 63 位"))
        if column.name.lower() in seen:
            errors.append((where, "列名重复（不分大小写）"))
        seen.add(column.name.lower())
        if column.logical_type not in DUCKDB_TYPES:
            errors.append((where, f"logicalType 应为 {'、'.join(DUCKDB_TYPES)} 之一，现为 {column.logical_type!r}"))
        errors += [(where, reason) for reason in _rule_errors(column)]
    return errors


def _rule_errors(column: Column) -> list[str]:
    errors = []
    if column.code_type is not None and column.code_type not in SQL_CHECKS:
        errors.append(f"codeType 应为 {'、'.join(SQL_CHECKS)} 之一，现为 {column.code_type!r}")
    textual = column.code_type or column.enum or column.pattern or column.max_length is not None
    if textual and column.logical_type != "string":
        errors.append("codeType、enum、pattern、maxLength 只用于 string 列")
    numeric = column.minimum is not None or column.maximum is not None
    if numeric and column.logical_type not in ("integer", "number"):
        errors.append("minimum、maximum 只用于 integer 和 number 列")
    if column.pattern is not None:
        try:
            re.compile(column.pattern)
        except re.error as error:
            errors.append(f"pattern 不是正则表达式：{error}")
    return errors


def _key_errors(contract: DatasetContract) -> list[tuple[str, str]]:
    errors = []
    names = set(contract.column_names)
    for name in contract.key:
        if name not in names:
            errors.append(("primaryKey", f"主键列 {name} 不在列中"))
        elif not contract.column(name).required:
            errors.append((f"schema.properties.{name}", "主键列应为 required: true"))
    if contract.owner_column is not None and contract.owner_column not in names:
        errors.append(("customProperties.ownerColumn", f"列 {contract.owner_column} 不在列中"))
    return errors


def _example_errors(contract: DatasetContract) -> list[tuple[str, str]]:
    from brain_contracts.rows import row_errors

    found = row_errors(contract, contract.example)
    return [(f"customProperties.example.{name}", reason) for name, reason in found]


@dataclass(frozen=True)
class Change:
    """What changed between two versions: whether old readers and writers still work, and each change in words."""

    compatible: bool
    changes: tuple[tuple[str, str, bool], ...]


WIDENINGS = {("integer", "number"), ("date", "timestamp")}
RANK = {name: rank for rank, name in enumerate(("owner", "government", "open"))}


def compare(old: DatasetContract, new: DatasetContract) -> Change:
    """Compatible: optional columns added, types widened, rules relaxed, texts changed. Everything else breaks.

    Each change is (code, words, compatible).
    """
    changes: list[tuple[str, str, bool]] = []
    if old.key != new.key:
        changes.append(("key_changed", f"主键由 {'、'.join(old.key) or '无'} 改为 {'、'.join(new.key) or '无'}", False))
    if RANK[new.access] > RANK[old.access]:
        changes.append(("access_widened", f"可见范围由 {old.access} 放宽为 {new.access}", False))
    elif new.access != old.access:
        changes.append(("access_narrowed", f"可见范围由 {old.access} 收紧为 {new.access}", True))
    if old.owner_column != new.owner_column:
        changes.append(("owner_column_changed", f"归属列由 {old.owner_column} 改为 {new.owner_column}", False))
    before = {column.name: column for column in old.columns}
    after = {column.name: column for column in new.columns}
    changes += [("column_removed", f"删去列 {name}", False) for name in before if name not in after]
    for name, column in after.items():
        if name not in before:
            word = "必填列" if column.required else "可选列"
            changes.append(("column_added", f"新增{word} {name}", not column.required))
        else:
            changes += _column_changes(before[name], column)
    return Change(all(item[2] for item in changes), tuple(changes))


def _column_changes(old: Column, new: Column) -> list[tuple[str, str, bool]]:
    changes = []
    if old.logical_type != new.logical_type:
        widened = (old.logical_type, new.logical_type) in WIDENINGS - {("date", "timestamp")}
        changes.append(("type_changed", f"列 {new.name} 由 {old.logical_type} 改为 {new.logical_type}", widened))
    if old.required != new.required:
        word = "必填" if new.required else "可选"
        changes.append(("required_changed", f"列 {new.name} 改为{word}", not new.required))
    if (set(old.enum) - set(new.enum) and new.enum) or (new.enum and not old.enum):
        changes.append(("enum_narrowed", f"列 {new.name} 的取值变少", False))
    elif old.enum != new.enum:
        changes.append(("enum_widened", f"列 {new.name} 的取值变多", True))
    for rule in ("code_type", "pattern"):
        before, now = getattr(old, rule), getattr(new, rule)
        if before != now:
            changes.append((f"{rule}_changed", f"列 {new.name} 的 {rule} 由 {before} 改为 {now}", now is None))
    for rule, narrower in (("minimum", 1), ("maximum", -1), ("max_length", -1)):
        before, now = getattr(old, rule), getattr(new, rule)
        if before != now:
            relaxed = now is None or (before is not None and (now - before) * narrower < 0)
            changes.append((f"{rule}_changed", f"列 {new.name} 的 {rule} 由 {before} 改为 {now}", relaxed))
    if (old.title_zh, old.unit) != (new.title_zh, new.unit):
        changes.append(("text_changed", f"列 {new.name} 的名称或单位改动", old.unit == new.unit))
    return changes


def contract_dict(contract: DatasetContract) -> dict[str, Any]:
    """Plain data of a contract, for storing; `contract_from` reads it back."""
    body = {item.name: getattr(contract, item.name) for item in fields(contract)}
    body["columns"] = [
        {item.name: getattr(column, item.name) for item in fields(column)} for column in contract.columns
    ]
    return body


def contract_from(body: dict[str, Any]) -> DatasetContract:
    """The contract of `contract_dict`."""
    columns = tuple(Column(**(column | {"enum": tuple(column["enum"])})) for column in body["columns"])
    return DatasetContract(**(body | {"columns": columns, "key": tuple(body["key"])}))
