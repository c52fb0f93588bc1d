"""Pages over plain HTTP: who sees what, what forms do, how failures are said."""

from __future__ import annotations

import csv
import io
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from brain_kit.auth import public_reason
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from openpyxl import load_workbook
from service_portal.portal.routes import all_routers
from service_portal.portal.routes.audit import auditor
from service_portal.portal.routes.evidence import received_evidence
from service_portal.portal.routes.register import received_artefact, received_card
from service_portal.portal.routes.repair import received_file
from service_portal.portal.routes.simulations import received_log
from service_portal.portal.shapes import dataset_of, numeric_columns, one_scale
from service_portal.portal.visit import operator as operator_of_platform
from service_portal.portal.visit import signed_in, submission

from tests.service_portal.portal.conftest import Browserless
from tests.service_portal.portal.fake.data import CONTRACTS, ENTERPRISE_ORG, FakeBrain

OPERATOR_PAGES = ["/events", "/audit", "/operations", "/simulations", "/lending"]
ALL_PAGES = [
    "/",
    "/panorama",
    "/datasets",
    "/pushes",
    "/sql",
    "/lineage",
    "/network",
    "/network/transfers",
    "/network/rules",
    "/network/quotes",
    "/sources",
    "/jobs",
    "/centres",
    "/compute-map",
    "/utilisation",
    "/settlement",
    "/reservations",
    *OPERATOR_PAGES,
]


@pytest.mark.parametrize("path", ALL_PAGES)
def test_visitors_are_sent_to_sign_in_and_back(visitor: Browserless, path: str) -> None:
    """Without a session every page answers with the sign-in page, which remembers the way."""
    reply = visitor.get(f"{path}?q=1")
    assert reply.status == 303
    assert reply.headers["location"].startswith("/sign-in")
    if path != "/":
        assert f"next={path.replace('/', '%2F')}%3Fq%3D1" in reply.headers["location"]


def test_wrong_password_is_refused_in_words(visitor: Browserless) -> None:
    """The page says so, keeps the name, and opens no session."""
    reply = visitor.sign_in(password="wrong")
    text = reply.data.decode()
    assert reply.status == 401
    assert "用户名或密码不正确" in text
    assert 'value="operator"' in text
    assert "brain_session" not in visitor.cookies


def test_too_many_attempts_say_how_long_to_wait(visitor: Browserless) -> None:
    """The wait that identity asks for stands on the page."""
    reply = visitor.sign_in("locked")
    assert reply.status == 429
    assert "30 秒后再试" in reply.data.decode()


def test_session_cookie_is_kept_from_scripts_and_other_sites(visitor: Browserless) -> None:
    """The cookie is HttpOnly and SameSite=Lax; over TLS it is Secure as well."""
    reply = visitor.sign_in()
    cookie = next(value for value in reply.headers.getlist("set-cookie") if value.startswith("brain_session="))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


def test_sign_out_ends_the_session_for_every_copy_of_the_cookie(operator: Browserless, brain: FakeBrain) -> None:
    """The old cookie opens nothing afterwards, and identity was told."""
    kept = dict(operator.cookies)
    assert operator.post("/sign-out").status == 303
    assert any(token.startswith("refresh-operator-") for token in brain.revoked)
    operator.cookies = kept
    assert operator.get("/datasets").status == 303


def test_many_requests_at_once_renew_without_spending_a_token_twice(
    operator: Browserless, portal_url: str, brain: FakeBrain
) -> None:
    """With tokens that end at once every request asks for a renewal, yet the sign-in lasts.

    The fake identity ends the sign-in when a refresh token comes twice, as the real one does.
    """
    brain.token_life_s = 0.05
    try:
        renewing = Browserless(portal_url)
        renewing.sign_in()
        issued = brain.issued
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: renewing.get("/datasets").status, range(64)))
    finally:
        brain.token_life_s = 300.0
    assert answers == [200] * 64
    assert brain.issued > issued
    assert "operator" not in brain.stolen


@pytest.mark.parametrize("path", ["/sign-out", "/sql/run", "/sources/organisations", "/audit/verify"])
def test_forms_without_their_token_do_nothing(operator: Browserless, path: str) -> None:
    """A form that this portal did not give out is refused."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert operator.request("POST", path, headers, body="q=SELECT+1").status == 403
    assert operator.request("POST", path, headers, body="form_token=guess&q=SELECT+1").status == 403


def test_form_from_another_site_is_refused_even_with_its_token(operator: Browserless) -> None:
    """The browser's own word about where a request comes from counts."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "cross-site"}
    body = f"form_token={operator.token()}"
    assert operator.request("POST", "/sign-out", headers, body=body).status == 403


def test_upload_without_token_is_refused(operator: Browserless) -> None:
    """A file needs the token in its header."""
    reply = operator.request("POST", "/datasets/public.enterprise/push", {"Content-Type": "text/csv"}, body=b"a,b\n")
    assert reply.status == 403


@pytest.mark.parametrize("path", OPERATOR_PAGES)
def test_pages_of_operators_do_not_exist_for_others(owner: Browserless, path: str) -> None:
    """An enterprise's manager gets 404 and no link in the rail."""
    assert owner.get(path).status == 404
    assert f'href="{path}"' not in owner.text("/datasets")


def test_replay_is_for_operators(owner: Browserless, brain: FakeBrain) -> None:
    """An enterprise's manager cannot replay a dead letter by address."""
    assert owner.post("/events/identity/dead/5/replay").status == 404
    assert ("replay", ("identity", 5)) not in brain.calls


def test_operator_replays_a_dead_letter(operator: Browserless, brain: FakeBrain) -> None:
    """The button of the event desk reaches the service that holds the letter."""
    assert operator.post("/events/data-hub/dead/5/replay").status == 303
    assert ("replay", ("data-hub", 5)) in brain.calls


@pytest.mark.parametrize("path", ["/sign-in", "/", "/nothing-here"])
def test_every_answer_carries_the_security_headers(operator: Browserless, path: str) -> None:
    """Nothing inline, nothing from elsewhere, no framing, nothing cached."""
    headers = operator.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


def test_pages_hold_no_inline_script_or_style(operator: Browserless) -> None:
    """No style attribute, no event attribute, and scripts are files or plain data."""
    for path in ALL_PAGES:
        text = operator.text(path)
        assert not re.search(r"<[^>]+\s(style|on[a-z]+)=", text), path
        for script in re.findall(r"<script([^>]*)>", text):
            assert "src=" in script or 'type="application/json"' in script, (path, script)


def test_unknown_page_is_said_in_words_with_a_request_id(operator: Browserless) -> None:
    """404 keeps the rail and names code and request."""
    reply = operator.get("/datasets/no.such")
    text = reply.data.decode()
    assert reply.status == 404
    assert "没有数据集 no.such" in text
    assert "not_found" in text
    assert re.search(r"req_[0-9A-Z]{26}", text)


def test_failed_part_leaves_the_rest_of_the_page(operator: Browserless, brain: FakeBrain) -> None:
    """When statistics are away the overview still shows the chain, and says what failed."""
    brain.failing.add("statistics")
    try:
        text = operator.text("/")
    finally:
        brain.failing.clear()
    assert "统计暂不可用" in text
    assert 'class="chain"' in text


def test_missing_figure_is_a_dash_with_its_reason(operator: Browserless) -> None:
    """Energy without data shows an em dash, never 0."""
    tile = re.search(r'<a class="figure"[^>]*>\s*<span class="name">综合能耗.*?</a>', operator.text("/"), re.S)
    assert tile is not None
    assert "—" in tile[0]
    assert "public.energy_monthly 还没有数据" in tile[0]
    assert ">0<" not in tile[0]


def test_synthetic_data_are_labelled_on_every_page_about_the_chain(operator: Browserless) -> None:
    """Overview, panorama, node and enterprise carry the badge."""
    assert "badge-synthetic" in operator.text("/pushes/psh_00000000000000000000000060")
    assert "badge-synthetic" not in operator.text("/audit")
    for path in ("/", "/panorama", "/panorama/equipment/nodes/n200", "/enterprises/91370100MA00000003"):
        assert "badge-synthetic" in operator.text(path), path


def test_synthetic_data_sets_are_labelled_wherever_their_rows_are(operator: Browserless) -> None:
    """In the catalogue, on the page, over the rows and beside the answer to SQL, whoever pushed last."""
    name, other = "enterprise.enterprise_monthly", "public.park"
    row = re.search(rf'<a href="/datasets/{name}">.*?</td>', operator.text("/datasets"), re.S)
    assert row is not None
    assert "badge-synthetic" in row[0]
    for path in (f"/datasets/{name}", f"/datasets/{name}/rows"):
        assert "badge-synthetic" in operator.text(path), path
    for sql, is_synthetic in (
        (f"SELECT * FROM {name}", True),
        ('SELECT * FROM "Enterprise" . "enterprise_monthly"', True),
        (f"SELECT * FROM {other}", False),
    ):
        answer = operator.post("/sql/run", {"q": sql, "id": "qry_1"}).data.decode()
        assert ("badge-synthetic" in answer) is is_synthetic, sql


def test_panorama_filters_are_in_the_address(operator: Browserless, brain: FakeBrain) -> None:
    """Level, stage and text narrow the table as a count over the nodes says."""
    weak = [node for node in brain.nodes if node["level"] == "weak"]
    rows = re.findall(r"<tr><td data-title", operator.text("/panorama?view=table&level=weak"))
    assert len(rows) == len(weak)
    parts = [node for node in brain.nodes if node["stage"] == "零部件"]
    text = operator.text("/panorama?view=table&stage=%E9%9B%B6%E9%83%A8%E4%BB%B6")
    assert len(re.findall(r"<tr><td data-title", text)) == len(parts)


def test_panorama_csv_holds_what_the_table_shows(operator: Browserless, brain: FakeBrain) -> None:
    """Same nodes, same order by measure, with a byte order mark for spreadsheets."""
    content = operator.get("/panorama.csv?chain=equipment&sort=measure").data
    assert content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    expected = sorted(brain.nodes, key=lambda node: -(node["measure"] or -1))
    assert [row["id"] for row in rows][:20] == [node["id"] for node in expected][:20]
    assert len(rows) == len(brain.nodes)


def test_rows_follow_the_pages_of_the_api(operator: Browserless, brain: FakeBrain) -> None:
    """The next link leads through all 2,000 rows, 100 at a time."""
    path, seen, pages = "/datasets/public.enterprise/rows?columns=uscc", 0, 0
    while path:
        text = operator.text(path)
        seen += len(re.findall(r"<tr><td", text))
        pages += 1
        following = re.search(r'rel="next" href="([^"]+)"', text)
        path = following[1].replace("&amp;", "&") if following else ""
    assert (seen, pages) == (len(brain.enterprises), 20)


def test_refused_filter_is_explained_above_the_table(operator: Browserless) -> None:
    """The page stays, with the API's sentence."""
    assert "筛选条件不能理解" in operator.text("/datasets/public.enterprise/rows?filter=nonsense")


def test_rows_as_xlsx_keep_numbers_and_text(operator: Browserless) -> None:
    """Revenue is a number in the sheet, a code stays text."""
    content = operator.get("/datasets/enterprise.enterprise_monthly/rows.xlsx?columns=uscc,revenue").data
    sheet = load_workbook(io.BytesIO(content)).active
    assert sheet is not None
    rows = list(sheet.iter_rows(values_only=True))
    assert rows[0] == ("uscc", "revenue")
    assert rows[1] == ("91370100MA00000000", 1000.5)


def test_dataset_page_shows_calls_that_fit_its_contract(operator: Browserless) -> None:
    """The push line names the address, the key's place and the example row."""
    text = operator.text("/datasets/enterprise.enterprise_monthly")
    assert "/api/data-hub/v1/datasets/enterprise.enterprise_monthly/pushes?mode=upsert" in text
    assert "Authorization: Bearer $BRAIN_KEY" in text
    assert str(CONTRACTS["enterprise.enterprise_monthly"]["example"]["revenue"]) in text


def test_rejected_rows_are_mended_and_pushed_anew(operator: Browserless, brain: FakeBrain) -> None:
    """The form holds the rows as they came; what is sent is the original columns with the mended values."""
    push = brain.pushes[-1]["id"] if not brain.pushes[-1]["rejected"] else None
    push = next(p["id"] for p in brain.pushes if p["rejected"] == 2)
    text = operator.text(f"/pushes/{push}")
    assert 'value="91370100BAD"' in text
    assert "统一社会信用代码应为 18 位" in text
    fields = {
        "column": ["uscc", "month", "revenue", "employees"],
        "row": ["3", "7"],
        "take": ["3", "7"],
        "c-3-0": ENTERPRISE_ORG,
        "c-3-1": "2026-09",
        "c-3-2": "12.5",
        "c-3-3": "8",
        "c-7-0": ENTERPRISE_ORG,
        "c-7-1": "2026-09",
        "c-7-2": "5",
        "c-7-3": "8",
    }
    reply = operator.post(f"/pushes/{push}/repair", fields)
    assert reply.status == 303
    assert reply.headers["location"].startswith("/pushes/psh_new")
    sent = next(call for name, call in reversed(brain.calls) if name == "push")
    assert sent["dataset"] == "enterprise.enterprise_monthly"
    assert sent["mode"] == "upsert"
    rows = list(csv.reader(io.StringIO(sent["body"].decode("utf-8-sig"))))
    assert rows == [
        ["uscc", "month", "revenue", "employees"],
        [ENTERPRISE_ORG, "2026-09", "12.5", "8"],
        [ENTERPRISE_ORG, "2026-09", "5", "8"],
    ]


def test_only_chosen_rows_are_pushed_anew(operator: Browserless, brain: FakeBrain) -> None:
    """A row whose box is empty stays out."""
    push = next(p["id"] for p in brain.pushes if p["rejected"] == 2)
    operator.post(
        f"/pushes/{push}/repair", {"column": ["a"], "row": ["3", "7"], "take": ["7"], "c-3-0": "x", "c-7-0": "y"}
    )
    sent = next(call for name, call in reversed(brain.calls) if name == "push")
    assert sent["body"].decode("utf-8-sig").split() == ["a", "y"]


def test_unfinished_push_asks_again_until_it_is_final(operator: Browserless, brain: FakeBrain) -> None:
    """The progress line of a waiting push polls; once final it does not, and tells the page to reload."""
    brain.pushes.insert(0, {**brain.pushes[-1], "id": "psh_waiting", "state": "received", "rejected": 0})
    assert "hx-trigger" in operator.text("/pushes/psh_waiting/progress")
    brain.pushes[0]["state"] = "committed"
    reply = operator.request("GET", "/pushes/psh_waiting/progress", {"HX-Request": "true"})
    assert "hx-trigger" not in reply.data.decode()
    assert reply.headers["hx-refresh"] == "true"
    brain.pushes.pop(0)


def test_query_export_streams_the_format_asked_for(operator: Browserless) -> None:
    """CSV of the API comes through unchanged, as a file."""
    reply = operator.post("/sql/export", {"q": "SELECT 1", "kind": "csv"}, page="/sql")
    assert reply.status == 200
    assert reply.data == b"month,revenue\n2026-09,10\n"
    assert "attachment" in reply.headers["content-disposition"]


def test_query_is_cancelled_by_its_id(operator: Browserless, brain: FakeBrain) -> None:
    """The id that the page chose reaches the API."""
    assert operator.post("/sql/cancel", {"id": "qry_abc"}, page="/sql").status == 204
    assert ("cancel", "qry_abc") in brain.calls


def test_figures_of_ones_own_data_tell_source_and_date(operator: Browserless, brain: FakeBrain) -> None:
    """Whoever gets no figures of the whole cluster sees counts of the own data, each with where and when."""
    brain.failing.add("overview")
    try:
        text = operator.text("/")
    finally:
        brain.failing.discard("overview")
    tiles = re.findall(r'<a class="figure".*?</a>', text, re.S)
    assert len(tiles) == 4
    assert all(re.search(r"数据汇聚 · \d\d-\d\d \d\d:\d\d", tile) for tile in tiles)


def test_a_data_set_is_described_in_the_language_of_the_page() -> None:
    """English where the contract has it, else what there is."""
    body = {"name": "public.x", "description": "企业", "description_en": "firms"}
    assert dataset_of(body, "zh").description == "企业"
    assert dataset_of(body, "en").description == "firms"
    assert dataset_of(body | {"description_en": ""}, "en").description == "企业"


@pytest.mark.parametrize(
    ("values", "digits"),
    [
        ([1967, 1891.4], 1),
        ([27.47, 285.9, 215.0], 2),
        ([3, 4], 0),
        ([None, "", 0.5], 3),
        ([], 0),
        ([0.0000002, 5], None),
    ],
)
def test_numbers_of_a_column_line_up(values: list[object], digits: int | None) -> None:
    """The decimals that the finest of them needs; where that is very many each stands for itself."""
    assert one_scale(values) == digits
    assert numeric_columns([{"a": value} for value in values if value != ""]) == ({"a": digits} if values else {})


def test_rules_of_columns_are_words(operator: Browserless) -> None:
    """No name of a rule in the contract's own language stands on the page."""
    text = operator.text("/datasets/enterprise.enterprise_monthly")
    assert "不小于 <code>0</code>" in text
    assert "统一社会信用代码</span>" in text
    assert not re.search(r">\s*(code_type|minimum|maximum|enum|pattern) ", text)


def test_new_key_is_shown_once(operator: Browserless) -> None:
    """The answer to the form holds the key; the page afterwards does not."""
    reply = operator.post(f"/sources/{ENTERPRISE_ORG}/keys", {"name": "MES"})
    assert "brk_only_once" in reply.data.decode()
    assert "brk_only_once" not in operator.text(f"/sources/{ENTERPRISE_ORG}")


def test_refused_organisation_keeps_what_was_typed(operator: Browserless) -> None:
    """The reason names the field; the form still holds the name."""
    reply = operator.post(
        "/sources/organisations", {"uscc": "X" * 18, "name": "某厂", "kind": "provider", "region": "370100"}
    )
    text = reply.data.decode()
    assert reply.status == 422
    assert "校验位应为 X" in text
    assert 'value="某厂"' in text


def test_audit_chain_is_verified_on_request(operator: Browserless) -> None:
    """The verdict stands on the page."""
    assert "链完整：1 条记录" in operator.post("/audit/verify").data.decode()


def test_search_finds_data_sets_nodes_and_enterprises(operator: Browserless) -> None:
    """One word may hit all three kinds."""
    text = operator.text("/search?q=%E4%BC%81%E4%B8%9A")
    assert "/datasets/public.enterprise" in text
    assert "/enterprises/" in text
    assert "/panorama/equipment/nodes/n301" in operator.text("/search?q=%E5%B7%A5%E4%B8%9A%E6%9C%BA%E5%99%A8%E4%BA%BA")


def test_static_files_are_compressed_and_kept_for_a_year(visitor: Browserless) -> None:
    """Every file that a page names is there, immutable, and small on the wire."""
    names = re.findall(r'(?:href|src)="(/static/[^"]+)"', visitor.text("/sign-in"))
    assert len(names) >= 4
    for name in names:
        reply = visitor.request("GET", name, {"Accept-Encoding": "gzip"}, decode_content=False)
        assert reply.status == 200
        assert reply.headers["content-encoding"] == "gzip"
        assert "immutable" in reply.headers["cache-control"]


def test_static_files_never_leave_their_folder(visitor: Browserless) -> None:
    """Only files of the release are served."""
    for path in ("/static/x/../app.py", "/static/x/%2e%2e/app.py", "/static/x/vendor/manifest.json"):
        assert visitor.get(path).status in (303, 404)


def test_enterprise_page_names_its_measures_with_units(operator: Browserless) -> None:
    """The chain's own title and unit stand at the figure, in the chart and in the table behind it."""
    text = operator.text("/enterprises/91370100MA00000003")
    assert "营业收入（万元）" in text
    assert '"name":"营业收入","unit":"万元"' in text


def test_every_route_is_guarded_or_says_why_not() -> None:
    """Each route of the portal asks for a session, or is marked public with its reason."""
    received = {received_file, received_artefact, received_card, received_evidence, received_log}
    guards = {signed_in, operator_of_platform, submission, auditor, *received}

    def calls(dependant: Dependant) -> set[object]:
        found: set[object] = {dependant.call}
        for inner in dependant.dependencies:
            found |= calls(inner)
        return found

    routes = [route for router in all_routers() for route in router.routes if isinstance(route, APIRoute)]
    assert len(routes) > 40
    open_routes = [
        route.path for route in routes if not (calls(route.dependant) & guards) and not public_reason(route.endpoint)
    ]
    assert open_routes == []


def test_sign_in_that_the_services_no_longer_take_ends(portal_url: str, brain: FakeBrain) -> None:
    """When an API says 401 the session is closed and the browser goes to the sign-in page."""
    client = Browserless(portal_url)
    client.sign_in()
    brain.failing.add("unauthenticated")
    try:
        assert client.get("/datasets/public.enterprise").headers["location"].startswith("/sign-in")
    finally:
        brain.failing.clear()
    assert client.get("/datasets/public.enterprise").status == 303


def test_the_operation_page_says_first_what_to_do(operator: Browserless, brain: FakeBrain) -> None:
    """Each finding has its number, a way to go on and an action in words; a service that is away is no zero."""
    text = operator.text("/operations")
    assert "2 件事需要处理" in text
    assert text.index("件事需要处理") < text.index("最慢的查询")
    assert re.search(r"推送久未提交</b> <span class=\"mono\">public\.enterprise</span> · 75 秒", text)
    assert "看提交进程是否在运行" in text
    assert "服务没有应答" in text
    assert "SELECT count(*) FROM public.enterprise" in text


def test_a_well_platform_is_said_in_one_line(operator: Browserless, brain: FakeBrain) -> None:
    """No list of findings, and designed empty states."""
    before = brain.operations
    brain.operations = before | {
        "status": "ok",
        "findings": [],
        "errors": [],
        "hub": before["hub"] | {"backlog": [], "slow_queries": []},
    }
    try:
        text = operator.text("/operations/figures")
    finally:
        brain.operations = before
    assert "平台正常" in text
    assert "没有积压" in text
    assert "没有出错的请求" in text
    assert "还没有查询" in text
