"""The fake identity: sign-in, organisations, keys, audit."""

from __future__ import annotations

from typing import Any

from brain_kit.application import add_problem_handlers
from brain_kit.problems import InvalidInput, NotFound, RateLimited, Unauthenticated
from fastapi import FastAPI, Request, Response

from tests.service_portal.portal.fake.data import ENTERPRISE_ORG, OPERATOR_ORG, PEOPLE, FakeBrain, token_for


def identity_app(brain: FakeBrain) -> FastAPI:
    """Every route of the fake identity."""
    app = FastAPI()
    add_problem_handlers(app)
    _sessions(app, brain)
    _organisations(app)
    _keys(app, brain)
    _audit(app)
    return app


def _sessions(app: FastAPI, brain: FakeBrain) -> None:
    @app.post("/internal/service-tokens")
    def service_token() -> dict[str, Any]:
        return {"token": "service", "expires_in": 300}

    @app.post("/v1/sessions")
    async def sign_in(request: Request) -> dict[str, Any]:
        body = await request.json()
        if body["user"] == "locked":
            raise RateLimited("尝试过多", retry_after_s=30)
        person = PEOPLE.get(body["user"])
        if person is None or person[0] != body["password"]:
            raise Unauthenticated("用户名或密码不正确")
        return _tokens(brain, body["user"])

    @app.post("/v1/sessions/refresh")
    async def refresh(request: Request) -> dict[str, Any]:
        given = (await request.json())["refresh_token"]
        user = given.split("-")[1]
        if given in brain.revoked:
            # As the real one does: a token that comes twice ends the whole sign-in.
            brain.stolen.add(user)
        if user in brain.stolen:
            raise Unauthenticated("刷新令牌已失效")
        brain.revoked.add(given)
        return _tokens(brain, user)

    @app.post("/v1/sessions/revoke")
    async def revoke(request: Request) -> Response:
        brain.revoked.add((await request.json())["refresh_token"])
        return Response(status_code=204)


def _tokens(brain: FakeBrain, user: str) -> dict[str, Any]:
    brain.issued += 1
    access = token_for(user, *PEOPLE[user][1:])
    return {"access_token": access, "refresh_token": f"refresh-{user}-{brain.issued}", "expires_in": brain.token_life_s}


def _organisations(app: FastAPI) -> None:
    organisations: list[dict[str, Any]] = [
        {"uscc": OPERATOR_ORG, "name": "示例运营中心", "kind": "operator", "region": "370000"},
        {
            "uscc": ENTERPRISE_ORG,
            "name": "示例机床有限公司",
            "kind": "enterprise",
            "region": "370100",
            "synthetic": True,
        },
    ]

    organisations[1]["synthetic"] = True

    @app.get("/v1/organisations")
    def list_organisations() -> dict[str, Any]:
        return {"items": organisations, "next": None}

    @app.get("/v1/organisations/{uscc}")
    def organisation(uscc: str) -> dict[str, Any]:
        found = next((org for org in organisations if org["uscc"] == uscc), None)
        if found is None:
            raise NotFound("没有这个组织")
        return found

    @app.post("/v1/organisations", status_code=201)
    async def add_organisation(request: Request) -> dict[str, Any]:
        body = await request.json()
        if not body["uscc"].startswith("91"):
            raise InvalidInput("统一社会信用代码校验位不符", errors=[{"field": "uscc", "reason": "校验位应为 X"}])
        organisations.append(body)
        return dict(body)


def _keys(app: FastAPI, brain: FakeBrain) -> None:
    keys = [
        {
            "id": "key_1",
            "org": ENTERPRISE_ORG,
            "name": "ERP",
            "state": "active",
            "expires_at": "2027-11-01T00:00:00Z",
            "last_used_at": None,
        }
    ]

    @app.get("/v1/keys")
    def list_keys() -> dict[str, Any]:
        return {"items": keys, "next": None}

    @app.post("/v1/keys", status_code=201)
    async def add_key(request: Request) -> dict[str, Any]:
        body = await request.json()
        keys.append({**keys[0], "id": f"key_{len(keys) + 1}", **body})
        return {**keys[-1], "key": "brk_only_once"}

    @app.post("/v1/keys/{key_id}/rotate", status_code=201)
    def rotate(key_id: str) -> dict[str, Any]:
        return {"id": f"{key_id}b", "key": "brk_rotated"}

    @app.delete("/v1/keys/{key_id}", status_code=204)
    def revoke_key(key_id: str) -> None:
        keys[0]["state"] = "revoked"
        brain.calls.append(("revoke", key_id))


def _audit(app: FastAPI) -> None:
    @app.get("/v1/audit")
    def audit() -> dict[str, Any]:
        entry = {
            "seq": 1,
            "at": "2026-11-21T05:00:00Z",
            "subject": "usr_1",
            "name": "operator",
            "org": OPERATOR_ORG,
            "action": "dataset.push",
            "object": "public.enterprise",
            "outcome": "ok",
            "hash": "ab12cd34ef56",
        }
        return {"items": [entry], "next": None}

    @app.get("/v1/audit/verify")
    def verify() -> dict[str, Any]:
        return {"ok": True, "records": 1, "first_broken": None, "head": "ab12cd34ef56"}
