"""Reservations and maintenance of each centre over the coming days, drawn on the server; a table tells the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from brain_kit.clock import CHINA
from markupsafe import Markup, escape

from service_portal.portal.formats import moment

DAYS = 14
LEFT, WIDTH, ROW, TOP = 150.0, 1080.0, 24.0, 28.0
LEAST = 4.0


def lanes(
    items: Sequence[dict[str, Any]], start: datetime, end: datetime
) -> list[tuple[str, list[list[dict[str, Any]]]]]:
    """Live windows of each centre in rows without overlaps, by centre; only what is open between the two times."""
    by_centre: dict[str, list[list[dict[str, Any]]]] = {}
    for item in sorted(items, key=lambda item: (item["start_at"], item["id"])):
        begins, ends = moment(item["start_at"]), moment(item["end_at"])
        if begins is None or ends is None or ends <= start or begins >= end:
            continue
        rows = by_centre.setdefault(item["centre"], [])
        row = next((row for row in rows if row[-1]["end_at"] <= item["start_at"]), None)
        if row is None:
            rows.append([item])
        else:
            row.append(item)
    return sorted(by_centre.items())


def schedule(
    items: Sequence[dict[str, Any]], now: datetime, title: str, name: Callable[[dict[str, Any]], str]
) -> Markup:
    """A time line of the next days, a row or more for each centre; each bar is a link. Empty without windows.

    name: what a bar is called.
    """
    start = now.astimezone(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
    end = start + timedelta(days=DAYS)
    found = lanes(items, start, end)
    if not found:
        return Markup()
    height = TOP + ROW * sum(len(rows) for _, rows in found) + 6
    day = (WIDTH - LEFT) / DAYS

    def place(at: datetime) -> float:
        return LEFT + min(max((at - start) / timedelta(days=1), 0.0), DAYS) * day

    parts = [f'<svg class="windows" viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="group" aria-label="{escape(title)}">']
    for number in range(DAYS):
        x, at = LEFT + number * day, start + timedelta(days=number)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height:.0f}"/>')
        parts.append(f'<text class="day" x="{x + 4:.1f}" y="14">{at:%m-%d}</text>')
    y = TOP
    for centre, rows in found:
        parts.append(f'<text class="centre" x="0" y="{y + 16:.0f}">{escape(centre[:18])}</text>')
        for row in rows:
            parts += [_bar(item, place, y, name(item)) for item in row]
            y += ROW
        parts.append(f'<line class="grid" x1="0" y1="{y:.0f}" x2="{WIDTH:.0f}" y2="{y:.0f}"/>')
    x = place(now)
    parts.append(f'<line class="now" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height:.0f}"/></svg>')
    return Markup("".join(parts))  # noqa: S704


def _bar(item: dict[str, Any], place: Callable[[datetime], float], y: float, name: str) -> str:
    begins, ends = moment(item["start_at"]), moment(item["end_at"])
    assert begins is not None
    assert ends is not None
    x = place(begins)
    width = max(place(ends) - x, LEAST)
    x = min(x, WIDTH - width)
    words = escape(name)
    inside = f'<text x="{x + 5:.1f}" y="{y + 15:.0f}">{escape(name[: int(width / 13)])}</text>' if width > 40 else ""
    return (
        f'<a class="{escape(item["kind"])}" href="/reservations/{escape(item["id"])}" aria-label="{words}">'
        f'<title>{words}</title><rect x="{x:.1f}" y="{y + 2:.0f}" width="{width:.1f}" height="{ROW - 4:.0f}" rx="3"/>'
        f"{inside}</a>"
    )
