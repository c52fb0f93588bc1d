"""Writes docs/data-sets.md, the reference of the canonical data sets, and the JSON schemas of events.

`python -m brain_contracts.reference PAGE [SCHEMA_FOLDER]`. Schemas are frozen: a test compares them with the messages,
and they are only written on purpose, with the folder named.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from brain_contracts.contract import Column, DatasetContract
from brain_contracts.events import REGISTRY, EventData
from brain_contracts.odcs import canonical_contracts

HEADING = """# 数据集 Data sets

The canonical industry model: what ships with the platform. An operator adds data sets with
`PUT /api/data-hub/v1/contracts/{name}` and an [ODCS](https://bitol-io.github.io/open-data-contract-standard/) document.
Written by `make docs` from the contracts; a test compares the two.

- 主键 key: together with the owner it names a row, so one organisation never meets another's rows.
- 可见 access: `open` everybody with a key; `government` the operator, departments, and each owner its own rows;
  `owner` the same, for data whose rows belong to enterprises. 归属列 owner column: an enterprise may only push rows
  that carry its own code there.
- 类型 types: `timestamp` is UTC with a zone; months are text `YYYY-MM`; `region` is GB/T 2260, `industry_class`
  GB/T 4754-2017, `uscc` GB 32100-2015 with its check digit.
"""
WAREHOUSE_TITLES = {
    "public": "公共数据仓 public",
    "industry": "行业数据仓 industry",
    "enterprise": "企业数据仓 enterprise",
}


def datasets_page() -> str:
    """The page as Markdown."""
    parts = [HEADING]
    for warehouse, title in WAREHOUSE_TITLES.items():
        parts.append(f"## {title}\n")
        parts += [_section(contract) for contract in canonical_contracts().values() if contract.warehouse == warehouse]
    return "\n".join(parts)


def _section(contract: DatasetContract) -> str:
    facts = [
        f"主键 key `{', '.join(contract.key)}`",
        f"可见 access `{contract.access}`",
        f"级别 classification {contract.classification}",
        f"库 library `{contract.library}`",
        f"责任 owner {contract.owner}",
    ]
    if contract.owner_column:
        facts.append(f"归属列 owner column `{contract.owner_column}`")
    described = f"{contract.description} {contract.description_en}".strip()
    lines = [
        f"### {contract.name}",
        "",
        f"**{contract.title_zh}** {contract.title_en} · {contract.version}. {described}",
        "",
        " · ".join(facts),
        "",
        "| 列 column | 名称 title | 类型 type | 单位 unit | 规则 rules |",
        "| --- | --- | --- | --- | --- |",
        *(_row(column) for column in contract.columns),
        "",
        f"```json\n{json.dumps(contract.example, ensure_ascii=False)}\n```",
    ]
    return "\n".join([*lines, ""])


def _row(column: Column) -> str:
    rules = ["必填 required"] if column.required else []
    rules += ["、".join(column.enum)] if column.enum else []
    rules += [f"≥ {column.minimum:g}"] if column.minimum is not None else []
    rules += [f"≤ {column.maximum:g}"] if column.maximum is not None else []
    rules += [f"≤ {column.max_length} 字"] if column.max_length is not None else []
    rules += [f"`{column.pattern}`"] if column.pattern is not None else []
    kind = f"{column.logical_type} ({column.code_type})" if column.code_type else column.logical_type
    title = f"{column.title_zh} {column.title_en}"
    return f"| `{column.name}` | {title} | {kind} | {column.unit} | {'; '.join(rules)} |"


def schema_text(model: type[EventData]) -> str:
    """The JSON Schema of a message as it is kept in `schemas/`."""
    schema = {"$id": model.topic, **model.model_json_schema(mode="serialization")}
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Writes the page, and the schemas when a folder is given."""
    page, *folder = sys.argv[1:]
    Path(page).write_text(datasets_page(), encoding="utf-8")
    for path in map(Path, folder):
        path.mkdir(exist_ok=True)
        for topic, model in REGISTRY.items():
            (path / f"{topic}.json").write_text(schema_text(model), encoding="utf-8")


if __name__ == "__main__":
    main()
