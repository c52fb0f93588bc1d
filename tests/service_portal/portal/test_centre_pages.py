"""The page of a computing centre and its forms: what it shows, to whom, what forms call, where refusals stand."""

from __future__ import annotations

import re

from tests.service_portal.portal.conftest import Browserless
from tests.service_portal.portal.fake.centres import KEY
from tests.service_portal.portal.fake.data import FakeBrain
from tests.service_portal.portal.test_compute_pages import island


def wrong(text: str, field: str) -> str:
    """The words that stand beside a field of a form."""
    found = re.search(rf'name="{field}"[^>]*aria-invalid="true"[^>]*>.*?class="wrong" role="alert">([^<]*)<', text)
    return found[1] if found else ""


def test_a_centre_shows_state_health_capacity_and_what_its_work_costs(operator: Browserless) -> None:
    """Stated figures with date and source; what is not known is a dash with its reason, not 0."""
    text = operator.text("/centres/zibo")
    stated = (
        "失联",
        "800",
        "2026-09-30 · 建设台账",
        "张店区",
        "40 / 100",
        "0.4",
        "100",
        "60",
        "省级骨干",
        "/centres/jinan",
        "/network/links/jinan/zibo",
    )
    costs = ("2026-01-31 · 机房实测", "0.120000", "现行：2026-01-01 08:00 起，通用", "CN-SD", "2026-09-30 · 电网因子")
    for part in (*stated, *costs, "/jobs?centre=zibo"):
        assert part in text, part
    assert len(island(text, "centre-used-data")["x"]) == 30
    chart = island(text, "centre-carbon-data")
    assert (len(chart["x"]), chart["series"][0]["values"][0], chart["x"][0]) == (168, 500.0, "11-01 08:00")
    local = operator.text("/centres/local")
    for part in (
        "slurm 41",
        "比平台快 12.5 秒",
        "偏差",
        "A100 × 2",
        "没有清单",
        "没有链路",
        "没有能耗系数",
        "没有逐时碳强度",
    ):
        assert part in local, part
    assert re.search(r"别人的作业</dt><dd>7</dd>", local)
    assert operator.get("/centres/nowhere").status == 404


def test_a_tenant_reads_a_centre_and_is_offered_no_form(owner: Browserless) -> None:
    """No key, no fence, no state, no inventory; their pages do not exist for others."""
    text = owner.text("/centres/zibo")
    assert "建设台账" in text
    for part in ("/centres/zibo/keys", "/centres/zibo/fence", "/centres/zibo/state", "/centres/zibo/inventory"):
        assert part not in text
    assert "/register-centre" not in owner.text("/centres")
    assert owner.get("/register-centre").status == 404
    assert owner.get("/centres/zibo/inventory").status == 404


def test_the_list_leads_to_each_centre_and_the_form(operator: Browserless) -> None:
    """Title and button are links."""
    text = operator.text("/centres")
    for part in ('href="/centres/local"', 'href="/centres/zibo"', 'href="/register-centre"'):
        assert part in text


def test_a_centre_is_registered_and_a_refusal_stands_beside_its_field(operator: Browserless, brain: FakeBrain) -> None:
    """Without an owner it is the caller's; what was typed is kept."""
    fields = {"id": "zibo-hpc", "title": "淄博超算", "kind": "region", "owner": ""}
    assert operator.post("/centres", fields).headers["location"] == "/centres/zibo-hpc"
    assert brain.calls[-1] == ("add-centre", fields | {"owner": None})
    reply = operator.post("/centres", fields | {"owner": "91370300MA3C00002Y"})
    text = reply.data.decode()
    assert (reply.status, wrong(text, "owner")) == (422, "没有登记过的机构")
    assert 'value="淄博超算"' in text
    taken = operator.post("/centres", fields | {"id": "zibo"})
    assert (taken.status, "已有名为 zibo 的中心" in taken.data.decode()) == (409, True)


def test_a_key_is_shown_once_with_a_line_for_each_engine(operator: Browserless, brain: FakeBrain) -> None:
    """The key stands in each line; the page without the form does not have it."""
    text = operator.post("/centres/zibo/keys").data.decode()
    assert brain.calls[-1] == ("centre-key", "zibo")
    for engine in ("local", "slurm", "ray", "kubernetes"):
        assert re.search(rf"BRAIN_KEY={KEY} brain agent --centre zibo --url http://[^<]*--engine {engine} ", text), (
            engine
        )
    assert KEY not in operator.text("/centres/zibo")


def test_a_centre_is_declared_lost_only_after_the_question_is_answered(operator: Browserless, brain: FakeBrain) -> None:
    """The form says what it means; unticked nothing is called; a centre that answers is refused in words."""
    assert "判为结果未知" in operator.text("/centres/zibo")
    assert "/centres/local/fence" not in operator.text("/centres/local")
    count = len(brain.calls)
    unticked = operator.post("/centres/zibo/fence")
    assert (unticked.status, "请先确认机器已关闭" in unticked.data.decode()) == (422, True)
    assert len(brain.calls) == count
    done = operator.post("/centres/zibo/fence", {"off": "yes"})
    assert (done.headers["location"], brain.calls[-1]) == ("/centres/zibo?fenced=3", ("fence", "zibo"))
    assert "已声明失效，3 次运行" in operator.text("/centres/zibo?fenced=3")
    refused = operator.post("/centres/local/fence", {"off": "yes"})
    assert (refused.status, "仍在应答" in refused.data.decode()) == (409, True)


def test_the_inventory_is_filled_in_with_what_is_stated_and_sent_as_numbers(
    operator: Browserless, brain: FakeBrain
) -> None:
    """Empty fields are left out, not 0."""
    text = operator.text("/centres/zibo/inventory")
    for part in ('name="region" value="370303"', 'name="storage_tb" value="800"', 'name="eflops_fp16" value="0.4"'):
        assert part in text
    fields = {"region": "370303", "storage_tb": "1,200", "eflops_fp16": "0.5", "eflops_fp64": "", "racks_built": "40",
              "as_of": "2026-09-30", "source": "台账"}  # fmt: skip
    assert operator.post("/centres/zibo/inventory", fields).headers["location"] == "/centres/zibo"
    name, body = brain.calls[-1][1]
    assert (name, body["storage_tb"], body["eflops"]) == ("zibo", 1200.0, {"fp16": 0.5})
    assert (body["racks_built"], body["racks_planned"], body["dedicated"]) == (40, None, False)
    typed = operator.post("/centres/zibo/inventory", fields | {"storage_tb": "viele", "racks_built": "4.5"})
    text = typed.data.decode()
    assert (typed.status, wrong(text, "storage_tb"), wrong(text, "racks_built")) == (
        422,
        "应为数值，如 0.4",
        "应为整数，如 40",
    )
    assert 'value="viele"' in text
    refused = operator.post("/centres/zibo/inventory", fields | {"region": "999999"}).data.decode()
    assert (wrong(refused, "region"), wrong(refused, "eflops_fp16")) == ("没有这个行政区划", "太大")


def test_state_changes_lead_back_to_where_they_were_made(operator: Browserless, brain: FakeBrain) -> None:
    """From the centre's page to it, from the list to the list."""
    at_centre = operator.post("/centres/local/state", {"state": "drained", "back": "centre"})
    assert (at_centre.headers["location"], brain.calls[-1]) == ("/centres/local", ("centre", ("local", "", "drained")))
    assert operator.post("/centres/local/state", {"state": "open"}).headers["location"] == "/centres"
