"""Reading and writing Open Data Contract Standard v3.1 YAML."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from brain_contracts.contract import Column, ContractInvalid, DatasetContract, validated

API_VERSION = "v3.1.0"
MAX_BYTES = 1 << 20


class _NoAliases(yaml.SafeLoader):
    """Safe loading without aliases: a document of a few lines must not unfold to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise ContractInvalid([("yaml", "不接受别名（*name），请写出全文")])
        return super().compose_node(parent, index)


def load_contract(text: str | bytes) -> DatasetContract:
    """The contract of an ODCS document. Raises ContractInvalid naming every wrong field."""
    if len(text) > MAX_BYTES:
        raise ContractInvalid([("yaml", f"文件超过 {MAX_BYTES} 字节")])
    try:
        body = yaml.load(text, Loader=_NoAliases)  # noqa: S506 - derives from SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ContractInvalid([("yaml", f"不是 YAML：{error}")]) from error
    if not isinstance(body, dict):
        raise ContractInvalid([("yaml", "应为一个 ODCS 文档（键值结构）")])
    return validated(contract_of(_standard(body)))


def _standard(body: dict[str, Any]) -> dict[str, Any]:
    """The document checked against the standard's own model, with its dates and numbers as they were written."""
    from open_data_contract_standard.model import OpenDataContractStandard
    from pydantic import ValidationError

    try:
        OpenDataContractStandard.model_validate(body)
    except ValidationError as error:
        raise ContractInvalid([(".".join(map(str, item["loc"])), item["msg"]) for item in error.errors()]) from error
    for name in ("name", "version", "schema"):
        if not body.get(name):
            raise ContractInvalid([(name, "缺少")])
    if len(body["schema"]) != 1:
        raise ContractInvalid([("schema", f"一个文档描述一个数据集，现有 {len(body['schema'])} 个对象")])
    return body


def contract_of(body: dict[str, Any]) -> DatasetContract:
    """The contract of a parsed document, not yet validated."""
    own = _custom(body)
    properties = body["schema"][0].get("properties") or []
    keyed = sorted(
        (item.get("primaryKeyPosition") or 0, number, item["name"])
        for number, item in enumerate(properties)
        if item.get("primaryKey")
    )
    name = str(body["name"])
    description = body.get("description") or {}
    return DatasetContract(
        name=name,
        version=str(body["version"]),
        title_zh=str(own.get("titleZh", "")),
        title_en=str(own.get("titleEn", "")),
        description=str(description.get("purpose") or ""),
        warehouse=str(own.get("warehouse", name.split(".")[0])),
        library=str(own.get("library", "base")),
        classification=str(own.get("classification", "一般-3")),
        access=own.get("access", "owner"),
        columns=tuple(_column(item) for item in properties),
        key=tuple(item[2] for item in keyed),
        owner=str(own.get("owner", "")),
        owner_column=own.get("ownerColumn"),
        example=_plain(own.get("example") or {}),
    )


def _column(item: dict[str, Any]) -> Column:
    own = _custom(item)
    options = item.get("logicalTypeOptions") or {}
    return Column(
        name=str(item["name"]),
        logical_type=str(item.get("logicalType", "")),
        title_zh=str(own.get("titleZh", item.get("businessName") or "")),
        title_en=str(own.get("titleEn", "")),
        description=str(item.get("description") or ""),
        unit=str(own.get("unit", "")),
        required=bool(item.get("required") or item.get("primaryKey")),
        code_type=own.get("codeType"),
        enum=tuple(str(value) for value in own.get("enum", ())),
        pattern=options.get("pattern"),
        minimum=options.get("minimum"),
        maximum=options.get("maximum"),
        max_length=options.get("maxLength"),
        references=own.get("references"),
        classification=item.get("classification"),
    )


def _custom(body: dict[str, Any]) -> dict[str, Any]:
    return {str(item["property"]): item.get("value") for item in body.get("customProperties") or []}


def _plain(example: dict[str, Any]) -> dict[str, Any]:
    """YAML reads 2026-10-01 as a date; the example shows it as JSON would."""
    return {str(name): value.isoformat() if hasattr(value, "isoformat") else value for name, value in example.items()}


def document_of(contract: DatasetContract) -> dict[str, Any]:
    """The ODCS document of a contract."""
    own = {
        "warehouse": contract.warehouse,
        "library": contract.library,
        "classification": contract.classification,
        "owner": contract.owner,
        "access": contract.access,
        "ownerColumn": contract.owner_column,
        "titleZh": contract.title_zh,
        "titleEn": contract.title_en,
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


def to_yaml(contract: DatasetContract) -> str:
    """The contract as an ODCS document that `load_contract` reads back to an equal one."""
    return yaml.safe_dump(document_of(contract), allow_unicode=True, sort_keys=False, width=120)


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
    """The contracts of the canonical industry model that ship with the platform, by name."""
    folder = files("brain_contracts").joinpath("contracts")
    texts = [item.read_text(encoding="utf-8") for item in folder.iterdir() if item.name.endswith(".yaml")]
    # The shipped documents are checked against the standard by a test, not at every start.
    found = [contract_of(yaml.load(text, Loader=yaml.CSafeLoader)) for text in texts]
    return {contract.name: contract for contract in sorted(found, key=lambda contract: contract.name)}
