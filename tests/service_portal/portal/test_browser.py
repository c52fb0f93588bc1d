"""The portal in Chromium: walks, keyboard, narrow screens, accessibility, content security policy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from brain_testing.browser import SWITCHES, ensure_chromium
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, sync_playwright
from service_portal.portal.routes import all_routers

from tests.service_portal.portal.fake.centres import KEY
from tests.service_portal.portal.fake.data import FakeBrain
from tests.service_portal.portal.fake.datanet import MOVING
from tests.service_portal.portal.fake.evaluation import ASSESSMENT, PLACE
from tests.service_portal.portal.fake.network import OWNER, PACKED, SIMULATION, TENANT
from tests.service_portal.portal.fake.reservations import RESERVED

pytestmark = [pytest.mark.browser]

WIDE, NARROW = {"width": 1920, "height": 1080}, {"width": 390, "height": 844}
PAGES = [
    "/",
    "/panorama?view=graph",
    "/panorama?view=tree",
    "/panorama?view=table",
    "/panorama/equipment/nodes/n200",
    "/enterprises/91370100MA00000003",
    "/datasets",
    "/datasets/enterprise.enterprise_monthly",
    "/datasets/enterprise.enterprise_monthly/rows",
    "/datasets/enterprise.enterprise_monthly/push",
    "/pushes",
    "/pushes/psh_00000000000000000000000060",
    "/sql",
    "/lineage",
    "/lineage?dataset=enterprise.enterprise_monthly",
    "/datasets/enterprise.enterprise_monthly/rows?version=8001",
    "/indicators",
    f"/indicators/construction?{PLACE}",
    f"/indicators/construction/L1P1?{PLACE}",
    f"/indicators/construction/L1P2?{PLACE}",
    "/indicators/evaluation/weights",
    "/factories",
    f"/factories/{ASSESSMENT}",
    "/sources",
    "/jobs",
    "/jobs/new?from=job_failed",
    "/jobs/job_succeeded",
    "/jobs/job_failed",
    "/centres",
    "/centres/local",
    "/centres/zibo",
    "/centres/zibo/inventory",
    "/register-centre",
    "/reservations",
    f"/reservations/{RESERVED}",
    "/prices",
    "/tariffs",
    "/compute-map",
    "/utilisation",
    "/network",
    "/network/links/jinan/zibo",
    "/network/links/new?one=jinan&other=zibo",
    "/network/transfers",
    f"/network/transfers/{MOVING}",
    "/network/replicas",
    "/network/rules",
    "/network/quotes?dataset=enterprise.enterprise_monthly",
    "/settlement",
    "/lending",
    "/lending/loans/province-2026",
    "/lending/centres/county",
    "/policy",
    "/quotas",
    f"/settlement/2026-10/{TENANT}/{OWNER}",
    "/simulations",
    f"/simulations/{SIMULATION}",
    "/operations",
    "/sources/91370100MA3C00002W",
    "/events",
    "/audit",
    "/search?q=enterprise",
    "/catalogue",
    "/catalogue/data_hub.push",
]
# Of what passed axe tells one node a rule: describing all of them took longer than the checks.
TOLD = {"resultTypes": ["violations"]}
WCAG = TOLD | {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
COLOURS = TOLD | {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=ensure_chromium(), args=SWITCHES)
        yield browser
        browser.close()


class Seen:
    """A page with everything that the browser complained about."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page: Page = context.new_page()
        self.url = url
        self.complaints: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def go(self, path: str) -> Page:
        """Open a page of the portal that must be there and wait until it stands."""
        reply = self.page.goto(self.url + path)
        assert reply is not None, path
        assert reply.ok, (path, reply.status)
        self.page.wait_for_load_state("load" if path == "/events" else "networkidle")
        return self.page


def _seen(chromium: Browser, url: str, viewport: dict[str, int], state: StorageState | None = None) -> Seen:
    context = chromium.new_context(
        viewport=viewport,  # type: ignore[arg-type]
        color_scheme="light",
        reduced_motion="reduce",
        storage_state=state,
    )
    return Seen(context, url)


@pytest.fixture(scope="module")
def signed_in(chromium: Browser, portal_url: str) -> StorageState:
    """What a browser keeps once the operator has signed in through the form."""
    seen = _seen(chromium, portal_url, WIDE)
    page = seen.go("/sign-in")
    page.fill("[name=user]", "operator")
    page.fill("[name=password]", "right-password")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{portal_url}/")
    state = page.context.storage_state()
    page.context.close()
    return state


@pytest.fixture
def wide(chromium: Browser, portal_url: str, signed_in: StorageState) -> Iterator[Seen]:
    """An operator at 1920 px, with nothing that another test left in the browser."""
    seen = _seen(chromium, portal_url, WIDE, signed_in)
    yield seen
    seen.page.context.close()


@pytest.fixture
def narrow(chromium: Browser, portal_url: str, signed_in: StorageState) -> Iterator[Seen]:
    """An operator at 390 px, with nothing that another test left in the browser."""
    seen = _seen(chromium, portal_url, NARROW, signed_in)
    yield seen
    seen.page.context.close()


# Pages of services that the fake platform does not have; tests/e2e/test_walk.py looks at them on the real one.
ELSEWHERE = {
    "/components",
    "/components/register",
    "/components/{name}",
    "/components/{name}/versions/{version}/run",
    "/approvals",
    "/runs",
    "/runs/{run_id}",
    "/indicators/{set_id}/{code}/rows",
}
# Parts of pages that scripts ask for, downloads, and the page that has its own test.
NO_PAGES = re.compile(
    r"\.\{|\.csv$|/progress$|/log$|/file|/export|^/evidence|/list$|/status$|/figures$|/borders/|^/sql/|^/sign-in$"
)


def _page_routes(routers: Iterable[Any]) -> Iterator[str]:
    for router in routers:
        for route in router.routes:
            if hasattr(route, "original_router"):
                yield from _page_routes([route.original_router])
            elif "GET" in route.methods:
                yield route.path


def test_every_page_is_looked_at() -> None:
    """Each route that answers a view with a page has an address among those that axe and the narrow screen see."""
    seen = [path.partition("?")[0] for path in PAGES]
    unseen = {
        route
        for route in _page_routes(all_routers())
        if not NO_PAGES.search(route)
        and not any(re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", route), path) for path in seen)
    }
    assert unseen == ELSEWHERE


def _violations(page: Page, path: str, options: dict[str, Any] = WCAG) -> list[tuple[str, ...]]:
    result = Axe().run(page, options=options)
    return [
        (path, violation["id"], *(node["html"][:160] for node in violation["nodes"][:3]))
        for violation in result.response["violations"]
    ]


@pytest.fixture(scope="module")
def wide_for_all(chromium: Browser, portal_url: str, signed_in: StorageState) -> Iterator[Seen]:
    """An operator at 1920 px, one for all pages."""
    seen = _seen(chromium, portal_url, WIDE, signed_in)
    yield seen
    seen.page.context.close()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_meets_wcag_2_2_aa_in_both_themes_and_the_console_is_silent(wide_for_all: Seen, path: str) -> None:
    """Axe finds no violation of WCAG 2.2 A or AA; no style, script or connection is blocked, no script fails.

    Themes differ in colours alone, so the dark one is asked about these.
    """
    wide_for_all.complaints.clear()
    page = wide_for_all.go(path)
    found = _violations(page, path)
    page.emulate_media(color_scheme="dark")
    found += _violations(page, f"{path} dark", COLOURS)
    page.emulate_media(color_scheme="light")
    assert found == []
    assert wide_for_all.complaints == []


def test_sign_in_page_meets_wcag_2_2_aa(chromium: Browser, portal_url: str) -> None:
    """The page that everybody sees first has no violation either, also with its error shown."""
    context = chromium.new_context(viewport=WIDE)  # type: ignore[arg-type]
    page = Seen(context, portal_url).go("/sign-in")
    page.fill("[name=user]", "operator")
    page.fill("[name=password]", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    result = Axe().run(page, options=WCAG)
    context.close()
    assert [violation["id"] for violation in result.response["violations"]] == []


@pytest.fixture(scope="module")
def narrow_for_all(chromium: Browser, portal_url: str, signed_in: StorageState) -> Iterator[Seen]:
    """An operator at 390 px, one for all pages."""
    seen = _seen(chromium, portal_url, NARROW, signed_in)
    yield seen
    seen.page.context.close()


@pytest.mark.parametrize("path", PAGES)
def test_a_narrow_page_meets_wcag_2_2_aa_and_never_scrolls_sideways(narrow_for_all: Seen, path: str) -> None:
    """At 390 px no page is wider than the screen, and axe finds nothing."""
    page = narrow_for_all.go(path)
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert _violations(page, path) == []


def test_the_chart_of_a_result_breaks_no_content_security_policy(wide: Seen) -> None:
    """The console stays silent while SQL is run and drawn."""
    page = wide.go("/sql")
    page.click("#run")
    page.wait_for_selector("#result-data", state="attached")
    page.click("#tab-chart")
    page.wait_for_selector("#result-chart canvas")
    assert wide.complaints == []


def test_click_drills_from_overview_to_node_to_enterprise(wide: Seen) -> None:
    """A circle of the chain leads to its node, a row there to the enterprise with its chart."""
    page = wide.go("/")
    page.locator("svg.chain a.middle").first.click()
    page.wait_for_url("**/panorama/equipment/nodes/*")
    page.locator("#enterprises tbody a").first.click()
    page.wait_for_url("**/enterprises/*")
    page.wait_for_selector("[data-chart] canvas")


def test_click_on_the_force_graph_opens_the_node(wide: Seen) -> None:
    """The canvas answers clicks: a drawn node leads to that node's page."""
    page = wide.go("/panorama?view=graph")
    page.wait_for_selector("#graph[data-drawn] canvas")
    node, x, y = page.evaluate(
        """() => {
            const place = document.getElementById("graph");
            const chart = echarts.getInstanceByDom(place);
            const nodes = chart.getModel().getSeriesByIndex(0).getData();
            const [x, y] = chart.convertToPixel({ seriesIndex: 0 }, nodes.getItemLayout(7));
            const box = place.getBoundingClientRect();
            return [nodes.getId(7), box.x + x, box.y + y];
        }"""
    )
    page.mouse.click(x, y)
    page.wait_for_url(f"**/panorama/equipment/nodes/{node}", timeout=5000)


def test_keys_move_between_pages_search_and_close(wide: Seen) -> None:
    """`g` and a letter moves, `/` goes to the search field, Escape leaves it and closes dialogs."""
    page = wide.go("/")
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_url("**/datasets")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.tagName") == "BODY"
    page.keyboard.press("?")
    assert page.locator("#keys-help").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#keys-help").is_hidden()


def test_rail_folds_into_a_menu_at_390_px(narrow: Seen) -> None:
    """The navigation is hidden until the menu is opened, its links are 40 px high, Escape closes it."""
    page = narrow.go("/")
    assert page.locator("#menu").is_hidden()
    page.click("#menu-button")
    link = page.locator("#menu a").first
    box = link.bounding_box()
    assert box is not None
    assert box["height"] >= 40
    page.keyboard.press("Escape")
    assert page.locator("#menu").is_hidden()


def test_graph_gives_way_to_lists_by_stage_at_390_px(narrow: Seen) -> None:
    """No canvas is drawn; the nodes stand in lists under their stages, each a link."""
    page = narrow.go("/panorama?view=graph")
    assert page.locator("#graph").is_hidden()
    assert page.locator(".by-stage h3").all_inner_texts() == ["原料", "材料", "零部件", "整机", "应用"]
    assert page.locator(".by-stage a").count() == 40


def test_sql_runs_by_key_and_the_address_keeps_it(wide: Seen) -> None:
    """Ctrl+Enter runs; the address then restores the same SQL."""
    page = wide.go("/sql")
    page.fill("#sql", "SELECT month, revenue FROM enterprise.enterprise_monthly")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#result table")
    again = wide.page.context.new_page()
    again.goto(page.url)
    assert again.input_value("#sql") == "SELECT month, revenue FROM enterprise.enterprise_monthly"


def test_refused_sql_is_explained_in_place(wide: Seen) -> None:
    """The reason stands where the result would be, with its code and a request id."""
    page = wide.go("/sql")
    page.fill("#sql", "DROP TABLE x")
    page.click("#run")
    text = page.locator("#result [role=alert]").inner_text()
    assert "只允许 SELECT" in text
    assert "invalid_input" in text
    assert "req_" in text


def test_file_is_pushed_with_progress_and_leads_to_its_receipt(wide: Seen, brain: FakeBrain) -> None:
    """The file arrives as it was, with its media type and the chosen mode."""
    page = wide.go("/datasets/enterprise.enterprise_monthly/push")
    content = b"uscc,month,revenue\n91370100MA3C00002W,2026-10,5\n"
    page.set_input_files("[name=file]", {"name": "october.csv", "mimeType": "text/csv", "buffer": content})
    page.click("#upload button[type=submit]")
    page.wait_for_url("**/pushes/psh_new*")
    name, call = next(entry for entry in reversed(brain.calls) if entry[0] == "push")
    assert name == "push"
    assert call == {"dataset": "enterprise.enterprise_monthly", "mode": "upsert", "type": "text/csv", "body": content}


def test_theme_and_language_are_kept(wide: Seen) -> None:
    """Dark and English last over pages, and dark changes the ground."""
    page = wide.go("/")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("button[name=theme][value=dark]")
    page.wait_for_load_state("networkidle")
    page.click("button[name=locale][value=en]")
    page.wait_for_load_state("networkidle")
    page = wide.go("/datasets")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    assert page.locator("h1").inner_text() == "Data catalogue"
    assert page.evaluate("document.documentElement.lang") == "en"


def test_a_call_is_tried_in_the_page_by_key(wide: Seen) -> None:
    """Ctrl+Enter sends it; status, time and body stand below the form; the console stays silent."""
    page = wide.go("/catalogue/data_hub.push")
    page.fill("#try-body", '[{"month": "2026-11"}]')
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#tried:not([hidden])")
    assert page.inner_text("#tried-status") == "200"
    assert "ms" in page.inner_text("#tried-time")
    assert "2026-11" in page.inner_text("#tried-body")
    assert _violations(page, "tried") == []
    assert wide.complaints == []


def test_a_pasted_key_goes_to_the_gateway_and_to_nobody_else(wide: Seen) -> None:
    """The only request that carries it is the call itself; the portal's try address is not asked, nothing is kept."""
    page = wide.go("/catalogue/data_hub.push")
    sent: list[Any] = []
    page.on("request", lambda request: sent.append(request))
    page.fill("#try-key", "bk_test_secret")
    page.click("#try button[type=submit]")
    page.wait_for_selector("#tried:not([hidden])")
    assert [request.url.partition("?")[0].removeprefix(wide.url) for request in sent] == [
        "/api/data-hub/v1/datasets/enterprise.enterprise_monthly/pushes"
    ]
    assert sent[0].headers["authorization"] == "Bearer bk_test_secret"
    assert "cookie" not in sent[0].all_headers()
    assert (
        page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])").count("bk_test") == 0
    )


@pytest.mark.parametrize(
    ("path", "form", "key"),
    [
        ("/sources/91370100MA3C00002W", "form[action$='/keys']", "brk_only_once"),
        ("/centres/zibo", "form[action$='/keys']", KEY),
    ],
)
def test_loading_the_page_again_makes_no_other_key(wide: Seen, path: str, form: str, key: str) -> None:
    """A new key stands in the page until it is loaded again, which asks for the page and sends no form."""
    page = wide.go(path)
    if page.locator(f"{form} [name=name]").count():
        page.fill(f"{form} [name=name]", "MES")
    page.click(f"{form} button")
    page.wait_for_selector(f"#fresh-key pre:has-text('{key}')")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.reload()
    page.wait_for_load_state("networkidle")
    assert set(sent) == {"GET"}
    assert page.locator("#fresh-key").count() == 0
    assert wide.complaints == []


def test_the_map_and_the_schedule_are_drawn_without_a_complaint(wide: Seen) -> None:
    """A canvas each, on the shipped borders; a log that is chosen goes to the portal before the form."""
    page = wide.go("/compute-map")
    page.wait_for_selector("#compute-map[data-drawn=true] canvas")
    page = wide.go(f"/simulations/{SIMULATION}")
    assert page.locator("#gantts canvas").count() == 2
    page = wide.go(f"/simulations/{PACKED}")
    page.wait_for_selector("[data-chart=curve-data] canvas")
    page = wide.go("/simulations")
    page.select_option("#format", "openb")
    page.set_input_files("#log", files=[{"name": "p.csv", "mimeType": "text/csv", "buffer": b"name"}])
    page.click("#simulate button.main")
    assert page.inner_text("#simulate-state") == "请再选节点表。"
    page.set_input_files("#nodes", files=[{"name": "n.csv", "mimeType": "text/csv", "buffer": b"sn"}])
    page.click("#simulate button.main")
    page.wait_for_url("**/simulations/sim_*")
    page = wide.go("/simulations")
    page.select_option("#format", "swf")
    page.set_input_files("#log", files=[{"name": "a.swf", "mimeType": "text/plain", "buffer": b"; empty"}])
    page.click("#simulate button.main")
    page.wait_for_url("**/simulations/sim_*")
    assert wide.complaints == []


def test_transfers_move_while_one_looks_and_keep_the_focus(wide: Seen) -> None:
    """The table is asked for again; who stands on a link with the keyboard still stands there."""
    page = wide.go("/network/transfers")
    page.focus(f"#{MOVING}")
    with page.expect_response("**/network/transfers/list*"):
        pass
    page.wait_for_timeout(200)
    assert page.evaluate("document.activeElement.id") == MOVING
    assert wide.complaints == []


def test_a_click_on_the_map_opens_the_link(wide: Seen) -> None:
    """The middle of a dashed line leads to the page of that link."""
    page = wide.go("/compute-map")
    page.wait_for_selector("#compute-map[data-drawn=true] canvas")
    x, y = page.evaluate(
        """() => {
            const place = document.getElementById("compute-map");
            const data = JSON.parse(document.getElementById("compute-map-data").textContent);
            const chart = echarts.getInstanceByDom(place);
            const ends = [data.links[0].from, data.links[0].to];
            const [one, other] = ends.map((point) => chart.convertToPixel("geo", point));
            const box = place.getBoundingClientRect();
            return [box.x + (one[0] + other[0]) / 2, box.y + (one[1] + other[1]) / 2];
        }"""
    )
    page.mouse.click(x, y)
    page.wait_for_url("**/network/links/jinan/zibo", timeout=5000)
    assert wide.complaints == []
