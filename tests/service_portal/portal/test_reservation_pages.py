"""Reservations on pages: the coming days drawn and listed for all, made with a preview and cancelled by operators."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from service_portal.portal.schedules import lanes, schedule

from tests.service_portal.portal.conftest import Browserless
from tests.service_portal.portal.fake.data import ENTERPRISE_ORG, FakeBrain
from tests.service_portal.portal.fake.reservations import MAINTAINED, RESERVED

FIELDS = {
    "kind": "reservation", "centre": "local", "title": "汛期预报", "start_at": "2099-06-01T08:00",
    "end_at": "2099-06-01T20:00", "orgs": ENTERPRISE_ORG, "cores": "2", "memory_mb": "4000", "count": "3",
    "accelerators": "A100=1",
}  # fmt: skip


def test_everybody_sees_the_coming_days_and_only_operators_the_form(operator: Browserless, owner: Browserless) -> None:
    """Both windows are drawn and listed with links."""
    for browser in (operator, owner):
        text = browser.text("/reservations")
        assert text.count(f'href="/reservations/{RESERVED}"') == 2
        assert text.count(f'href="/reservations/{MAINTAINED}"') == 2
        assert '<svg class="windows"' in text
    assert 'name="start_at"' in operator.text("/reservations")
    assert 'name="start_at"' not in owner.text("/reservations")


def test_a_preview_names_the_jobs_and_keeps_what_was_typed(operator: Browserless, brain: FakeBrain) -> None:
    """Times of the form are China's; nothing is made."""
    text = operator.post("/reservations", FIELDS | {"action": "preview"}).data.decode()
    assert [part in text for part in ("夜间训练", "月报", 'value="2099-06-01T08:00"')] == [True] * 3
    name, body = brain.calls[-1]
    assert (name, body["start_at"], body["orgs"]) == ("preview", "2099-06-01T08:00:00+08:00", [ENTERPRISE_ORG])
    assert body["resources"] == {"cores": 2.0, "memory_mb": 4000, "accelerators": {"A100": "1"}}
    assert body["count"] == 3


def test_saving_goes_to_the_new_page_and_a_refusal_is_shown_above_the_form(
    operator: Browserless, brain: FakeBrain
) -> None:
    """The same form sent twice carries the same key."""
    sent = operator.post("/reservations", FIELDS | {"action": "save", "repeat": "k"})
    assert sent.headers["location"] == f"/reservations/{RESERVED}"
    assert brain.calls[-1][1][1] == "k"
    refused = operator.post("/reservations", FIELDS | {"action": "save", "title": "挤不下"})
    assert (refused.status, "还差 1 份" in refused.data.decode()) == (409, True)
    wrong = operator.post("/reservations", FIELDS | {"action": "save", "start_at": "soon"})
    assert (wrong.status, "应为日期和时间" in wrong.data.decode()) == (422, True)


def test_the_page_of_one_tells_what_went_unused_and_cancels(
    operator: Browserless, owner: Browserless, brain: FakeBrain
) -> None:
    """Its organisation sees it without the button; what is not there is a page that says so."""
    text = operator.text(f"/reservations/{RESERVED}")
    assert [part in text for part in ("3.5", "A100 × 1", "/cancel")] == [True] * 3
    assert "/cancel" not in owner.text(f"/reservations/{RESERVED}")
    operator.post(f"/reservations/{RESERVED}/cancel", {"reason": "改期"})
    assert brain.calls[-1] == ("cancel", (RESERVED, "改期"))
    assert owner.get("/reservations/rsv_" + "Z" * 26).status == 404


def test_the_list_is_a_file(owner: Browserless) -> None:
    """With the nodes in one cell."""
    lines = owner.get("/reservations.csv?kind=reservation").data.decode("utf-8-sig").splitlines()
    assert len(lines) == 2
    assert "local/node-1" in lines[1]


def test_cards_of_centres_show_windows(owner: Browserless) -> None:
    """What is maintained now, and until when."""
    assert f"/reservations/{MAINTAINED}" in owner.text("/centres")


def item(name: str, start: float, end: float, centre: str = "c") -> dict[str, Any]:
    """A window, hours from the first of December."""
    first = datetime(2026, 12, 1, tzinfo=UTC)
    times = [(first + timedelta(hours=hours)).isoformat() for hours in (start, end)]
    return {
        "id": name,
        "centre": centre,
        "start_at": times[0],
        "end_at": times[1],
        "kind": "reservation",
        "title": name,
    }


def test_windows_that_overlap_are_drawn_below_each_other() -> None:
    """Those that touch share a row; others' centres and those outside the days have none of theirs."""
    start = datetime(2026, 12, 1, tzinfo=UTC)
    items = [item("a", 0, 5), item("b", 5, 9), item("c", 4, 6), item("d", 1, 2, "other"), item("e", 900, 901)]
    found = lanes(items, start, start + timedelta(days=14))
    assert [(centre, [[one["id"] for one in row] for row in rows]) for centre, rows in found] == [
        ("c", [["a", "b"], ["c"]]),
        ("other", [["d"]]),
    ]


@pytest.mark.parametrize("hours", [(-900.0, 900.0), (300.0, 301.0)])
def test_bars_stay_within_the_drawing(hours: tuple[float, float]) -> None:
    """However long or short the window is."""
    now = datetime(2026, 12, 1, 3, tzinfo=UTC)
    drawn = str(schedule([item("a", *hours)], now, "t", lambda one: "<b>"))
    bar = re.search(r'<rect x="([0-9.]+)" y="[0-9.]+" width="([0-9.]+)"', drawn)
    assert bar is not None
    x, width = float(bar[1]), float(bar[2])
    assert x >= 150
    assert x + width <= 1080.1
    assert "<b>" not in drawn
