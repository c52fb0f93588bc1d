"""Who may give which role, and what each role opens. The matrix is the platform's rule, written out here."""

from __future__ import annotations

import pytest

from tests.identity.brain import Brain

KINDS = {
    "operator": {"operator", "analyst", "auditor", "developer"},
    "department": {"analyst", "auditor"},
    "enterprise": {"manager", "member", "developer"},
    "provider": {"provider", "developer"},
}
ROLES = sorted(set.union(*KINDS.values()) | {"service"})
OPENS = {
    # (route, roles that may use it); every other role gets 403
    ("GET", "/v1/keys"): {"operator", "analyst", "manager", "provider"},
    ("GET", "/v1/users"): {"operator", "analyst", "manager", "provider"},
    ("GET", "/v1/audit/verify"): {"operator", "auditor"},
    ("GET", "/v1/audit"): set(ROLES),
    ("GET", "/v1/organisations"): set(ROLES),
    ("GET", "/v1/me"): set(ROLES),
    ("POST", "/internal/credentials/verify"): {"service"},
}
HOME = {"operator": "operator", "analyst": "department", "auditor": "department", "provider": "provider"}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_organisation_has_the_roles_of_its_kind_and_no_other(brain: Brain, kind: str) -> None:
    """Also the operator cannot give a role that the kind does not have; nobody gives `service`."""
    uscc = brain.organisation(kind)
    given = {}
    for number, role in enumerate(ROLES):
        body = {"org": uscc, "name": f"key {number}", "roles": [role]}
        given[role] = brain.call("POST", "/v1/keys", brain.operator, json=body).status

    assert given == {role: 201 if role in KINDS[kind] else 422 for role in ROLES}


def test_each_role_opens_what_it_should_and_nothing_else(brain: Brain) -> None:
    """Routes against roles, every pair."""
    tokens = {role: brain.holder(HOME.get(role, "enterprise"), [role]).token for role in ROLES if role != "service"}
    tokens["service"] = brain.platform.service_token()
    for (method, path), allowed in OPENS.items():
        statuses = {role: brain.call(method, path, token, json=_body(path)).status for role, token in tokens.items()}
        refused = {role for role, status in statuses.items() if status == 403}
        assert refused == set(ROLES) - allowed, (path, statuses)


def _body(path: str) -> dict[str, str] | None:
    return {"api_key": "x"} if path.endswith("verify") and "credentials" in path else None


def test_an_analyst_of_the_operator_cannot_make_itself_operator(brain: Brain) -> None:
    """Neither by a new key, nor by a user, nor by rotating or resetting somebody who is."""
    analyst = brain.token_of(brain.key(brain.home_org, "reports", roles=["analyst"])["key"])
    strong = brain.key(brain.home_org, "strong", roles=["operator"])
    new_key = {"org": brain.home_org, "name": "mine", "roles": ["operator"]}
    operator_id = brain.json("GET", "/v1/me", brain.operator)["sub"]

    assert brain.call("POST", "/v1/keys", analyst, json=new_key).status in (403, 404, 422)
    assert brain.call("POST", f"/v1/keys/{strong['id']}/rotate", analyst).status in (403, 404, 422)
    assert brain.call("DELETE", f"/v1/keys/{strong['id']}", analyst).status in (403, 404, 422)
    change = {"password": "Battery-Staple-7"}
    assert brain.call("PATCH", f"/v1/users/{operator_id}", analyst, json=change).status in (403, 404, 422)
    assert brain.verify(strong["key"]).status == 200


def test_a_department_cannot_give_itself_auditors(brain: Brain) -> None:
    """Auditing is entrusted by the operator; a department's analyst may make analysts."""
    department = brain.holder("department")

    def made(role: str) -> int:
        body = {"org": department.uscc, "name": role, "roles": [role]}
        return brain.call("POST", "/v1/keys", department.token, json=body).status

    assert (made("analyst"), made("auditor")) == (201, 422)


def test_an_organisations_auditor_sees_its_own_records_only(brain: Brain) -> None:
    """The operator's auditor sees all, a department's only those of the department."""
    department = brain.holder("department", ["auditor"])
    other = brain.holder("department")
    brain.json("POST", f"/v1/keys/{other.key_id}/rotate", other.token)
    brain.audit_of(other.key_id)
    ours = brain.token_of(brain.key(brain.home_org, "audit", roles=["auditor"])["key"])

    def sees(token: str) -> bool:
        page = brain.json("GET", "/v1/audit", token, params={"limit": 1000})
        return any(item["object"] == other.key_id for item in page["items"])

    assert sees(ours)
    assert not sees(department.token)
