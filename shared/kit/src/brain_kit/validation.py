"""Invalid requests in words that help: which field, where it stood, what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from brain_kit.problems import InvalidInput
from brain_kit.telemetry.masking import SECRET_FIELDS

PLACES = ("body", "query", "path", "header", "cookie")
SHOWN_CHARACTERS = 200
# Pydantic's error types; {name} comes from the error's context.
REASONS = {
    "missing": "缺少该字段",
    "extra_forbidden": "没有这个字段，请检查拼写",
    "string_type": "应为文本",
    "string_too_short": "至少 {min_length} 个字符",
    "string_too_long": "最多 {max_length} 个字符",
    "string_pattern_mismatch": "格式不符，应匹配 {pattern}",
    "string_unicode": "不是合法的 Unicode 文本",
    "int_type": "应为整数",
    "int_parsing": "应为整数",
    "int_from_float": "应为整数",
    "float_type": "应为数值",
    "float_parsing": "应为数值",
    "bool_type": "应为 true 或 false",
    "bool_parsing": "应为 true 或 false",
    "list_type": "应为数组",
    "dict_type": "应为对象",
    "model_type": "应为对象",
    "model_attributes_type": "应为 JSON 对象；Content-Type 应为 application/json",
    "literal_error": "应为 {expected} 之一",
    "enum": "应为 {expected} 之一",
    "greater_than": "应大于 {gt}",
    "greater_than_equal": "不小于 {ge}",
    "less_than": "应小于 {lt}",
    "less_than_equal": "不大于 {le}",
    "datetime_parsing": "应为 RFC 3339 时间，如 2026-01-02T03:04:05Z",
    "datetime_from_date_parsing": "应为 RFC 3339 时间，如 2026-01-02T03:04:05Z",
    "datetime_type": "应为 RFC 3339 时间，如 2026-01-02T03:04:05Z",
    "timezone_aware": "时间应带时区，如 2026-01-02T03:04:05Z",
    "json_invalid": "不是合法的 JSON：{error}",
    "too_long": "最多 {max_length} 项",
    "too_short": "至少 {min_length} 项",
}


class FieldsInvalid(InvalidInput):
    """Fields of the request do not have the form that is asked for; `errors` lists each with the reason."""

    code = "fields_invalid"


def fields_invalid(errors: Sequence[Mapping[str, Any]]) -> FieldsInvalid:
    """The problem for pydantic's errors: `errors` holds {field, in, reason, value?}; secret values are left out."""
    items = [_item(error) for error in errors]
    named = "、".join(dict.fromkeys(f"{item['field']}（{item['reason']}）" for item in items))
    return FieldsInvalid(f"请求不合要求：{named}"[:1000], errors=items)


def _item(error: Mapping[str, Any]) -> dict[str, Any]:
    place, *names = [str(part) for part in error["loc"]]
    if place not in PLACES:
        place, names = "body", [place, *names]
    if error["type"] == "json_invalid":
        names = []
    item: dict[str, Any] = {"field": _writable(".".join(names)) or place, "in": place, "reason": _reason(error)}
    value = error.get("input")
    if not any(SECRET_FIELDS.search(name) for name in names) and isinstance(value, str | int | float):
        item["value"] = _writable(value)[:SHOWN_CHARACTERS] if isinstance(value, str) else value
    return item


def _writable(text: str) -> str:
    """The text without lone surrogates, which JSON can carry and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()


def _reason(error: Mapping[str, Any]) -> str:
    template = REASONS.get(error["type"])
    if template is None:
        return str(error["msg"])
    try:
        return template.format_map(error.get("ctx") or {})
    except KeyError:
        return str(error["msg"])
