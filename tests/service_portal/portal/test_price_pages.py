"""Prices are tried before they are published, tariffs are uploaded; only by operators, refusals beside the field."""

from __future__ import annotations

from typing import Any

from tests.service_portal.portal.conftest import Browserless
from tests.service_portal.portal.fake.data import FakeBrain
from tests.service_portal.portal.test_centre_pages import wrong
from tests.service_portal.portal.test_compute_pages import island

LIST = {"centre": "", "core_hour": "0.15", "gib_hour": "", "gb_moved": "0.05", "accelerator_hour": "A100=7\n*=3",
        "note": "涨价", "valid_from": "2027-01-01T00:00"}  # fmt: skip
SENT: dict[str, Any] = {
    "centre": "", "core_hour": "0.15", "gib_hour": "0", "gb_moved": "0.05", "accelerator_hour": {"A100": "7", "*": "3"},
    "note": "涨价", "valid_from": "2027-01-01T00:00:00+08:00",
}  # fmt: skip


def test_a_list_is_tried_and_then_published_as_it_was_typed(operator: Browserless, brain: FakeBrain) -> None:
    """The form begins with what is in force; the trial shows both sums, what has no price and who is left out."""
    text = operator.text("/prices")
    for part in ('name="core_hour" value="0.120000"', "A100=6.500000", "先试算", "通用"):
        assert part in text
    assert 'value="publish"' not in text
    tried = operator.post("/prices", LIST | {"action": "try"})
    text = tried.data.decode()
    assert (tried.status, brain.calls[-1]) == (200, ("try-prices", SENT | {"days": 30}))
    for part in ("100.00", "120.50", "20.50%", "按 0 计：A100", "没有算入：jinan", 'value="0.15"', 'value="publish"'):
        assert part in text, part
    assert operator.post("/prices", LIST | {"action": "publish"}).headers["location"] == "/prices"
    assert brain.calls[-1] == ("prices", SENT)
    taken = operator.post("/prices", LIST | {"action": "publish", "note": "taken"})
    assert (taken.status, "请换一个生效时间" in taken.data.decode()) == (409, True)


def test_what_is_wrong_with_a_list_stands_beside_its_field(operator: Browserless) -> None:
    """What was typed is kept; a moment that is none is told too."""
    reply = operator.post("/prices", LIST | {"core_hour": "viel", "action": "try"})
    text = reply.data.decode()
    assert (reply.status, wrong(text, "core_hour"), 'value="viel"' in text) == (422, "应为不为负的十进制数", True)
    text = operator.post("/prices", LIST | {"valid_from": "bald"}).data.decode()
    assert wrong(text, "valid_from").startswith("应为日期和时刻")
    assert "每项应写成" in operator.post("/prices", LIST | {"accelerator_hour": "A100"}).data.decode()


def test_a_tariff_is_published_for_a_region_or_a_centre(operator: Browserless, brain: FakeBrain) -> None:
    """With its source and date; a line that is wrong is named beside the field."""
    text = operator.text("/tariffs?centre=zibo")
    for part in ("示例电价文件", "淄博市", "00:00–07:30", "23:00,07:00,谷,0.30", '<option value="zibo" selected>'):
        assert part in text, part
    body = {"centre": "", "region": "370300", "csv": "x\n1-12,23:00,07:00,谷,0.3", "source": "文件", "note": "",
            "as_of": "2026-01-01"}  # fmt: skip
    assert operator.post("/tariffs", body).headers["location"] == "/tariffs"
    name, sent = brain.calls[-1]
    assert (name, sent["centre"], sent["region"], sent["valid_from"]) == ("tariff", None, "370300", None)
    own = operator.post("/tariffs", body | {"centre": "zibo", "region": ""})
    assert own.headers["location"] == "/centres/zibo"
    refused = operator.post("/tariffs", body | {"csv": "nichts"})
    text = refused.data.decode()
    assert (refused.status, "3 月 08:00 有两个时段" in text, ">nichts</textarea>" in text) == (422, True, True)


def test_a_centre_shows_its_tariff_over_the_day(operator: Browserless) -> None:
    """96 quarters: 30 of valley before 7:30, 62 flat, 4 of valley after 23; one without has none."""
    text = operator.text("/centres/zibo")
    chart = island(text, "centre-tariff-data")
    counts = {line["name"]: sum(value is not None for value in line["values"]) for line in chart["series"]}
    assert (len(chart["x"]), counts) == (96, {"平": 62, "谷": 34})
    for part in ("2025-12-31 · 示例电价文件", "07:30–23:00", "现在为 平 0.600"):
        assert part in text, part
    assert "没有分时电价" in operator.text("/centres/local")


def test_others_read_prices_and_change_nothing(owner: Browserless) -> None:
    """No form; tariffs are a page of operators."""
    text = owner.text("/prices")
    assert "0.120000" in text
    assert 'action="/prices"' not in text
    assert owner.get("/tariffs").status == 404
    assert "/tariffs" not in owner.text("/centres/zibo")
