"""Chromium walks the real platform: sign-in, panorama, drill, SQL, repair of rejected rows, at 1920 and 390 px."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from brain_testing.browser import SWITCHES, ensure_chromium
from brain_testing.process import PlatformProcess
from industry_brain.demo import load
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.journey import Journey
from tests.e2e.record_examples import ENVIRONMENT
from tests.service_portal.portal.test_browser import WCAG

pytestmark = [pytest.mark.browser, pytest.mark.slow]

USCC = "91370300MA3C000045"


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """An embedded platform with a small demonstration cluster and an enterprise whose push had a bad row."""
    home: Path = tmp_path_factory.mktemp("walk")
    with PlatformProcess(home / "home", env=ENVIRONMENT) as running:
        journey = Journey(running.url, running.home)
        chain = load(journey.operator, running.home, enterprises=60)["chain"]
        panorama = f"/api/government-services/v1/chains/{chain}/panorama"
        deadline = time.monotonic() + 60
        while not journey.operator.get(panorama)["counts"].get("enterprises"):
            assert time.monotonic() < deadline, "the panorama was not built"
            time.sleep(0.2)
        api = journey.add_organisation("walker", USCC, "enterprise", "370303")
        lines = (
            f'{{"uscc":"{USCC}","month":"2026-09","revenue_10k_cny":10}}\n'
            f'{{"uscc":"{USCC}","month":"2026-13","revenue_10k_cny":20}}\n'
        )
        journey.push(api, "enterprise.enterprise_monthly", lines.encode(), "application/x-ndjson", mode="upsert")
        yield journey


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=ensure_chromium(), args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture(params=[1920, 390])
def page(request: pytest.FixtureRequest, chromium: Browser, walked: Journey) -> Iterator[Page]:
    """An operator who signed in by hand, on a desk and on a phone."""
    page = chromium.new_page(viewport={"width": request.param, "height": 900})
    page.goto(f"{walked.url}/sign-in")
    page.fill("[name=user]", walked.user)
    page.fill("[name=password]", walked.password)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{walked.url}/")
    yield page
    page.context.close()


@pytest.fixture(scope="module")
def ran(walked: Journey) -> str:
    """A batch run over the electricity of the cluster, and the indicators of its city computed."""
    answer = walked.operator.post(
        "/api/algorithm-dev/v1/components/energy-anomaly/versions/1.0.0/runs",
        {"dataset": "enterprise.meter_15min", "into": "enterprise.walk_anomaly"},
    )
    rows = "/api/evaluation/v1/indicator-sets/construction/indicators/L1P5/lineage"
    deadline = time.monotonic() + 120
    while (
        walked.operator.get(f"/api/algorithm-dev/v1/runs/{answer['id']}")["state"] != "succeeded"
        or not (walked.operator.get(rows, cluster="demo-city", period="2025")["computation"])
    ):
        assert time.monotonic() < deadline, "the run or the indicators did not end"
        time.sleep(0.5)
    return str(answer["id"])


def fits(page: Page) -> bool:
    """Whether the page is no wider than the screen."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_panorama_drills_to_node_and_enterprise(page: Page, walked: Journey) -> None:
    """A click leads from the panorama to a node and on to one of its enterprises; 合成数据 is written there."""
    page.goto(f"{walked.url}/panorama?view=table")
    expect(page.get_by_text("合成数据").first).to_be_visible()
    assert fits(page)

    nodes = walked.operator.get("/api/government-services/v1/chains")["items"]
    chain = nodes[0]["id"]
    model = walked.operator.get(f"/api/government-services/v1/chains/{chain}/panorama")
    node = max(model["nodes"], key=lambda item: item["local_enterprises"])
    page.locator(f'a[href*="/nodes/{node["id"]}"]').locator("visible=true").first.click()
    page.wait_for_url(re.compile("/nodes/"))
    expect(page.locator("h1")).to_contain_text(node["name"])
    assert fits(page)

    page.locator('a[href^="/enterprises/"]').locator("visible=true").first.click()
    page.wait_for_url(re.compile("/enterprises/"))
    assert fits(page)


COMPONENT_PAGES = (
    "/components",
    "/components/register",
    "/components/oee",
    "/components/energy-anomaly/versions/1.0.0/run?dataset=enterprise.meter_15min",
    "/approvals",
    "/runs",
    "/runs/{run}",
    "/indicators/construction/L1P5/rows?cluster=demo-city&period=2025",
)


def test_pages_of_components_and_indicators_meet_wcag_2_2_aa_and_fit(page: Page, walked: Journey, ran: str) -> None:
    """Axe finds nothing, at either width; these pages have no stand-in platform to be looked at with."""
    found = []
    for path in COMPONENT_PAGES:
        reply = page.goto(walked.url + path.format(run=ran))
        assert reply is not None
        assert reply.ok, path
        page.wait_for_load_state("networkidle")
        violations = Axe().run(page, options=WCAG).response["violations"]
        found += [(path, item["id"], item["nodes"][0]["html"][:160]) for item in violations]
        found += [] if fits(page) else [(path, "wider than the screen", "")]
    assert found == []


def test_sql_page_answers_with_a_table(page: Page, walked: Journey) -> None:
    """A question over a data set gives the count that the API gives."""
    sql = "SELECT count(*) AS n FROM public.enterprise"
    expected = walked.operator.post("/api/data-hub/v1/queries", {"sql": sql})["items"][0]["n"]
    page.goto(f"{walked.url}/sql")
    page.fill("#sql", sql)
    page.click("#run")
    expect(page.locator("#result table")).to_contain_text(f"{expected:,}" if expected >= 1000 else str(expected))
    assert fits(page)


def test_a_rejected_row_is_repaired_in_the_page(page: Page, walked: Journey) -> None:
    """The wrong value is marked; corrected and sent again it is committed."""
    receipt = walked.receipts["enterprise.enterprise_monthly"]
    page.goto(f"{walked.url}/pushes/{receipt['id']}")
    expect(page.get_by_text("2026-13").first).to_be_attached()
    wrong = page.locator("#repair input.wrong").first
    wrong.fill("2026-10")
    page.locator("#repair button[type=submit]").click()
    page.wait_for_url(lambda url: receipt["id"] not in url and "/pushes/" in url)
    pushed = page.url.rsplit("/", 1)[1].split("?")[0]
    final = walked.operator.get(f"/api/data-hub/v1/pushes/{pushed}", wait=30)
    assert (final["state"], final["accepted"], final["rejected"]) == ("committed", 1, 0)


def test_a_call_is_tried_as_oneself_and_with_another_key(page: Page, walked: Journey) -> None:
    """The real gateway answers both: the session of the person, and the pasted key of the enterprise."""
    page.goto(f"{walked.url}/catalogue?q=当前身份")
    page.locator('a[href="/catalogue/identity.me"]').locator("visible=true").first.click()
    page.wait_for_url("**/catalogue/identity.me")
    assert fits(page)
    expect(page.locator("#curl")).to_contain_text(f"{walked.url}/api/identity/v1/me")

    page.click("#try button[type=submit]")
    expect(page.locator("#tried-status")).to_have_text("200")
    expect(page.locator("#tried-body")).to_contain_text('"operator"')
    expect(page.locator("#tried-headers")).to_contain_text("x-request-id")
    page.fill("#try-key", walked.keys["walker"])
    page.click("#try button[type=submit]")
    expect(page.locator("#tried-body")).to_contain_text(USCC)
    page.goto(f"{walked.url}/catalogue/data_hub.query")
    page.fill("#try-body", '{"sql": "SELECT 6 * 7 AS n"}')
    page.keyboard.press("Control+Enter")
    expect(page.locator("#tried-status")).to_have_text("200")
    expect(page.locator("#tried-body")).to_contain_text('"n": 42')
    page.goto(f"{walked.url}/catalogue/identity.me")
    page.fill("#try-key", "bk_wrong")
    page.click("#try button[type=submit]")
    expect(page.locator("#tried-status")).to_have_text("401")
    expect(page.locator("#tried-body")).to_contain_text("key_unknown")
    assert fits(page)
