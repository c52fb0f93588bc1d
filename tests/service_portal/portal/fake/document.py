"""A small merged document: an upload, a list and the sign-in, as the gateway shows them."""

from __future__ import annotations

from typing import Any

PUSH = "data_hub.push"


def _problem(code: str, status: int, detail: str) -> dict[str, Any]:
    return {"value": {"code": code, "status": status, "detail": detail, "title": code}}


def _errors(*codes: str) -> dict[str, Any]:
    shown = {code: {"$ref": f"#/components/examples/problem.{code}"} for code in codes}
    return {"description": "no", "content": {"application/problem+json": {"examples": shown}}, "x-codes": list(codes)}


DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "tags": [
        {"name": "data-hub", "description": "数据汇聚平台 Data hub"},
        {"name": "identity", "description": "身份服务 Identity"},
    ],
    "paths": {
        "/api/data-hub/v1/datasets/{name}/pushes": {
            "post": {
                "operationId": PUSH,
                "summary": "推送数据",
                "description": "Takes rows; the good ones get in, the others come back.",
                "tags": ["data-hub", "pushes"],
                "security": [{"bearer": []}],
                "parameters": [
                    {
                        "name": "name",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string"},
                        "description": "全名",
                    },
                    {"name": "wait", "in": "query", "schema": {"type": "number", "minimum": 0}, "description": "秒"},
                    {"name": "idempotency-key", "in": "header", "schema": {"type": "string"}, "description": "一次"},
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"examples": {"example": {"value": [{"month": "2026", "note": "it's"}]}}},
                        "text/csv": {"schema": {"type": "string"}},
                        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": {"schema": {}},
                    },
                },
                "responses": {
                    "200": {
                        "description": "OK",
                        "content": {"application/json": {"examples": {"example": {"value": {"state": "committed"}}}}},
                    },
                    "422": _errors("fields_invalid"),
                },
                "x-examples": [
                    {
                        "as": "manager",
                        "path": {"name": "enterprise.enterprise_monthly"},
                        "query": {"wait": 60},
                        "headers": {"Idempotency-Key": "2026-10"},
                        "status": 200,
                        "media": "application/json",
                    }
                ],
            }
        },
        "/api/data-hub/v1/datasets": {
            "get": {
                "operationId": "data_hub.list_datasets",
                "summary": "数据集列表",
                "description": "Every registered data set.",
                "tags": ["data-hub", "datasets"],
                "security": [{"bearer": []}],
                "x-roles": ["operator"],
                "responses": {
                    "200": {"description": "OK", "content": {"application/json": {}}},
                    "401": _errors("gone"),
                },
            }
        },
        "/api/identity/v1/sessions": {
            "post": {
                "operationId": "identity.sign_in",
                "summary": "登录",
                "description": "Tokens for a name and password.",
                "tags": ["identity"],
                "security": [],
                "responses": {"201": {"description": "Created"}},
            }
        },
    },
    "components": {
        "schemas": {},
        "examples": {
            "problem.fields_invalid": _problem("fields_invalid", 422, "请求不合要求：limit（应不小于 1）"),
            "problem.gone": _problem("gone", 401, "令牌已过期"),
        },
    },
}


class FakeDocument:
    """What the portal reads."""

    def read(self) -> dict[str, Any]:
        """The document."""
        return DOCUMENT
