"""Cards, versions, two-person approval, aliases, visibility."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from tests.algorithm_dev.conftest import People
from tests.algorithm_dev.lab import DEPARTMENT, MAKER, NEIGHBOUR, SQL, Lab, place_of, sql_card


def test_a_version_goes_from_draft_to_published_by_two_people(lab: Lab, people: People, name: str) -> None:
    """The maker hands in, somebody else approves; then every tenant sees it and may call it."""
    card = sql_card(name)
    made = lab.draft(card, SQL, people.maker)
    assert (made.status, made.json()["state"]) == (201, "draft")
    assert lab.refusal("GET", place_of(card), people.neighbour)["code"] == "component_unknown"

    submitted = lab.json("POST", f"{place_of(card)}/submit", people.maker)
    published = lab.json("POST", f"{place_of(card)}/approve", people.analyst, json={"reason": "一致"})

    assert (submitted["state"], published["state"]) == ("submitted", "published")
    assert published["submitted_by"] == "developer"
    assert published["decided_by"] == "analyst"
    assert lab.json("GET", place_of(card), people.neighbour)["card"]["licence"] == "Apache-2.0"


def test_who_submits_cannot_approve(lab: Lab, people: People, name: str) -> None:
    """Also with the role: an analyst's own version needs another analyst."""
    card = sql_card(name, owner=DEPARTMENT)
    assert lab.draft(card, SQL, people.analyst).status == 201
    lab.json("POST", f"{place_of(card)}/submit", people.analyst)

    refused = lab.refusal("POST", f"{place_of(card)}/approve", people.analyst)
    assert (refused["status"], refused["code"]) == (403, "two_persons_needed")
    assert lab.refusal("POST", f"{place_of(card)}/reject", people.analyst, json={"reason": "自己"})["code"] == (
        "two_persons_needed"
    )
    colleague = lab.token(DEPARTMENT, "analyst", subject="usr_colleague")
    assert lab.json("POST", f"{place_of(card)}/approve", colleague)["state"] == "published"


def test_developers_do_not_approve(lab: Lab, people: People, name: str) -> None:
    """The role is asked for before anything is looked up."""
    card = sql_card(name)
    lab.draft(card, SQL, people.maker)
    lab.json("POST", f"{place_of(card)}/submit", people.maker)
    other = lab.token(MAKER, "developer", subject="usr_other")
    assert lab.refusal("POST", f"{place_of(card)}/approve", other)["code"] == "not_permitted"


def test_a_submitted_version_is_immutable(lab: Lab, people: People, name: str) -> None:
    """Whatever the tag says; another version number takes the change."""
    card = sql_card(name)
    lab.draft(card, SQL, people.maker)
    lab.json("POST", f"{place_of(card)}/submit", people.maker)
    changed = card | {"description": {"zh": "改", "en": "changed"}}
    refused = lab.put(changed, people.maker, headers={"If-Match": "*"})
    assert (refused.status, refused.json()["code"]) == (409, "version_immutable")
    gone = lab.refusal("DELETE", place_of(card), people.maker, headers={"If-Match": "*"})
    assert gone["code"] == "version_immutable"


def test_an_edit_says_what_it_is_based_on(lab: Lab, people: People, name: str) -> None:
    """Without If-Match 428, with an old tag 412, with the present one the draft changes and so does its digest."""
    card = sql_card(name)
    first = lab.draft(card, SQL, people.maker)
    tag = first.headers["etag"]
    changed = card | {"description": {"zh": "改过", "en": "changed"}}
    assert lab.put(changed, people.maker).status == 428
    second = lab.put(changed, people.maker, headers={"If-Match": tag})
    assert second.status == 200
    assert second.json()["digest"] != first.json()["digest"]
    assert lab.put(card, people.maker, headers={"If-Match": tag}).status == 412
    assert lab.call("DELETE", place_of(card), people.maker, headers={"If-Match": second.headers["etag"]}).status == 204
    assert lab.refusal("GET", f"/components/{name}", people.maker)["status"] == 404


def test_the_digest_is_the_identity_of_the_content(lab: Lab, people: People, name: str) -> None:
    """The same card from JSON or YAML has one digest; every change of content gives another."""
    import json

    import yaml

    card = sql_card(name)
    digest = lab.draft(card, SQL, people.maker).json()["digest"]
    tag = lab.json("GET", place_of(card), people.maker)["etag"]
    path = place_of(card)
    again = lab.json(
        "PUT",
        path,
        people.maker,
        content=yaml.safe_dump(json.loads(json.dumps(card))).encode(),
        headers={"If-Match": tag},
    )
    assert again["digest"] == digest


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"licence": "Apache 2"}, "licence"),
        ({"kind": "magic"}, "kind"),
        ({"owner": NEIGHBOUR}, "owner"),
        ({"runtime": "python"}, "runtime"),
        ({"entry": "other.sql"}, "entry"),
        ({"version": "1.0"}, "version"),
        ({"surplus": 1}, "surplus"),
        ({"signature": {}}, "signature.inputs"),
    ],
)
def test_a_bad_card_is_refused_naming_the_field(
    lab: Lab, people: People, name: str, change: dict[str, Any], field: str
) -> None:
    """422 with the field and what to do."""
    card = sql_card(name)
    lab.upload(SQL, people.maker)
    reply = lab.call("PUT", f"/components/{name}/versions/1.0.0", people.maker, json=card | change)
    assert (reply.status, reply.json()["code"]) == (422, "card_invalid")
    assert field in [item["field"] for item in reply.json()["errors"]], reply.json()


def test_files_must_be_there_and_be_the_callers(lab: Lab, people: People, name: str) -> None:
    """Knowing a digest is no right to the file."""
    content = SQL + b" -- secret"
    card = sql_card(name, content=content)
    reply = lab.put(card, people.maker)
    assert (reply.status, reply.json()["code"]) == (422, "artefacts_missing")
    lab.upload(content, people.neighbour)
    assert lab.put(card, people.maker).json()["code"] == "artefacts_missing"
    lab.upload(content, people.maker)
    wrong = card | {"artefacts": [card["artefacts"][0] | {"bytes": 3}]}
    assert lab.put(wrong, people.maker).json()["errors"][0]["field"] == "artefacts[0].bytes"
    assert lab.put(card, people.maker).status == 201


def test_an_upload_with_a_wrong_digest_is_refused(lab: Lab, people: People) -> None:
    """Nothing is stored."""
    refused = lab.refusal("PUT", "/artefacts", people.maker, content=b"x", params={"sha256": "0" * 64})
    assert (refused["status"], refused["code"]) == (422, "digest_mismatch")


def test_a_name_belongs_to_its_first_owner(lab: Lab, people: People, name: str) -> None:
    """Another organisation learns only that the name is taken."""
    lab.draft(sql_card(name), SQL, people.maker)
    lab.upload(SQL, people.neighbour)
    card = sql_card(name, owner=NEIGHBOUR)
    reply = lab.put(card, people.neighbour)
    assert (reply.status, reply.json()["code"]) == (409, "name_taken")
    assert MAKER not in reply.content.decode()


def test_golden_vectors_must_be_reproduced(lab: Lab, people: People, name: str) -> None:
    """A wrong published value stops the submission, and says which row and column differ."""
    card = sql_card(name)
    card["golden"][0]["outputs"][1]["co2"] = 1.5
    lab.draft(card, SQL, people.maker)
    refused = lab.refusal("POST", f"{place_of(card)}/submit", people.maker)
    assert refused["code"] == "golden_failed"
    assert "1.5" in refused["errors"][0]["reason"]
    assert "co2" in refused["errors"][0]["reason"]
    assert lab.json("GET", place_of(card), people.maker)["state"] == "draft"


def test_publishing_asks_for_golden_vectors(lab: Lab, people: People, name: str) -> None:
    """A draft may be without; a submission may not."""
    card = sql_card(name, golden=[])
    assert lab.draft(card, SQL, people.maker).status == 201
    assert lab.refusal("POST", f"{place_of(card)}/submit", people.maker)["code"] == "golden_missing"


def test_a_rejected_version_needs_a_new_number(lab: Lab, people: People, name: str) -> None:
    """The reason is kept and shown to its owner; nobody else sees the version."""
    card = sql_card(name)
    lab.draft(card, SQL, people.maker)
    lab.json("POST", f"{place_of(card)}/submit", people.maker)
    assert lab.refusal("POST", f"{place_of(card)}/reject", people.operator)["status"] == 422
    lab.json("POST", f"{place_of(card)}/reject", people.operator, json={"reason": "来源不明"})
    seen = lab.json("GET", place_of(card), people.maker)
    assert (seen["state"], seen["reason"]) == ("rejected", "来源不明")
    assert lab.refusal("GET", place_of(card), people.neighbour)["status"] == 404
    assert lab.refusal("POST", f"{place_of(card)}/approve", people.operator)["code"] == "state_conflict"


def test_an_alias_keeps_the_whole_history_of_its_moves(lab: Lab, people: People, name: str) -> None:
    """Who moved it from where to where and why; a move must be based on the present state."""
    for version in ("1.0.0", "1.1.0"):
        lab.publish(sql_card(name, version), SQL, people.maker, people.analyst)
    base = f"/components/{name}/aliases/production"
    first = lab.call("PUT", base, people.maker, json={"version": "1.0.0", "reason": "首版"})
    assert first.status == 200
    to_next = {"version": "1.1.0", "reason": "新因子"}
    assert lab.refusal("PUT", base, people.maker, json=to_next)["status"] == 428
    assert lab.refusal("PUT", base, people.maker, json=to_next, headers={"If-Match": '"9"'})["status"] == 412
    lab.json("PUT", base, people.maker, json=to_next, headers={"If-Match": first.headers["etag"]})
    assert lab.json("GET", f"/components/{name}/versions/production", people.neighbour)["version"] == "1.1.0"
    assert lab.refusal("PUT", base, people.neighbour, json=to_next, headers={"If-Match": "*"})["code"] == "not_owner"
    lab.json("DELETE", base, people.maker, params={"reason": "停用"}, headers={"If-Match": "*"})

    moves = lab.json("GET", f"{base}/history", people.neighbour)["items"]
    assert [(move["from"], move["to"], move["reason"]) for move in moves] == [
        ("1.1.0", None, "停用"),
        ("1.0.0", "1.1.0", "新因子"),
        (None, "1.0.0", "首版"),
    ]
    assert {move["moved_by"] for move in moves} == {"developer"}


def test_an_alias_points_at_published_versions_only(lab: Lab, people: People, name: str) -> None:
    """A draft behind `production` would be an approval past the second person."""
    lab.draft(sql_card(name), SQL, people.maker)
    body = {"version": "1.0.0", "reason": "试用"}
    refused = lab.refusal("PUT", f"/components/{name}/aliases/production", people.maker, json=body)
    assert refused["code"] == "alias_invalid"
    assert lab.refusal("PUT", f"/components/{name}/aliases/1st", people.maker, json=body)["code"] == "alias_invalid"


def test_a_withdrawn_version_stays_readable_and_cannot_be_called(lab: Lab, people: People, name: str) -> None:
    """With its reason; an alias that points at it must move first."""
    card = sql_card(name)
    lab.publish(card, SQL, people.maker, people.analyst)
    lab.json("PUT", f"/components/{name}/aliases/production", people.maker, json={"version": "1.0.0", "reason": "首版"})
    reason = {"reason": "因子有误"}
    assert lab.refusal("POST", f"{place_of(card)}/withdraw", people.maker, json=reason)["code"] == "state_conflict"
    lab.json("DELETE", f"/components/{name}/aliases/production", people.maker, params=reason, headers={"If-Match": "*"})
    assert lab.refusal("POST", f"{place_of(card)}/withdraw", people.neighbour, json=reason)["code"] == "not_owner"
    lab.json("POST", f"{place_of(card)}/withdraw", people.maker, json=reason)
    assert lab.json("GET", place_of(card), people.neighbour)["reason"] == "因子有误"
    call = {"inputs": [{"month": "2026-01-01", "kwh": 1}]}
    assert lab.refusal("POST", f"{place_of(card)}/invocations", people.neighbour, json=call)["code"] == "not_callable"


def test_search_finds_chinese_and_english_words(lab: Lab, people: People, name: str) -> None:
    """In titles, descriptions and columns; drafts of others are not found."""
    title = {"zh": f"碳核算{name}", "en": f"Carbon accounting {name}"}
    lab.publish(sql_card(name, title=title), SQL, people.maker, people.analyst)
    lab.draft(sql_card(name, "2.0.0", title=title), SQL, people.maker)

    def found(words: str) -> list[str]:
        return [item["name"] for item in lab.json("GET", "/components", people.neighbour, params={"q": words})["items"]]

    assert found(f"核算{name}") == found(f"CARBON {name}") == found(f"用电量 {name}") == [name]
    assert found(f"没有 {name}") == []
    shown = lab.json("GET", f"/components/{name}", people.neighbour)
    assert [item["version"] for item in shown["versions"]] == ["1.0.0"]
    assert [item["version"] for item in lab.json("GET", f"/components/{name}", people.maker)["versions"]] == [
        "2.0.0",
        "1.0.0",
    ]


def test_subscriptions_are_counted_by_organisation(lab: Lab, people: People, name: str) -> None:
    """Twice is once."""
    lab.publish(sql_card(name), SQL, people.maker, people.analyst)
    for token in (people.neighbour, people.neighbour, people.analyst):
        lab.json("PUT", f"/components/{name}/subscription", token)
    assert lab.json("GET", f"/components/{name}", people.maker)["subscriptions"] == 2
    lab.json("DELETE", f"/components/{name}/subscription", people.neighbour)
    shown = lab.json("GET", f"/components/{name}", people.analyst)
    assert (shown["subscriptions"], shown["subscribed"]) == (1, True)


def test_every_decision_is_audited_in_its_transaction(lab: Lab, people: People, name: str) -> None:
    """The outbox holds who did what."""
    lab.publish(sql_card(name), SQL, people.maker, people.analyst)
    with lab.database.reading() as session:
        query = text("SELECT data FROM outbox WHERE topic = 'brain.platform.audit.v1'")
        records = [row[0] for row in session.execute(query)]
    told = [item for item in map(_loaded, records) if item["object"] == f"{name}@1.0.0"]
    assert [(item["action"], item["name"]) for item in told] == [
        ("component.put", "developer"),
        ("component.submit", "developer"),
        ("component.approve", "analyst"),
    ]


def _loaded(data: Any) -> dict[str, Any]:
    import json

    loaded: dict[str, Any] = json.loads(data) if isinstance(data, str) else data
    return loaded
