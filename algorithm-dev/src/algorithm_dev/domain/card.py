"""The card of a capability component 能力组件: who made it, what it takes and gives, and the values it must reproduce.

`parse_card` reads a JSON or YAML document; what it accepts is written down as JSON Schema in `card.schema.json`, plus
the rules of `card_rules` that a schema cannot say. A version of a component is its card and the files that it names.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from algorithm_dev.domain.signature import ColumnName, Finite, Signature, Text

MAX_BYTES = 4 << 20
MAX_DEPTH = 40
MAX_PARTS = 400_000
SHOWN_FINDINGS = 50
NAME = r"^[a-z][a-z0-9-]{0,62}$"
# semver.org, the pattern that the specification itself gives
SEMVER = (
    r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-((0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
    r"(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(\+([0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*))?$"
)
KINDS = {
    "knowledge": "知识",
    "process": "工艺",
    "mechanism": "机理",
    "simulation": "研发仿真",
    "flow": "业务流程",
    "algorithm": "数据算法",
    "app": "工业APP",
}
Kind = Literal["knowledge", "process", "mechanism", "simulation", "flow", "algorithm", "app"]
WORDS = {
    "missing": "缺少该字段",
    "extra_forbidden": "卡片格式中没有这个字段，请删去或改正拼写",
    "string_type": "应为文本；像数字的文本请加引号",
    "string_too_short": "至少 {min_length} 个字符",
    "string_too_long": "最多 {max_length} 个字符",
    "string_pattern_mismatch": "格式不符，应匹配 {pattern}",
    "int_type": "应为整数",
    "int_parsing": "应为整数",
    "int_from_float": "应为整数",
    "float_type": "应为数值",
    "float_parsing": "应为数值",
    "bool_type": "应为 true 或 false",
    "bool_parsing": "应为 true 或 false",
    "finite_number": "应为有限数值，不能是 NaN 或无穷",
    "list_type": "应为列表",
    "dict_type": "应为键值结构",
    "model_type": "应为键值结构",
    "literal_error": "应为 {expected} 之一",
    "greater_than": "应大于 {gt}",
    "greater_than_equal": "不小于 {ge}",
    "less_than_equal": "不大于 {le}",
    "too_long": "最多 {max_length} 项",
    "too_short": "至少 {min_length} 项",
    "union_tag_invalid": "form 应为 rows（行）或 tensors（张量）",
    "union_tag_not_found": "缺少 form：rows（行）或 tensors（张量）",
}
# Steps that pydantic adds to a place where a field may take several forms.
_FORMS = {"rows", "tensors", "str", "int", "float", "bool", "list", "dict"}


class CardInvalid(ValueError):
    """The document is no valid card; `findings` lists every wrong field with the reason."""

    def __init__(self, findings: list[tuple[str, str]]) -> None:
        self.findings = findings
        told = "；".join(f"{field}：{reason}" for field, reason in findings[:5])
        super().__init__(told + (f"；另有 {len(findings) - 5} 处" if len(findings) > 5 else ""))


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, strict=True)


class Artefact(_Part):
    """A file of the component, found and verified by its digest."""

    path: str = Field(min_length=1, max_length=200, description="relative to the component, with forward slashes")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(alias="bytes", ge=0, description="length in bytes")
    media_type: str = Field(pattern=r"^[a-z0-9.+-]+/[a-z0-9.+-]+$")


class Source(_Part):
    """Where a published value stands."""

    title: str = Field(min_length=1, max_length=500)
    locator: str = Field("", max_length=300, description="page, table, section, example")
    url: str = Field("", max_length=500)


class Reference(Source):
    """A standard, paper, book, table or page that the component rests on."""

    kind: Literal["standard", "paper", "book", "table", "web", "data", "software"]


class Tolerance(_Part):
    """A value passes when |got - expected| <= absolute + relative * |expected|."""

    absolute: Finite = Field(0.0, ge=0)
    relative: Finite = Field(0.0, ge=0)


class GoldenVector(_Part):
    """Inputs and parameters with the outputs that a published source gives for them."""

    name: Annotated[str, StringConstraints(pattern=NAME)]
    title: Text
    source: Source
    inputs: list[dict[str, Any]] | dict[str, Any] = Field(description="rows, or nested lists by tensor name")
    parameters: dict[str, Any] = {}
    outputs: list[dict[str, Any]] | dict[str, Any] = Field(
        description="rows or tensors; a row may name only the columns that the source gives"
    )
    key: list[ColumnName] = Field([], description="columns that find the row to compare; without them rows go in order")
    tolerance: Tolerance = Tolerance()
    tolerances: dict[str, Tolerance] = Field({}, description="other tolerances for single columns or tensors")


class Limits(_Part):
    """What one run may use."""

    memory_mb: int = Field(512, ge=16, le=1_048_576)
    time_s: float = Field(60, gt=0, le=604_800, allow_inf_nan=False)


class Card(_Part):
    """A capability component's card 能力组件卡片."""

    card: Literal["1"] = Field("1", description="version of this format")
    name: Annotated[str, StringConstraints(pattern=NAME)]
    version: Annotated[str, StringConstraints(pattern=SEMVER, max_length=64)]
    title: Text
    kind: Kind = Field(description="、".join(f"{key} {zh}" for key, zh in KINDS.items()))
    description: Text
    owner: str = Field(description="unified social credit code of the owner, or 'platform'", max_length=18)
    licence: str = Field(description="SPDX licence expression, such as Apache-2.0", min_length=1, max_length=200)
    runtime: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$", description="sql, onnx; others as the platform learns them")
    entry: str = Field(description="path of the artefact that the runtime starts with", min_length=1, max_length=200)
    artefacts: list[Artefact] = Field(min_length=1, max_length=500)
    signature: Signature
    golden: list[GoldenVector] = Field([], max_length=100, description="none is a draft; publishing asks for one")
    references: list[Reference] = Field([], max_length=100)
    limits: Limits = Limits()

    def artefact(self, path: str) -> Artefact:
        """The file of that path. Raises KeyError."""
        for item in self.artefacts:
            if item.path == path:
                return item
        raise KeyError(path)


def parse_card(document: str | bytes | dict[str, Any]) -> Card:
    """The card of a JSON or YAML document. Raises CardInvalid naming every wrong field."""
    from algorithm_dev.domain.card_rules import contradictions

    body = document if isinstance(document, dict) else _body(document)
    try:
        card = Card.model_validate(body)
    except ValidationError as error:
        raise CardInvalid([_finding(item) for item in error.errors()]) from error
    except RecursionError as error:
        raise CardInvalid([("card", "结构过深")]) from error
    found = contradictions(card)
    if found:
        raise CardInvalid(found)
    return card


def card_document(card: Card) -> dict[str, Any]:
    """The card as a JSON document, the form that is stored, hashed and shown."""
    return card.model_dump(mode="json", by_alias=True, exclude_defaults=False, exclude_none=True)


def card_schema() -> dict[str, Any]:
    """The JSON Schema of cards, as kept in `card.schema.json`."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "brain.component-card.v1"}
    return schema | Card.model_json_schema(by_alias=True)


def _body(document: str | bytes) -> dict[str, Any]:
    raw = document.encode("utf-8", "replace") if isinstance(document, str) else document
    if len(raw) > MAX_BYTES:
        raise CardInvalid([("card", f"文件超过 {MAX_BYTES} 字节")])
    try:
        body = json.loads(raw, object_pairs_hook=_unique) if raw.lstrip()[:1] == b"{" else read_yaml(raw)
    except CardInvalid:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CardInvalid([("card", f"不是 JSON 或 YAML：{' '.join(str(error).split())[:300]}")]) from error
    if not isinstance(body, dict):
        raise CardInvalid([("card", "应为一张卡片（键值结构）")])
    return body


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise CardInvalid([(twice, "同一层中出现两次，请只留一个")])
    return found


class _Loader(yaml.CSafeLoader):
    """YAML with JSON's values: a key stands once; only true, false, null and JSON's numbers are not text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [str(key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        _unique([(name, None) for name in names])
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"(true|false)$", "tf"),
    ("null", r"(null|~|)$", ["n", "~", ""]),
    ("int", r"-?(0|[1-9][0-9]*)$", "-0123456789"),
    ("float", r"(-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan)$", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def read_yaml(raw: bytes) -> Any:
    """The values of a YAML document. Raises CardInvalid or yaml.YAMLError.

    A document of a few lines must not unfold to gigabytes: no aliases, bounded depth and number of parts.
    """
    depth = 0
    for number, event in enumerate(yaml.parse(raw, Loader=yaml.CSafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            raise CardInvalid([("card", "不接受别名（*name），请写出全文")])
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or number > MAX_PARTS:
            raise CardInvalid([("card", f"结构过深或过大：至多 {MAX_DEPTH} 层、{MAX_PARTS} 个部分")])
    return yaml.load(raw, Loader=_Loader)  # noqa: S506 - derived from CSafeLoader


def _finding(error: Any) -> tuple[str, str]:
    steps: list[str] = []
    for step in error["loc"]:
        text = str(step)
        if isinstance(step, int):
            steps[-1:] = [f"{steps[-1]}[{step}]"] if steps else [text]
        elif text not in _FORMS and not text.startswith(("list[", "dict[", "constrained-", "function-", "literal[")):
            steps.append(text)
    template = WORDS.get(error["type"])
    reason = template.format_map(error.get("ctx") or {}) if template else str(error["msg"])
    return ".".join(steps) or "card", reason
