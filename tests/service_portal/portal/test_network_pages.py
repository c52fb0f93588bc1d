"""Pages of the data network: links over time, transfers on their way, and the forms of operators."""

from __future__ import annotations

import csv
import io
import json
import re

from service_portal.portal import drawings
from service_portal.portal.routes.transfers import shown

from tests.service_portal.portal.conftest import Browserless
from tests.service_portal.portal.fake.data import ENTERPRISE_ORG, FakeBrain
from tests.service_portal.portal.fake.datanet import DATASET, DONE, FAILED, MOVING, PAUSED, SHA, WINDOW

LINK = "/network/links/jinan/zibo"


def test_links_stand_with_capacity_over_time_date_and_source(operator: Browserless) -> None:
    """What it carries, is reserved, its maintenance; the title of a centre where one is known, its id elsewhere."""
    text = operator.text("/network")
    for part in (
        "jinan – 淄博边缘中心",
        "100",
        "40",
        "省级骨干",
        "2026-09-30",
        "· 中断",
        'href="/network/links/new"',
    ):
        assert part in text
    assert 'aria-label="jinan 到 zibo 今后 7 天的带宽' in text
    assert "今后 30 天" in operator.text("/network?days=30")
    assert "今后 7 天" in operator.text("/network?days=5000")
    (row,) = csv.DictReader(io.StringIO(operator.get("/network/links.csv").data.decode("utf-8-sig")))
    assert (row["one"], row["free_gbit_s"], row["windows"]) == ("jinan", "60.0", "1")


def test_the_picture_of_a_link_is_as_wide_as_its_times_and_as_high_as_its_rates() -> None:
    """Half the time 8 of 8 carried, 4 reserved; then cut. A reservation of no length is a thousandth wide."""
    drawn = str(drawings.course([(0.0, 0.5, 8.0, 4.0), (0.5, 0.5, 8.0, 8.0), (0.5, 1.0, 0.0, 0.0)], 8.0, "a <b>"))
    rects = re.findall(r'<rect class="(\w+)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', drawn)
    assert ("limit", "0.00", "8.00", "500.00", "92.00") in rects
    assert ("held", "0.00", "54.00", "500.00", "46.00") in rects
    assert ("held", "500.00", "8.00", "1.00", "92.00") in rects
    assert not [rect for rect in rects if rect[1] == "500.00" and rect[3] == "500.00"]
    assert "a &lt;b&gt;" in drawn


def test_a_link_shows_windows_reservations_and_what_it_has_carried(operator: Browserless) -> None:
    """The transfers that pass it, the stretches as a table; a link that is not there is a 404."""
    text = operator.text(LINK)
    for part in (
        "割接",
        "中断",
        f"/network/transfers/{MOVING}",
        "21.0 GB",
        "21 个传输",
        "按传输结束的日子",
        "没有写出处",
    ):
        assert (part in text) == (part != "没有写出处")
    assert "45.0 GB" in operator.text(f"{LINK}?days=30") or "435 GB" in operator.text(f"{LINK}?days=30")
    assert operator.get("/network/links/jinan/edge").status == 404
    assert operator.get("/network/links/Jinan/zibo").status == 404


def test_a_link_is_registered_and_what_is_wrong_stands_beside_its_field(
    operator: Browserless, brain: FakeBrain
) -> None:
    """Values stay as they were written; a good one leads to the link; an existing one fills the form."""
    form = {"one": "zibo", "other": "jinan", "capacity_gbit_s": "10", "latency_ms": "", "as_of": "2026-09-30"}
    made = operator.post("/network/links", form | {"note": "骨干"})
    assert made.headers["location"] == LINK
    body = {"capacity_gbit_s": 10, "latency_ms": None, "as_of": "2026-09-30", "note": "骨干"}
    assert brain.calls[-1] == ("link", ("zibo", "jinan", body))
    refused = operator.post("/network/links", form | {"capacity_gbit_s": "viel", "note": "留着"})
    text = refused.data.decode()
    assert refused.status == 422
    assert re.search(r'name="capacity_gbit_s" value="viel"[^>]*aria-invalid="true"', text)
    assert '<span class="wrong" role="alert">应为数值</span>' in text
    assert 'value="留着"' in text
    same = operator.post("/network/links", form | {"other": "zibo"}).data.decode()
    assert 'role="alert">与另一端相同' in same
    filled = operator.text("/network/links/new?one=zibo&other=jinan")
    assert 'name="capacity_gbit_s" value="100"' in filled


def test_maintenance_is_added_and_taken_back_and_a_link_removed(operator: Browserless, brain: FakeBrain) -> None:
    """Times of the form are those of China; a rate that changes nothing is refused beside its field, the rest kept."""
    form = {"start_at": "2099-12-05T00:00", "end_at": "2099-12-05T06:00", "gbit_s": "1", "note": "割接"}
    assert operator.post(f"{LINK}/windows", form).headers["location"] == LINK
    asked = brain.calls[-1][1][2]
    assert (asked["start_at"], asked["gbit_s"]) == ("2099-12-05T00:00:00+08:00", 1)
    refused = operator.post(f"{LINK}/windows", form | {"gbit_s": "100"})
    text = refused.data.decode()
    assert (refused.status, 'role="alert">应小于链路带宽' in text) == (422, True)
    assert 'name="start_at" value="2099-12-05T00:00"' in text
    assert operator.post(f"{LINK}/windows/{WINDOW}/remove").headers["location"] == LINK
    assert operator.post(f"{LINK}/remove").headers["location"] == "/network"
    assert brain.calls[-2:] == [("remove-window", ("jinan", "zibo", WINDOW)), ("remove-link", ("jinan", "zibo"))]
    assert operator.text(LINK).count("data-ask") == 2  # a question before each removal


def test_forms_are_the_operators(owner: Browserless, visitor: Browserless) -> None:
    """Everybody else reads; the form of a link does not exist for them; a visitor signs in first."""
    assert "/network/links/new" not in owner.text("/network")
    text = owner.text(LINK)
    assert 'method="post" action="/network' not in text
    assert "所有组织的合计" in text
    assert owner.get("/network/links/new").status == 404
    assert 'method="post" action="/network' not in owner.text(f"/network/transfers/{MOVING}")
    assert visitor.get("/network").status == 303


def test_transfers_say_how_far_they_are_and_why_they_wait(operator: Browserless) -> None:
    """Path, rate, progress, waiting jobs; one that is held up says until when, one that failed why."""
    text = operator.text("/network/transfers")
    for part in (
        "37.0%",
        "74.0 MB / 200 MB",
        "/jobs/job_queued",
        "继续",
        "两次与 SHA-256 不符",
        f"{ENTERPRISE_ORG} 可见的行",
    ):
        assert part in text
    assert text.index("local</span> → ") < text.index("jinan</span> → ") < text.index('">zibo</span>')
    assert 'hx-get="/network/transfers/list"' in text
    part = operator.request("GET", "/network/transfers/list?state=alive", {"HX-Request": "true"}).data.decode()
    assert (MOVING in part, DONE in part, "<html" in part) == (True, False, False)
    assert 'hx-get="/network/transfers/list?state=alive"' in part
    ended = operator.text("/network/transfers?state=done")
    assert "hx-get" not in ended  # what has ended is not asked for again
    assert "没有传输" in operator.text("/network/transfers?centre=jinan")
    rows = list(
        csv.DictReader(io.StringIO(operator.get("/network/transfers.csv?state=alive").data.decode("utf-8-sig")))
    )
    assert [(row["id"], row["route"], row["waiting"]) for row in rows] == [
        (MOVING, "local - jinan - zibo", "job_queued"),
        (PAUSED, "local - jinan - zibo", ""),
    ]


def test_a_transfer_moves_while_one_looks_and_is_shown_anew_once_it_has_ended(operator: Browserless) -> None:
    """The part asks again while it is on its way; one that has ended leads to the page, without a form to stop it."""
    assert f'hx-get="/network/transfers/{MOVING}/progress"' in operator.text(f"/network/transfers/{MOVING}")
    part = operator.request("GET", f"/network/transfers/{MOVING}/progress", {"HX-Request": "true"})
    assert 'value="37.0"' in part.data.decode()
    done = operator.request("GET", f"/network/transfers/{DONE}/progress", {"HX-Request": "true"})
    assert done.headers["hx-redirect"] == f"/network/transfers/{DONE}"
    text = operator.text(f"/network/transfers/{DONE}")
    assert ("5e5e5e5e5e5e5e5e…" in text, "hx-get" in text, "/cancel" in text) == (True, False, False)
    assert "大小还不知道" in operator.text(f"/network/transfers/{FAILED}")
    assert operator.get("/network/transfers/trf_00000000000000000000000009").status == 404
    assert operator.get("/network/transfers/nothing").status == 404


def test_an_operator_stops_a_transfer_with_a_reason(operator: Browserless, brain: FakeBrain) -> None:
    """An empty reason is refused beside the field; a transfer that has ended in words above the form."""
    assert operator.post(f"/network/transfers/{MOVING}/cancel", {"reason": "割接"}).status == 303
    assert brain.calls[-1] == ("cancel-transfer", (MOVING, "割接"))
    refused = operator.post(f"/network/transfers/{MOVING}/cancel", {"reason": ""})
    assert (refused.status, 'role="alert">不能为空' in refused.data.decode()) == (422, True)
    late = operator.post(f"/network/transfers/{DONE}/cancel", {"reason": "割接"})
    assert (late.status, "不能取消" in late.data.decode()) == (409, True)


def test_what_holds_a_transfer_up_is_told_apart() -> None:
    """No way at all; no room on the links now; its size not known; nobody has come for it; nothing."""
    item = {
        "state": "booked", "reserved": [], "finish_at": "2026-11-21T06:00:00Z", "rate_gbit_s": 1.0, "bytes": 5,
        "source": "a", "centre": "c", "path": [["a", "b"], ["b", "c"]],
    }  # fmt: skip
    span = {"from": "2099-01-01T00:00:00Z", "until": "2099-01-01T01:00:00Z", "gbit_s": 1.0}
    paused = shown(item | {"rate_gbit_s": 0, "reserved": [span]})
    holds = [
        shown(item | {"finish_at": None})["hold"], paused["hold"], shown(item | {"bytes": None})["hold"],
        shown(item)["hold"], shown(item | {"state": "moving"})["hold"], shown(item | {"state": "done"})["hold"],
    ]  # fmt: skip
    assert holds == ["no_way", "paused", "unread", "agent", "", ""]
    assert paused["resumes_at"] == span["from"]
    assert shown(item | {"path": [["b", "c"], ["a", "b"]][::-1]})["stops"] == ["a", "b", "c"]
    assert shown(item | {"path": []})["stops"] == ["a", "c"]


def test_copies_say_whether_they_may_be_used_and_are_forgotten_by_operators(
    operator: Browserless, owner: Browserless, brain: FakeBrain
) -> None:
    """A state that is not ready is explained; the checksum can be copied whole; the page is not there for others."""
    text = operator.text("/network/replicas")
    for part in (
        "5e5e5e5e5e5e…",
        f'data-copy="{SHA}"',
        "暂不使用，核对后重新登记",
        "搬机房",
        "注销后会重新传输",
        "2 小时前",
    ):
        assert part in text
    assert f'href="/datasets/{DATASET}"' in text
    assert "没有副本" in operator.text("/network/replicas?centre=qingdao")
    key = {"dataset": DATASET, "version": "47", "centre": "zibo", "view": "open"}
    assert operator.post("/network/replicas/remove", key).headers["location"] == "/network/replicas"
    assert brain.calls[-1] == ("remove-replica", (DATASET, "47", "zibo", "open"))
    rows = list(csv.DictReader(io.StringIO(operator.get("/network/replicas.csv").data.decode("utf-8-sig"))))
    assert [(row["centre"], row["state"], row["sha256"]) for row in rows][1] == ("jinan", "suspect", SHA)
    assert owner.get("/network/replicas").status == 404
    assert owner.get("/network/replicas.csv").status == 404
    assert "/network/replicas" not in owner.text("/network")


def test_rules_show_the_centres_that_they_leave_open(operator: Browserless, brain: FakeBrain) -> None:
    """Titles of centres; a rule that leaves none says so; a bad entry is told at its field with what was written."""
    text = operator.text("/network/rules")
    for part in ("370300 · jinan", "本机 · 淄博边缘中心", "没有中心", "读它的作业现在无处可去", "协议第 3 条"):
        assert part in text
    filled = operator.text(f"/network/rules?dataset={DATASET}")
    assert re.search(r'name="stays_in"[^>]*>370300\njinan</textarea>', filled)
    form = {"dataset": DATASET, "stays_in": "370300\r\nzibo", "reason": "协议"}
    assert operator.post("/network/rules", form).headers["location"] == "/network/rules"
    assert brain.calls[-1] == ("rule", (DATASET, {"stays_in": ["370300", "zibo"], "reason": "协议"}))
    refused = operator.post("/network/rules", form | {"stays_in": "370300\nc9"})
    told = refused.data.decode()
    assert (refused.status, 'role="alert">c9：没有这个算力中心' in told, 'value="协议"' in told) == (422, True, True)
    assert operator.post(f"/network/rules/{DATASET}/remove").headers["location"] == "/network/rules"
    assert brain.calls[-1] == ("remove-rule", DATASET)


def test_an_owner_is_told_when_a_class_binds_its_data_set(owner: Browserless) -> None:
    """A manager may set rules; what the API does not permit stands above the form."""
    assert "本组织设置的" in owner.text("/network/rules")
    refused = owner.post("/network/rules", {"dataset": "public.secret", "stays_in": "370300", "reason": "x"})
    assert (refused.status, "只由运营方设置" in refused.data.decode()) == (403, True)


def test_a_quote_lists_the_centres_from_the_nearest(operator: Browserless, owner: Browserless) -> None:
    """First who may have it by seconds, those out of reach after them, forbidden ones last; versions can be chosen."""
    text = operator.text(f"/network/quotes?dataset={DATASET}")
    table = text[text.index("<tbody>") :]
    order = [table.index(f'href="/centres/{name}"') for name in ("local", "zibo", "edge", "yantai")]
    assert order == sorted(order)
    for part in ("只留在 370300", "不用搬", "没有路径", "16.5", "200 MB", "不可以", "已有"):
        assert part in text
    assert 'value="8001"' in text
    assert "选择数据集" in operator.text("/network/quotes")
    assert "没有权限读取" in owner.text("/network/quotes?dataset=industry.orders")


def test_a_data_set_says_where_its_copies_lie_and_what_binds_it(operator: Browserless, owner: Browserless) -> None:
    """Holders, the rule in words, how many centres it may go to; a quote that fails leaves the page whole."""
    text = operator.text(f"/datasets/{DATASET}")
    part = text[text.index('id="copies"') :]
    for word in ("中心 local", "只留在 370300", "3 / 4 个", f"/network/quotes?dataset={DATASET}", "/network/replicas"):
        assert word in part
    assert "/network/replicas" not in owner.text(f"/datasets/{DATASET}")
    assert "没有权限读取" in operator.text("/datasets/public.enterprise")


def test_the_map_leads_to_links_and_centres_and_shows_transfers(operator: Browserless) -> None:
    """Transfers by link and direction: two over each of two links, of which one moves at 40 Gbit/s."""
    text = operator.text("/compute-map")
    for part in ('href="/network/links/jinan/zibo"', 'href="/centres/zibo"', "在途传输"):
        assert part in text
    drawn = json.loads(re.search(r'id="compute-map-data">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]
    lines = [(line["from"], line["to"], line["count"], line["gbit_s"]) for line in drawn["transfers"]]
    assert lines == [("local", "jinan", 2, 40.0), ("jinan", "zibo", 2, 40.0)]
