"""Reading and writing Open Data Contract Standard v3.1 YAML."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from brain_contracts.contract import Column, ContractInvalid, DatasetContract, validated

API_VERSION = "v3.1.0"
MAX_BYTES = 1 << 20
MAX_DEPTH = 40
MAX_PARTS = 100_000
# What pydantic says of a wrong document, in the words of the people who write one.
WORDS = {
    "extra_forbidden": "标准中没有这个字段，请删去或改正拼写",
    "string_type": "应为文本；像数字或日期的文本请加引号",
    "list_type": "应为列表（每项前加 -）",
    "model_type": "应为键值结构",
    "dict_type": "应为键值结构",
    "bool_parsing": "应为 true 或 false",
    "bool_type": "应为 true 或 false",
    "int_parsing": "应为整数",
    "int_type": "应为整数",
}


def load_contract(text: str | bytes) -> DatasetContract:
    """The contract of an ODCS document. Raises ContractInvalid naming every wrong field."""
    return validated(_Reader(_standard(_parsed(text))).contract())


def _parsed(text: str | bytes) -> dict[str, Any]:
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if len(raw) > MAX_BYTES:
        raise ContractInvalid([("yaml", f"文件超过 {MAX_BYTES} 字节")])
    try:
        _refuse_bombs(raw)
        body = yaml.load(raw, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, ContractInvalid):
            raise
        raise ContractInvalid([("yaml", f"不是 YAML：{' '.join(str(error).split())[:300]}")]) from error
    if not isinstance(body, dict):
        raise ContractInvalid([("yaml", "应为一个 ODCS 文档（键值结构）")])
    return body


def _refuse_bombs(raw: bytes) -> None:
    """A document of a few lines must not unfold to gigabytes: no aliases, bounded depth and number of parts."""
    depth = 0
    for number, event in enumerate(yaml.parse(raw, Loader=yaml.CSafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            raise ContractInvalid([("yaml", "不接受别名（*name），请写出全文")])
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or number > MAX_PARTS:
            raise ContractInvalid([("yaml", f"结构过深或过大：至多 {MAX_DEPTH} 层、{MAX_PARTS} 个部分")])


def _standard(body: dict[str, Any]) -> dict[str, Any]:
    """The document checked by the standard's own model, its fields in the types that the standard gives them."""
    from open_data_contract_standard.model import OpenDataContractStandard  # 0.3 s, needed only here
    from pydantic import ValidationError

    try:
        document = OpenDataContractStandard.model_validate(body)
    except ValidationError as error:
        raise ContractInvalid(
            [(".".join(map(str, item["loc"])), WORDS.get(item["type"], item["msg"])) for item in error.errors()]
        ) from error
    except RecursionError as error:
        raise ContractInvalid([("schema", "结构过深")]) from error
    found = list(_missing(document.model_dump(by_alias=True, exclude_none=True)))
    if found:
        raise ContractInvalid(found)
    return document.model_dump(by_alias=True, exclude_none=True)


def _missing(body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not str(body.get("apiVersion", "")).startswith("v3."):
        yield "apiVersion", f"应为 {API_VERSION}（Open Data Contract Standard 第 3 版）"
    if body.get("kind") != "DataContract":
        yield "kind", "应为 DataContract"
    for name in ("name", "version"):
        if not body.get(name):
            yield name, "缺少"
    objects = body.get("schema") or []
    if len(objects) != 1:
        yield "schema", f"一个文档描述一个数据集，应有 1 个对象，现有 {len(objects)} 个"
    for part in objects:
        for number, item in enumerate(part.get("properties") or []):
            if not item.get("name"):
                yield f"schema.properties.{number}.name", "缺少列名"


class _Reader:
    """Reads a document of the standard; wrong values of our own properties are collected, not raised one by one."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.errors: list[tuple[str, str]] = []

    def contract(self) -> DatasetContract:
        """The contract, not yet validated. Raises ContractInvalid when values have the wrong type."""
        own = _custom(self.body)
        name = self.body["name"]
        properties = self.body["schema"][0].get("properties") or []
        contract = DatasetContract(
            name=name,
            version=self.body["version"],
            title_zh=self._text(own, "titleZh"),
            title_en=self._text(own, "titleEn"),
            description=(self.body.get("description") or {}).get("purpose") or "",
            warehouse=self._text(own, "warehouse", name.split(".")[0]),
            library=self._text(own, "library", "base"),
            classification=self._text(own, "classification", "一般-3"),
            access=self._text(own, "access", "owner"),  # type: ignore[arg-type]  # `validated` checks the word
            columns=tuple(self._column(item) for item in properties),
            key=_key(properties),
            owner=self._text(own, "owner"),
            owner_column=self._text(own, "ownerColumn") or None,
            example=self._example(own),
            description_en=self._text(own, "descriptionEn"),
            owner_org=self._text(own, "ownerOrg") or None,
        )
        if self.errors:
            raise ContractInvalid(self.errors)
        return contract

    def _column(self, item: dict[str, Any]) -> Column:
        own = _custom(item)
        options = item.get("logicalTypeOptions") or {}
        where = f"schema.properties.{item['name']}"
        return Column(
            name=item["name"],
            logical_type=item.get("logicalType", ""),
            title_zh=self._text(own, "titleZh", item.get("businessName", ""), where),
            title_en=self._text(own, "titleEn", "", where),
            description=item.get("description", ""),
            unit=self._text(own, "unit", "", where),
            required=bool(item.get("required") or item.get("primaryKey")),
            code_type=self._text(own, "codeType", "", where) or None,
            enum=self._enum(own.get("enum") or [value.get("value") for value in item.get("enum") or []], where),
            pattern=options["pattern"] if self._is(str, options, "pattern", where) else None,
            minimum=options["minimum"] if self._is((int, float), options, "minimum", where) else None,
            maximum=options["maximum"] if self._is((int, float), options, "maximum", where) else None,
            max_length=options["maxLength"] if self._is(int, options, "maxLength", where) else None,
            references=self._text(own, "references", "", where) or None,
            classification=item.get("classification"),
        )

    def _text(self, own: dict[str, Any], name: str, default: str = "", where: str = "") -> str:
        value = own.get(name, default)
        if isinstance(value, str):
            return value
        self._wrong(f"{where}.customProperties.{name}", f"应为文本，现为 {value!r}")
        return default

    def _is(self, kind: type | tuple[type, ...], options: dict[str, Any], name: str, where: str) -> bool:
        value = options.get(name)
        if value is None:
            return False
        if isinstance(value, kind) and not isinstance(value, bool) and _fits(value):
            return True
        self._wrong(f"{where}.logicalTypeOptions.{name}", f"应为{'文本' if kind is str else '数'}，现为 {value!r:.100}")
        return False

    def _enum(self, values: Any, where: str) -> tuple[str, ...]:
        if isinstance(values, list) and all(isinstance(value, str) for value in values):
            return tuple(values)
        self._wrong(f"{where}.customProperties.enum", "应为文本的列表；像数字或日期的取值请加引号")
        return ()

    def _example(self, own: dict[str, Any]) -> dict[str, Any]:
        example = own.get("example") or {}
        if not isinstance(example, dict):
            self._wrong("customProperties.example", "应为一行数据（列名: 值）")
            return {}
        return _plain(example)

    def _wrong(self, where: str, reason: str) -> None:
        self.errors.append((where.removeprefix("."), reason))


def _fits(value: Any) -> bool:
    return not isinstance(value, int | float) or abs(value) < 2**63


def _key(properties: list[dict[str, Any]]) -> tuple[str, ...]:
    keyed = [item for item in properties if item.get("primaryKey")]
    return tuple(item["name"] for item in sorted(keyed, key=lambda item: item.get("primaryKeyPosition") or 0))


def _custom(body: dict[str, Any]) -> dict[str, Any]:
    return {
        item["property"]: item["value"]
        for item in body.get("customProperties") or []
        if item.get("property") and item.get("value") is not None
    }


def _plain(example: dict[str, Any]) -> dict[str, Any]:
    """YAML reads 2026-10-01 as a date; the example shows it as JSON would."""
    return {str(name): value.isoformat() if hasattr(value, "isoformat") else value for name, value in example.items()}


def to_yaml(contract: DatasetContract) -> str:
    """The contract as an ODCS document that `load_contract` reads back to an equal one."""
    return yaml.safe_dump(document_of(contract), allow_unicode=True, sort_keys=False, width=120)


def document_of(contract: DatasetContract) -> dict[str, Any]:
    """The ODCS document of a contract."""
    own = {
        "warehouse": contract.warehouse,
        "library": contract.library,
        "classification": contract.classification,
        "owner": contract.owner,
        "ownerOrg": contract.owner_org,
        "access": contract.access,
        "ownerColumn": contract.owner_column,
        "titleZh": contract.title_zh,
        "titleEn": contract.title_en,
        "descriptionEn": contract.description_en or None,
        "example": contract.example,
    }
    properties = [_property(column, contract.key) for column in contract.columns]
    return {
        "apiVersion": API_VERSION,
        "kind": "DataContract",
        "id": contract.name,
        "name": contract.name,
        "version": contract.version,
        "status": "active",
        "description": {"purpose": contract.description},
        "customProperties": _listed(own),
        "schema": [{"name": contract.table, "logicalType": "object", "properties": properties}],
    }


def _property(column: Column, key: tuple[str, ...]) -> dict[str, Any]:
    options = {
        "pattern": column.pattern,
        "minimum": column.minimum,
        "maximum": column.maximum,
        "maxLength": column.max_length,
    }
    own = {
        "titleZh": column.title_zh,
        "titleEn": column.title_en,
        "unit": column.unit,
        "codeType": column.code_type,
        "enum": list(column.enum),
        "references": column.references,
    }
    body: dict[str, Any] = {"name": column.name, "logicalType": column.logical_type}
    if column.name in key:
        body |= {"primaryKey": True, "primaryKeyPosition": key.index(column.name) + 1}
    extras = {
        "required": column.required or None,
        "description": column.description or None,
        "classification": column.classification,
        "logicalTypeOptions": {name: value for name, value in options.items() if value is not None} or None,
        "customProperties": _listed(own) or None,
    }
    return body | {name: value for name, value in extras.items() if value is not None}


def _listed(own: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"property": name, "value": value} for name, value in own.items() if value not in (None, "", [], {})]


@cache
def canonical_contracts() -> dict[str, DatasetContract]:
    """The contracts of the canonical industry model that ship with the platform, by name.

    A test checks the shipped documents against the standard and every rule, so a start does not.
    """
    folder = files("brain_contracts").joinpath("contracts")
    texts = [item.read_text(encoding="utf-8") for item in folder.iterdir() if item.name.endswith(".yaml")]
    found = [_Reader(yaml.load(text, Loader=yaml.CSafeLoader)).contract() for text in texts]
    return {contract.name: contract for contract in sorted(found, key=lambda contract: contract.name)}
