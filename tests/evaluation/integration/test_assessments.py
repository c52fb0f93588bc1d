"""The 晨星工厂 assessment: marked by the enterprise, reviewed by a department, invisible to the factory next door."""

from __future__ import annotations

from typing import Any

from evaluation.domain.sets import criteria_sets

from tests.evaluation.world import World

CRITERIA = criteria_sets()["morning-star-factory"].criteria
LEVEL_ONE = [item.id for item in CRITERIA if 1 in item.levels]


def begin(world: World, year: str, met: list[str]) -> dict[str, Any]:
    """An assessment of the factory with some criteria met."""
    made = world.json("factory", "POST", "/v1/assessments", json={"year": year})
    if not met:
        return dict(made)
    marks = {name: {"met": True, "note": "有"} for name in met}
    return dict(world.json("factory", "PATCH", f"/v1/assessments/{made['id']}", json={"marks": marks}))


def test_all_starred_criteria_of_a_level_make_it(world: World) -> None:
    """The thirteen of level 1 give level 1; one less gives none, and names the one that is missing."""
    made = begin(world, "2026", LEVEL_ONE[:-1])
    assert made["result"]["level"] is None
    assert [item["id"] for item in made["result"]["next"]["unmet"]] == [LEVEL_ONE[-1]]
    assert made["result"]["next"]["lacking"] == 1

    marks = {LEVEL_ONE[-1]: {"met": True}}
    whole = world.json("factory", "PATCH", f"/v1/assessments/{made['id']}", json={"marks": marks})
    assert (whole["result"]["level"], whole["result"]["stars"]) == (1, 13)
    assert whole["result"]["next"]["level"] == 2
    assert [category["name"] for category in whole["categories"]] == [
        "顶层规划", "数字化改造", "网络化升级", "工厂智能化", "数字化双碳", "安全管控",
    ]  # fmt: skip


def test_a_reviewer_goes_before_the_own_mark(world: World) -> None:
    """A criterion that the department does not accept takes the level away; the enterprise reads why."""
    made = begin(world, "2025", LEVEL_ONE)
    path = f"/v1/assessments/{made['id']}"
    world.attach("factory", f"{path}/evidence", criterion=LEVEL_ONE[0])
    verdict = {LEVEL_ONE[0]: {"reviewed": False, "review_note": "现场没有"}}
    assert world.refused("bureau", "PATCH", f"{path}/review", json={"marks": verdict})[1]["code"] == "state_conflict"
    world.json("factory", "POST", f"{path}/submit")
    assert world.refused("factory", "POST", f"{path}/confirm")[0] == 403
    reviewed = world.json("bureau", "PATCH", f"{path}/review", json={"marks": verdict})
    assert (reviewed["result"]["level"], reviewed["result"]["basis"]) == (None, "reviewed")
    world.json("bureau", "POST", f"{path}/return", json={"note": "补充后再报"})

    found = world.json("factory", "GET", path)
    assert (found["state"], found["review_note"]) == ("returned", "补充后再报")
    first = next(
        item for category in found["categories"] for item in category["criteria"] if item["id"] == LEVEL_ONE[0]
    )
    assert (first["reviewed"], first["review_note"], len(first["evidence"])) == (False, "现场没有", 1)
    world.json("factory", "PATCH", path, json={"marks": {LEVEL_ONE[0]: {"met": True, "note": "已补"}}})
    world.json("factory", "POST", f"{path}/submit")
    assert world.json("colleague", "POST", f"{path}/confirm")["result"]["level"] == 1
    actions = [item["action"] for item in world.json("factory", "GET", path)["history"]]
    assert actions[:4] == ["confirm", "submit", "edit", "return"]


def test_the_factory_next_door_finds_nothing(world: World) -> None:
    """Neither reading nor changing nor listing: as if it did not exist."""
    made = begin(world, "2024", LEVEL_ONE[:2])
    path = f"/v1/assessments/{made['id']}"
    kept = world.attach("factory", f"{path}/evidence", criterion=LEVEL_ONE[0])
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", path, {}),
        ("PATCH", path, {"json": {"marks": {LEVEL_ONE[0]: {"met": False}}}}),
        ("POST", f"{path}/submit", {}),
        ("GET", f"{path}/export", {}),
        ("GET", f"{path}/evidence/{kept['id']}", {}),
        ("DELETE", f"{path}/evidence/{kept['id']}", {}),
        ("POST", f"{path}/evidence", {"params": {"name": "a.pdf", "criterion": LEVEL_ONE[0]}, "content": b"%PDF-1"}),
    ]
    for method, address, options in calls:
        status, problem = world.refused("neighbour", method, address, **options)
        assert (status, problem["code"]) == (404, "assessment_unknown"), (method, address)
    listed = world.json("neighbour", "GET", "/v1/assessments", params={"org": world.orgs["factory"]})
    assert {item["org"] for item in listed["items"]} <= {world.orgs["neighbour"]}
    assert made["id"] not in {item["id"] for item in listed["items"]}
    assert world.call("bureau", "GET", path).status == 200


def test_bad_input_is_told_by_field(world: World) -> None:
    """An unknown criterion, text for a yes, a second one for the year, a submission of nothing."""
    made = begin(world, "2023", [])
    path = f"/v1/assessments/{made['id']}"
    unknown = {"marks": {"C99": {"met": True}}}
    assert world.refused("factory", "PATCH", path, json=unknown)[1]["errors"][0]["field"] == "marks.C99"
    assert world.refused("factory", "PATCH", path, json={"marks": {"C01": {"met": "yes"}}})[0] == 422
    assert world.refused("factory", "POST", "/v1/assessments", json={"year": "2023"})[1]["code"] == "assessment_exists"
    assert world.refused("factory", "POST", "/v1/assessments", json={"year": "1999"})[1]["code"] == "period_invalid"
    assert world.refused("factory", "POST", f"{path}/submit")[1]["field"] == "marks"
    assert world.refused("bureau", "POST", "/v1/assessments", json={"year": "2023"})[0] == 403
