"""Pages of indicators and factories over plain HTTP, on the real evaluation service."""

from __future__ import annotations

import io
import json
import re
from urllib.parse import urlsplit

import pytest
from openpyxl import load_workbook

from tests.service_portal.portal.conftest import Browserless
from tests.service_portal.portal.fake.evaluation import ASSESSMENT, CLUSTER, PLACE, REPORT

SET = f"/indicators/construction?{PLACE}"
PAGES = [
    "/indicators",
    SET,
    f"/indicators/construction/L1P1?{PLACE}",
    f"/indicators/construction/L1P2?{PLACE}",
    "/indicators/evaluation/weights",
    "/factories",
    f"/factories/{ASSESSMENT}",
]


@pytest.mark.parametrize("path", PAGES)
def test_pages_hold_no_inline_script_or_style(operator: Browserless, path: str) -> None:
    """The content security policy would block them; visitors are sent to sign in."""
    text = operator.text(path)
    assert not re.search(r"<[^>]+\s(style|on[a-z]+)=", text)
    for script in re.findall(r"<script([^>]*)>", text):
        assert "src=" in script or 'type="application/json"' in script


@pytest.mark.parametrize("path", PAGES)
def test_visitors_are_sent_to_sign_in(visitor: Browserless, path: str) -> None:
    """No page of these is open."""
    assert visitor.get(path).status == 303


def test_the_table_is_grouped_as_the_document_prints_it(operator: Browserless) -> None:
    """Five groups, 34 rows, codes and units; a missing value is a dash with its reason, never 0."""
    text = operator.text(SET)
    assert re.findall(r'scope="rowgroup">([^<]+)<', text) == [
        "一、产业发展水平", "二、数据支撑能力", "三、技术创新能力", "四、数据价值释放能力", "五、运营保障水平",
    ]  # fmt: skip
    assert len(re.findall(r'<td data-title="编号"', text)) == 34
    row = re.search(r"<tr>\s*<td[^>]*>L5P1</td>.*?</tr>", text, re.S)
    assert row is not None
    assert "尚未填报" in row[0]
    assert ">0<" not in row[0]
    assert "badge-synthetic" in text


def test_a_set_without_codes_shows_no_codes(operator: Browserless) -> None:
    """The third document prints neither codes nor units: no column of codes, the platform's unit is marked as such."""
    text = operator.text(f"/indicators/industry-brain?{PLACE}")
    assert "<th>编号</th>" not in text
    assert "本平台口径" in text


def test_filters_are_in_the_address(operator: Browserless) -> None:
    """Only what waits for review; only what a word names."""
    rows = re.findall(r'<td data-title="编号"', operator.text(f"{SET}&show=waiting"))
    assert len(rows) == 1
    assert "产业规模" in operator.text(f"{SET}&q=L1P1")
    assert "没有符合条件的指标" in operator.text(f"{SET}&q=xyz")


def test_files_have_the_documents_columns(operator: Browserless) -> None:
    """XLSX through the portal is the file of the API."""
    reply = operator.get(f"/indicators/construction/export.xlsx?{PLACE}")
    sheet = load_workbook(io.BytesIO(reply.data)).active
    assert sheet is not None
    assert ["类型", "编号", "指标名称", "指标说明", "单位"] in [
        list(row[:5]) for row in sheet.iter_rows(values_only=True)
    ]
    assert "attachment" in reply.headers["content-disposition"]


def test_the_indicator_page_tells_where_its_value_comes_from(operator: Browserless) -> None:
    """Query, versions of the data sets, the chart's data, and the table behind it."""
    text = operator.text(f"/indicators/construction/L1P5?{PLACE}")
    assert "SELECT 1 AS value" in text
    assert "public.enterprise" in text
    chart = re.search(r'id="series-data">([^<]+)<', text)
    assert chart is not None
    # The chart begins with the first value; the table tells why the months before have none.
    assert json.loads(chart[1])["x"] == [f"2025-{month:02d}" for month in range(1, 13)]
    assert "2023-01" in text
    assert f"/indicators/construction/L1P5/rows?{PLACE}" in text.replace("&amp;", "&")


def test_a_target_is_set_and_refused_in_words(operator: Browserless) -> None:
    """A number is kept; a word is answered with what to write."""
    fields = {"period": "2025", "cluster": CLUSTER, "value": "1,200"}
    page = f"/indicators/construction/L1P6?{PLACE}"
    assert operator.post("/indicators/construction/L1P6/target", fields, page=page).status == 303
    assert "1,200" in operator.text(page)
    refused = operator.post("/indicators/construction/L1P6/target", fields | {"value": "很多"}, page=page)
    assert refused.status == 422
    assert "不是数值" in refused.data.decode()


def test_a_report_is_written_proved_and_submitted_in_the_page(operator: Browserless) -> None:
    """Draft, a file with the form's token, submission; its author finds no button to confirm."""
    page = f"/indicators/construction/L5P5?{PLACE}"
    fields = {"period": "2025", "cluster": CLUSTER, "answer": "number", "value": "500", "note": "见文件"}
    refused = operator.post("/indicators/construction/L5P5/reports", fields | {"value": "五百"}, page=page)
    assert refused.status == 422
    assert 'value="五百"' in refused.data.decode()
    assert operator.post("/indicators/construction/L5P5/reports", fields, page=page).status == 303
    found = re.search(r'data-evidence action="([^"]+)"', operator.text(page))
    assert found is not None
    headers = {"X-Form-Token": operator.token(), "Accept": "application/json"}
    sent = operator.request("POST", f"{found[1]}?name=a.pdf", headers, body=b"%PDF-1.7 evidence")
    assert sent.status == 201
    wrong = operator.request("POST", f"{found[1]}?name=a.exe", headers, body=b"MZ")
    assert (wrong.status, json.loads(wrong.data)["code"]) == (415, "evidence_type")
    assert operator.request("POST", f"{found[1]}?name=a.pdf", {}, body=b"%PDF").status == 403
    report = urlsplit(found[1]).path.rsplit("/", 1)[1]
    assert operator.post(f"/reports/{report}/act", {"action": "submit", "back": page}, page=page).status == 303
    text = operator.text(page)
    assert "待审核" in text
    section = text[text.index('id="reports"') :]
    assert 'value="confirm"' not in section
    link = re.search(rf'href="(/evidence/reports/{report}/[^"]+)"', section)
    assert link is not None
    assert operator.get(link[1]).data == b"%PDF-1.7 evidence"


def test_a_second_person_returns_and_confirms(operator: Browserless) -> None:
    """The report of another author: a return without a reason is refused in words, with one it goes back."""
    page = f"/indicators/construction/L1P2?{PLACE}"
    assert 'value="confirm"' in operator.text(page)
    fields = {"action": "return", "back": page}
    assert operator.post(f"/reports/{REPORT}/act", fields, page=page).status == 422
    assert operator.post(f"/reports/{REPORT}/act", fields | {"note": "缺章"}, page=page).status == 303
    assert "缺章" in operator.text(page)


def test_weights_say_whose_choice_they_are_and_keep_what_was_typed(operator: Browserless) -> None:
    """A weight that is no number comes back in its field; a good one is in the history."""
    page = "/indicators/evaluation/weights"
    text = operator.text(page)
    assert "本平台选定" in text
    version = re.search(r'name="version" value="(\d+)"', text)
    assert version is not None
    names = re.findall(r'name="(w-[^"]+)"', text)
    fields = dict.fromkeys(names, "1") | {"version": version[1], "note": "试"}
    refused = operator.post(page, fields | {names[0]: "重"}, page=page)
    assert refused.status == 422
    assert 'value="重"' in refused.data.decode()
    assert operator.post(page, fields | {names[0]: "3"}, page=page).status == 303
    assert "1 → 3" in operator.text(page)


def test_an_enterprise_sees_sets_without_values_and_its_own_factory(owner: Browserless) -> None:
    """No figure, no cluster; its own assessment with what is missing to the next level, and no form of a reviewer."""
    text = owner.text("/indicators/construction")
    assert "数值只向政府部门与运营方显示" in text
    assert "示例集群" not in text
    factory = owner.text(f"/factories/{ASSESSMENT}")
    assert "到 3 级还缺什么" in factory
    assert "reviewed-C01" not in factory
    assert owner.get("/indicators/construction/L1P1").status == 200


def test_a_reviewer_marks_single_criteria(operator: Browserless) -> None:
    """A verdict is saved and shown; the level follows it."""
    page = f"/factories/{ASSESSMENT}"
    text = operator.text(page)
    assert text.count('class="star') == 72 * 5 + 5
    version = re.search(r'name="version" value="(\d+)"', text)
    assert version is not None
    fields = {"version": version[1], "reviewed-C01": "no", "review-note-C01": "现场没有"}
    assert operator.post(f"{page}/marks", fields, page=page).status == 303
    after = operator.text(page)
    assert "现场没有" in after
    assert "到 1 级还缺什么" in after
    fields = {"version": str(int(version[1]) + 1), "reviewed-C01": "", "review-note-C01": ""}
    assert operator.post(f"{page}/marks", fields, page=page).status == 303


def test_the_inventory_is_offered_for_the_indicator_of_storage_and_compute(operator: Browserless) -> None:
    """One click fills the form in with its line, date and a warning; nothing is kept; other indicators offer none."""
    address = f"/indicators/construction/L2P1?{PLACE}"
    text = operator.text(address)
    assert "fill=inventory" in text
    assert "2 个中心：1600 TB" not in text
    filled = operator.text(f"{address}&fill=inventory")
    assert re.search(r'<textarea[^>]*name="text"[^>]*>2 个中心：1600 TB，0.8 EFLOPS</textarea>', filled)
    assert "数据日期 2026-09-30" in filled
    assert "2 个中心：1600 TB" not in operator.text(address)
    assert "fill=inventory" not in operator.text(f"/indicators/construction/L1P2?{PLACE}")
