"""Constant parts of OpenAPI documents: how to authenticate, and what a problem looks like."""

from __future__ import annotations

from typing import Any

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "访问令牌；经网关也可以是密钥 token, or API key"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "经网关 through the gateway"},
}
PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. `code` is stable; further members carry the data, such as `errors`.",
    "required": ["type", "title", "status", "detail", "code", "instance", "request_id"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:brain:problem:fields_invalid"]},
        "title": {"type": "string", "examples": ["Invalid input"]},
        "status": {"type": "integer", "examples": [422]},
        "detail": {"type": "string", "examples": ["请求不合要求：uscc（缺少该字段）"]},
        "code": {"type": "string", "examples": ["fields_invalid"]},
        "instance": {"type": "string", "examples": ["/v1/organisations"]},
        "request_id": {"type": "string", "examples": ["req_01JD0Z8G7R8W2V5N4K9T3XQ6AB"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": "string"},
                    "reason": {"type": "string"},
                    "value": {},
                },
            },
        },
    },
    "additionalProperties": True,
}
STATUS_TEXTS = {
    "400": "请求本身有误 the request is malformed",
    "401": "凭据缺失、无效或过期 credentials missing, invalid or expired",
    "403": "角色不允许 the role does not allow it",
    "404": "不存在，或无权知道其存在 not there, or not for the caller to know",
    "405": "不支持该方法 method not allowed",
    "406": "没有可以提供的格式 no acceptable format",
    "409": "对象的状态不允许 the state of the object does not allow it",
    "412": "已被他人修改 changed by somebody else",
    "413": "内容过大 too large",
    "415": "不支持的内容类型 unsupported content type",
    "422": "输入不合要求，见 errors invalid input",
    "428": "需要前提条件 a precondition is needed",
    "429": "过于频繁或配额用尽，见 Retry-After too many requests",
    "500": "平台内部出错 internal error",
    "502": "服务的回答不完整 bad answer of a service",
    "503": "暂时不可用，见 Retry-After unavailable for now",
    "504": "超过时限 timed out",
}
