"""The contract of a data set: what the platform needs of an Open Data Contract Standard v3.1 document.

A document names one data set `<warehouse>.<dataset>`; what the standard has no field for stands in `customProperties`:
warehouse, library, classification, owner, ownerOrg, access, ownerColumn, titleZh, titleEn, descriptionEn, example; per
column titleZh, titleEn, unit, codeType, enum, references. Months are text with codeType month (YYYY-MM), timestamps
carry a zone and are UTC.
Patterns are RE2, as DuckDB reads them, and match the whole text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple

from brain_contracts.codes import SQL_CHECKS, CodeInvalid, check_uscc

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
VERSION = re.compile(r"^[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}$")
REFERENCE = re.compile(r"^(public|industry|enterprise)\.[a-z][a-z0-9_]{0,62}\.[A-Za-z][A-Za-z0-9_]{0,62}$")
MAX_COLUMNS = 500
MAX_ENUM = 1000

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
    description_en: str = ""
    # The organisation (USCC) whose data set it is; None: the platform's own, which every organisation may push to.
    owner_org: str | None = None

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
    if not NAME.fullmatch(contract.name):
        errors.append(("name", f"应为 <warehouse>.<dataset>，如 enterprise.enterprise_monthly，现为 {contract.name!r}"))
    elif contract.name.split(".")[0] != contract.warehouse:
        errors.append(("customProperties.warehouse", f"应与名称的前半一致，现为 {contract.warehouse!r}"))
    if not VERSION.fullmatch(contract.version):
        errors.append(("version", f"应为 主.次.修订，如 1.0.0，现为 {contract.version!r}"))
    for name, allowed in (("library", LIBRARIES), ("access", ACCESS), ("classification", CLASSIFICATIONS)):
        value = getattr(contract, name)
        if value not in allowed:
            errors.append((f"customProperties.{name}", f"应为 {'、'.join(allowed)} 之一，现为 {value!r}"))
    if not contract.title_zh:
        errors.append(("customProperties.titleZh", "缺少中文名称"))
    if contract.owner_org is not None:
        try:
            check_uscc(contract.owner_org)
        except CodeInvalid as error:
            errors.append(("customProperties.ownerOrg", str(error)))
    return errors


def _column_errors(contract: DatasetContract) -> list[tuple[str, str]]:
    errors = []
    if not 0 < len(contract.columns) <= MAX_COLUMNS:
        errors.append(("schema.properties", f"应有 1 到 {MAX_COLUMNS} 列，现有 {len(contract.columns)} 列"))
    seen: set[str] = set()
    for column in contract.columns:
        where = f"schema.properties.{column.name}"
        if not COLUMN_NAME.fullmatch(column.name):
            errors.append((where, "列名应以字母开头，只含字母、数字和下划线，不超过 63 位"))
        if column.name.lower() in seen:
            errors.append((where, "列名重复（不分大小写）"))
        seen.add(column.name.lower())
        if column.logical_type not in DUCKDB_TYPES:
            errors.append((where, f"logicalType 应为 {'、'.join(DUCKDB_TYPES)} 之一，现为 {column.logical_type!r}"))
        errors += [(where, reason) for reason in _rule_errors(column)]
    return errors


def _rule_errors(column: Column) -> list[str]:
    return [*_text_rule_errors(column), *_number_rule_errors(column), *_reference_errors(column)]


def _text_rule_errors(column: Column) -> list[str]:
    from brain_contracts.patterns import pattern_error

    errors = []
    if column.code_type is not None and column.code_type not in SQL_CHECKS:
        errors.append(f"codeType 应为 {'、'.join(SQL_CHECKS)} 之一，现为 {column.code_type!r}")
    textual = column.code_type or column.enum or column.pattern is not None or column.max_length is not None
    if textual and column.logical_type != "string":
        errors.append("codeType、enum、pattern、maxLength 只用于 string 列")
    if len(column.enum) > MAX_ENUM or len(set(column.enum)) < len(column.enum):
        errors.append(f"enum 的取值不可重复，不超过 {MAX_ENUM} 个")
    if column.max_length is not None and column.max_length < 1:
        errors.append("maxLength 应不小于 1")
    wrong = pattern_error(column.pattern) if column.pattern is not None else None
    return [*errors, f"pattern 不可用（RE2 语法）：{wrong}"] if wrong else errors


def _number_rule_errors(column: Column) -> list[str]:
    limits = [limit for limit in (column.minimum, column.maximum) if limit is not None]
    if limits and column.logical_type not in ("integer", "number"):
        return ["minimum、maximum 只用于 integer 和 number 列"]
    if not all(math.isfinite(limit) for limit in limits):
        return ["minimum、maximum 应为有限的数"]
    if len(limits) == 2 and limits[0] > limits[1]:
        return [f"minimum {limits[0]:g} 大于 maximum {limits[1]:g}"]
    return []


def _reference_errors(column: Column) -> list[str]:
    if column.references is not None and not REFERENCE.fullmatch(column.references):
        return [f"references 应写作 <warehouse>.<dataset>.<column>，现为 {column.references!r}"]
    return []


def _key_errors(contract: DatasetContract) -> list[tuple[str, str]]:
    errors = []
    names = set(contract.column_names)
    for name in contract.key:
        if name not in names:
            errors.append(("primaryKey", f"主键列 {name} 不在列中"))
        elif not contract.column(name).required:
            errors.append((f"schema.properties.{name}", "主键列应为 required: true"))
    owner = contract.owner_column
    if owner is not None and owner not in names:
        errors.append(("customProperties.ownerColumn", f"列 {owner} 不在列中"))
    elif owner is not None and contract.column(owner).code_type != "uscc":
        errors.append(("customProperties.ownerColumn", f"列 {owner} 应有 codeType uscc：一行属于哪个组织由它说明"))
    return errors


def _example_errors(contract: DatasetContract) -> list[tuple[str, str]]:
    from brain_contracts.rows import row_errors

    if not contract.example:
        return [("customProperties.example", "缺少一行有效示例，如 {uscc: ..., month: 2026-10}")]
    found = row_errors(contract, contract.example)
    return [(f"customProperties.example.{name}", reason) for name, reason in found]


class Difference(NamedTuple):
    """One change between two versions: a stable code, the words, and whether old readers and writers still work."""

    code: str
    text: str
    compatible: bool


@dataclass(frozen=True)
class Change:
    """What changed between two versions; compatible when every change is."""

    compatible: bool
    changes: tuple[Difference, ...]


OPENNESS = {name: rank for rank, name in enumerate(("owner", "government", "open"))}
SENSITIVITY = {name: rank for rank, name in enumerate(CLASSIFICATIONS)}


def compare(old: DatasetContract, new: DatasetContract) -> Change:
    """What a new version changes. Compatible are: optional columns added, rules relaxed, access narrowed,
    classification raised, words changed. Everything else breaks a reader, a writer or a promise:
    columns removed or renamed, types changed, required added, rules tightened, units, key or owner column changed,
    access widened, classification lowered.
    """
    changes = [*_policy_changes(old, new)]
    before = {column.name: column for column in old.columns}
    after = {column.name: column for column in new.columns}
    changes += [Difference("column_removed", f"删去列 {name}", False) for name in before if name not in after]
    for name, column in after.items():
        if name not in before:
            word = "必填列" if column.required else "可选列"
            changes.append(Difference("column_added", f"新增{word} {name}", not column.required))
        else:
            changes += _column_changes(before[name], column)
    return Change(all(item.compatible for item in changes), tuple(changes))


def _policy_changes(old: DatasetContract, new: DatasetContract) -> Iterator[Difference]:
    if old.key != new.key:
        yield Difference("key_changed", f"主键由 {'、'.join(old.key) or '无'} 改为 {'、'.join(new.key) or '无'}", False)
    if old.access != new.access:
        wider = OPENNESS[new.access] > OPENNESS[old.access]
        code = "access_widened" if wider else "access_narrowed"
        yield Difference(code, f"可见范围由 {old.access} {'放宽' if wider else '收紧'}为 {new.access}", not wider)
    if old.classification != new.classification:
        lower = SENSITIVITY[new.classification] < SENSITIVITY[old.classification]
        code = "classification_lowered" if lower else "classification_raised"
        yield Difference(code, f"数据级别由 {old.classification} 改为 {new.classification}", not lower)
    if old.owner_column != new.owner_column:
        words = f"归属列由 {old.owner_column or '无'} 改为 {new.owner_column or '无'}"
        yield Difference("owner_column_changed", words, False)
    if old.owner_org != new.owner_org:
        words = f"所属组织由 {old.owner_org or '平台'} 改为 {new.owner_org or '平台'}"
        yield Difference("owner_org_changed", words, False)
    for name, word in (("title_zh", "中文名称"), ("owner", "负责单位"), ("library", "所属库")):
        if getattr(old, name) != getattr(new, name):
            yield Difference("text_changed", f"{word}由 {getattr(old, name)} 改为 {getattr(new, name)}", True)


def _column_changes(old: Column, new: Column) -> Iterator[Difference]:
    if old.logical_type != new.logical_type:
        words = f"列 {new.name} 的类型由 {old.logical_type} 改为 {new.logical_type}"
        yield Difference("type_changed", words, False)
    if old.required != new.required:
        words = f"列 {new.name} 改为{'必填' if new.required else '可选'}"
        yield Difference("required_changed", words, not new.required)
    if set(old.enum) != set(new.enum):
        wider = not new.enum or (bool(old.enum) and set(old.enum) < set(new.enum))
        words = f"列 {new.name} 的取值由 {'、'.join(old.enum) or '不限'} 改为 {'、'.join(new.enum) or '不限'}"
        yield Difference("enum_widened" if wider else "enum_narrowed", words, wider)
    for rule in ("code_type", "pattern", "references"):
        before, now = getattr(old, rule), getattr(new, rule)
        if before != now:
            words = f"列 {new.name} 的 {rule} 由 {before or '无'} 改为 {now or '无'}"
            yield Difference(f"{rule}_changed", words, now is None)
    for rule, lower_is_wider in (("minimum", True), ("maximum", False), ("max_length", False)):
        before, now = getattr(old, rule), getattr(new, rule)
        if before != now:
            wider = now is None or (before is not None and (now < before) == lower_is_wider)
            words = (
                f"列 {new.name} 的 {rule} 由 {'无' if before is None else before} 改为 {'无' if now is None else now}"
            )
            yield Difference(f"{rule}_changed", words, wider)
    if old.unit != new.unit:
        words = f"列 {new.name} 的单位由 {old.unit or '无'} 改为 {new.unit or '无'}"
        yield Difference("unit_changed", words, False)
    if old.title_zh != new.title_zh:
        yield Difference("text_changed", f"列 {new.name} 的名称由 {old.title_zh} 改为 {new.title_zh}", True)


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
