"""Lineage, versions and derived data sets in the portal."""

from __future__ import annotations

import json
import re

import pytest

from tests.service_portal.portal.conftest import Browserless
from tests.service_portal.portal.fake.data import FakeBrain

NAME = "enterprise.enterprise_monthly"


def test_the_lineage_lists_every_node_with_a_way_to_it(operator: Browserless) -> None:
    """By distance, sources first: a push to its receipt, a version to its rows, a run to the walk from there."""
    text = operator.text(f"/lineage?dataset={NAME}")
    places = re.findall(r'<td data-title="位置">([^<]+)</td>', text)

    assert places == ["来源 第 2 层"] * 4 + ["来源 第 1 层"] * 2 + ["起点", "去向 第 1 层"]
    for link in (
        "/pushes/psh_1",
        f"/datasets/{NAME}/rows?version=8002",
        "/lineage?node=run%3A0197a1c2-3b4d-7e5f-8a6b-1c2d3e4f5a6b",
        "/lineage?node=component%3Aoee%401.0.0",
        "/lineage?node=indicator%3A000%2FL1P1",
    ):
        assert f'href="{link}"' in text, link
    assert "revenue_10k" in text
    assert "/api/data-hub/v1/lineage/events?direction=both" in text


def test_the_lineage_speaks_of_states_and_organisations_in_words(operator: Browserless) -> None:
    """The state of a run is a Chinese word; an organisation leads to its page, whatever its kind."""
    text = operator.text(f"/lineage?dataset={NAME}")

    assert re.search(r'class="word good">完成<', text)
    assert not re.search(r">(COMPLETE|FAIL|RUNNING)<", text)
    assert re.search(r'href="/sources/[0-9A-Z]{18}"', text)
    assert "/enterprises/" not in text


def test_the_picture_has_sources_left_and_results_right(operator: Browserless) -> None:
    """What the script draws: signed distances, and an address for each node."""
    text = operator.text(f"/lineage?dataset={NAME}")
    found = re.search(r'id="lineage-data">(.*?)</script>', text, re.S)
    assert found is not None
    picture = json.loads(found[1])
    places = {node["kind"]: node["place"] for node in picture["nodes"] if node["kind"] != "dataset"}

    assert places == {"push": -1, "run": -1, "org": -2, "external": -2, "component": -2, "indicator": 1}
    assert len(picture["links"]) == 7
    assert all(node["url"].startswith("/lineage?") for node in picture["nodes"])


def test_without_a_data_set_the_page_asks_for_one(operator: Browserless) -> None:
    """And an unknown one is explained in its place."""
    assert "选择一个数据集" in operator.text("/lineage")
    assert "没有数据集 public.none" in operator.text("/lineage?dataset=public.none")


def test_a_data_set_shows_its_versions_and_their_pins(operator: Browserless) -> None:
    """Each can be read, walked from and pinned; only a pin that somebody asked for can be taken back."""
    text = operator.text(f"/datasets/{NAME}")

    assert f'href="/datasets/{NAME}/rows?version=8001"' in text
    assert f'href="/lineage?dataset={NAME}&amp;version=8001"' in text or f"dataset={NAME}&version=8001" in text
    assert text.count(f'action="/datasets/{NAME}/versions/8001/unpin"') == 1
    assert "三季度评价" in text


def test_pins_are_made_and_taken_back(operator: Browserless, brain: FakeBrain) -> None:
    """By forms of the data set's page."""
    reply = operator.post(f"/datasets/{NAME}/versions/8002/pin", {"reason": "年报"})
    assert (reply.status, reply.headers["location"]) == (303, f"/datasets/{NAME}#versions")
    assert brain.calls[-1] == ("pin", (NAME, "8002", {"reason": "年报"}))
    operator.post(f"/datasets/{NAME}/versions/8001/unpin", {"pin": "pin_1"})
    assert brain.calls[-1] == ("unpin", (NAME, "8001", "pin_1"))


def test_the_rows_page_says_which_version_it_reads(operator: Browserless) -> None:
    """With a link to its lineage; a fixed one is marked, and stays when the filter changes."""
    text = operator.text(f"/datasets/{NAME}/rows?version=8001")

    assert "固定版本" in text
    assert re.search(rf'href="/lineage\?dataset={re.escape(NAME)}&(amp;)?version=8001"', text)
    assert '<input type="hidden" name="version" value="8001">' in text
    assert "rows.csv?version=8001" in text
    assert "固定版本" not in operator.text(f"/datasets/{NAME}/rows")


def test_the_result_of_a_query_becomes_a_data_set(operator: Browserless, brain: FakeBrain) -> None:
    """The form sends name, title, key and mode; the answer links to rows, lineage and receipt."""
    fields = {"q": "SELECT 1 AS a", "name": " public.mine ", "title": "我的", "key": "a，b", "mode": "upsert"}
    reply = operator.post("/sql/derive", fields, page="/sql")
    text = reply.data.decode()

    assert brain.calls[-1] == (
        "derive",
        {"name": "public.mine", "title": "我的", "sql": "SELECT 1 AS a", "key": ["a", "b"], "mode": "upsert"},
    )
    assert 'href="/datasets/public.mine/rows"' in text
    assert 'href="/lineage?dataset=public.mine"' in text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "", "title": "x"}, "请填写数据集名称和中文名称"),
        ({"name": "public.taken", "title": "x"}, "已被占用"),
    ],
)
def test_a_refused_data_set_is_explained(operator: Browserless, fields: dict[str, str], words: str) -> None:
    """In the words of the API."""
    reply = operator.post("/sql/derive", {"q": "SELECT 1 AS a", "mode": "replace", "key": ""} | fields, page="/sql")

    assert reply.status in (200, 422)
    assert words in reply.data.decode()
