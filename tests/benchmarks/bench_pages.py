"""First contentful paint of the overview and the panorama in Chromium, with the demonstration cluster loaded."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from brain_testing.browser import SWITCHES, ensure_chromium
from brain_testing.process import PlatformProcess
from playwright.sync_api import Page, sync_playwright

PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
PAGES = {"overview": "/", "panorama": "/panorama"}
REPEATS = 5


def run(enterprises: int = 2000) -> dict[str, Any]:
    """Median first contentful paint of each page over five loads."""
    with tempfile.TemporaryDirectory() as folder, PlatformProcess(Path(folder) / "home") as platform:
        command = [sys.executable, "-m", "industry_brain", "demo", "--url", platform.url, "--home", str(platform.home)]
        subprocess.run([*command, "--json", "--enterprises", str(enterprises)], check=True, capture_output=True)
        credentials = json.loads((platform.home / "first-credentials.json").read_text())["operator"]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=ensure_chromium(), args=SWITCHES)
            page = browser.new_page(viewport={"width": 1920, "height": 1080})
            page.goto(f"{platform.url}/sign-in")
            page.fill("input[name=user]", credentials["user"])
            page.fill("input[name=password]", credentials["password"])
            page.press("input[name=password]", "Enter")
            page.wait_for_url(f"{platform.url}/")
            paints = {name: paint_s(page, platform.url + path) for name, path in PAGES.items()}
            browser.close()
    return {
        f"first contentful paint, {name}": {"value": value, "unit": "s", "bound": 0.5, "better": "less"}
        for name, value in paints.items()
    }


def paint_s(page: Page, url: str) -> float:
    """Median seconds to the first contentful paint."""
    values = []
    for _ in range(REPEATS):
        page.goto(url, wait_until="load")
        page.wait_for_function(PAINT)
        values.append(float(page.evaluate(PAINT)) / 1000)
    return statistics.median(values)
