"""Small pictures drawn on the server as SVG: they need no script, scale with the text and carry real links."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

SPARK_WIDTH, SPARK_HEIGHT = 84.0, 30.0
CHAIN_WIDTH, ROW_HEIGHT, TOP = 1080.0, 30.0, 34.0
MOST_PER_STAGE = 14
WORST_FIRST = ("missing", "weak", "middle", "strong")


def spark(values: Sequence[float | None]) -> Markup:
    """A trend line with its last point marked; empty below two known values. Decoration: the figure says the number."""
    known = [(index, float(value)) for index, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return Markup()
    low, high = min(value for _, value in known), max(value for _, value in known)
    span = (high - low) or 1.0
    points = [
        (index / (len(values) - 1) * SPARK_WIDTH, SPARK_HEIGHT - 4 - (value - low) / span * (SPARK_HEIGHT - 8))
        for index, value in known
    ]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    x, y = points[-1]
    return Markup(  # noqa: S704
        '<svg class="spark" viewBox="0 0 84 30" aria-hidden="true">'
        f'<path d="{path}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="2.2"/></svg>'
    )


def meter(share: float) -> Markup:
    """A bar filled to a share between 0 and 1; the number stands beside it."""
    width = max(0.0, min(1.0, share)) * 100
    return Markup(  # noqa: S704
        '<svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect width="100" height="6" rx="2"/>'
        f'<rect width="{width:.1f}" height="6" rx="2"/></svg>'
    )


def course(stretches: Sequence[tuple[float, float, float, float]], capacity: float, title: str) -> Markup:
    """What a link carries over time, and below it what is reserved, as areas that fill their box.

    stretches: (start, end, limit, reserved); start and end between 0 and 1, limit and reserved up to `capacity`.
    A stretch is at least a thousandth wide, so that a short transfer can be seen. The dashed line is the capacity.
    """
    scale = 92 / (capacity or 1.0)
    parts = [
        '<svg class="course" viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title)}">'
    ]
    for kind, place in (("limit", 2), ("held", 3)):
        for stretch in stretches:
            height = stretch[place] * scale
            if height > 0:
                width = max(1.0, 1000 * (stretch[1] - stretch[0]))
                parts.append(
                    f'<rect class="{kind}" x="{1000 * stretch[0]:.2f}" y="{100 - height:.2f}" width="{width:.2f}" '
                    f'height="{height:.2f}"/>'
                )
    parts.append('<path class="top" vector-effect="non-scaling-stroke" d="M0 8H1000"/></svg>')
    return Markup("".join(parts))  # noqa: S704


@dataclass(frozen=True)
class Bar:
    """One bar: label under it, and two amounts stacked."""

    label: str
    accepted: float
    rejected: float


def bars(series: Sequence[Bar], title: str) -> Markup:
    """Stacked bars from a zero base that fill their box; labels stand outside, so that no text is stretched."""
    highest = max((bar.accepted + bar.rejected for bar in series), default=0.0) or 1.0
    parts = [
        f'<svg class="bars" viewBox="0 0 {len(series) * 10} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title)}">'
    ]
    for index, bar in enumerate(series):
        accepted, rejected = bar.accepted / highest * 96, bar.rejected / highest * 96
        if accepted:
            parts.append(_rect("ok", index * 10 + 1.5, 100 - accepted, accepted))
        if rejected:
            parts.append(_rect("no", index * 10 + 1.5, 100 - accepted - rejected, max(rejected, 1.2)))
    return Markup("".join(parts) + "</svg>")  # noqa: S704


def _rect(kind: str, x: float, y: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.2f}" width="7" height="{height:.2f}"/>'


@dataclass(frozen=True)
class Stage:
    """One column of a chain."""

    name: str
    nodes: list[dict[str, Any]]
    left_out: int


def stages(
    nodes: Sequence[dict[str, Any]], most: int = MOST_PER_STAGE, levels: dict[str, str] | None = None
) -> list[Stage]:
    """Nodes by stage in the order of the chain; of a long stage the `most` nodes with the most links stay.

    A chain that names no stages is grouped by level instead, the worst first; levels gives their names.
    """
    order: dict[str, float] = {}
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    by_level = levels is not None and all(not node.get("stage") for node in nodes)
    for node in nodes:
        name = str((levels or {}).get(node["level"], "") if by_level else node.get("stage") or "")
        place = WORST_FIRST.index(node["level"]) if by_level else node.get("stage_order") or 0
        groups[name].append(node)
        order[name] = min(order.get(name, 1e9), float(place))
    columns = []
    for name in sorted(groups, key=lambda name: (order[name], name)):
        shown = _best_linked(groups[name], most)
        columns.append(Stage(name, shown, len(groups[name]) - len(shown)))
    return columns


def _best_linked(members: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    if len(members) <= most:
        return members
    ranked = sorted(members, key=lambda node: (node.get("key_score") or 0, _degree(node)), reverse=True)
    keep = {id(node) for node in ranked[:most]}
    return [node for node in members if id(node) in keep]


def _degree(node: dict[str, Any]) -> int:
    return int(node.get("upstream") or 0) + int(node.get("downstream") or 0)


def chain(
    nodes: Sequence[dict[str, Any]],
    links: Sequence[dict[str, Any]],
    address: Callable[[str], str],
    words: dict[str, str],
    title: str,
) -> Markup:
    """The chain as columns of linked circles, sized by enterprises, marked by level; each circle is a link.

    address gives the page of a node id; words name the levels.
    """
    columns = [stage for stage in stages(nodes, levels=words) if stage.nodes]
    if not columns:
        return Markup()
    ordered = _untangle([stage.nodes for stage in columns], links)
    rows = max(len(column) for column in ordered)
    height = TOP + rows * ROW_HEIGHT + 6
    places = _places(ordered, height)
    largest = max(int(node.get("local_enterprises") or 0) for column in ordered for node in column) or 1
    parts = [
        f'<svg class="chain" viewBox="0 0 {CHAIN_WIDTH:.0f} {height:.0f}" role="group" aria-label="{escape(title)}">'
    ]
    step = CHAIN_WIDTH / len(ordered)
    for index, stage in enumerate(columns):
        parts.append(f'<text class="stage" x="{index * step + 8:.1f}" y="14">{escape(stage.name)}</text>')
    parts.extend(_link_paths(links, places))
    for column in ordered:
        for node in column:
            parts.append(_node_mark(node, places[node["id"]], largest, address, words, step))
    return Markup("".join(parts) + "</svg>")  # noqa: S704


def _untangle(columns: list[list[dict[str, Any]]], links: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Order each column by the mean place of its neighbours (barycentre heuristic, Sugiyama 1981), three sweeps."""
    near: dict[str, list[str]] = defaultdict(list)
    for link in links:
        near[link["from"]].append(link["to"])
        near[link["to"]].append(link["from"])
    rank = {node["id"]: index / max(len(column), 1) for column in columns for index, node in enumerate(column)}
    for _ in range(3):
        for index, column in enumerate(columns):

            def middle(node: dict[str, Any]) -> float:
                known = [rank[other] for other in near[node["id"]] if other in rank]
                return sum(known) / len(known) if known else rank[node["id"]]

            columns[index] = sorted(column, key=middle)
            rank.update({node["id"]: place / len(column) for place, node in enumerate(columns[index])})
    return columns


def _places(columns: list[list[dict[str, Any]]], height: float) -> dict[str, tuple[float, float]]:
    step = CHAIN_WIDTH / len(columns)
    room = height - TOP
    return {
        node["id"]: (index * step + 14, TOP + room * (place + 0.5) / len(column))
        for index, column in enumerate(columns)
        for place, node in enumerate(column)
    }


def _link_paths(links: Sequence[dict[str, Any]], places: dict[str, tuple[float, float]]) -> list[str]:
    heaviest = max((float(link.get("weight") or 1) for link in links), default=1.0) or 1.0
    paths = []
    for link in links:
        if link["from"] not in places or link["to"] not in places:
            continue
        (x1, y1), (x2, y2) = places[link["from"]], places[link["to"]]
        bend = (x2 - x1) * 0.45 if x2 != x1 else 60.0
        second = x2 - bend if x2 != x1 else x2 + bend
        width = 1 + 2.2 * float(link.get("weight") or 1) / heaviest
        paths.append(
            f'<path class="link" data-from="{escape(link["from"])}" data-to="{escape(link["to"])}" '
            f'stroke-width="{width:.1f}" d="M{x1:.1f} {y1:.1f}'
            f'C{x1 + bend:.1f} {y1:.1f} {second:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"/>'
        )
    return paths


def _node_mark(
    node: dict[str, Any],
    place: tuple[float, float],
    largest: int,
    address: Callable[[str], str],
    words: dict[str, str],
    step: float,
) -> str:
    x, y = place
    level = str(node["level"])
    radius = 4.5 + 5 * (int(node.get("local_enterprises") or 0) / largest) ** 0.5
    most = max(4, int((step - 40) / 13))
    name = str(node["name"])
    short = name if len(name) <= most else name[: most - 1] + "…"
    hint = f"{name} · {words.get(level, level)} · {node.get('local_enterprises') or 0}"
    return (
        f'<a class="{escape(level)}" href="{escape(address(node["id"]))}" data-node="{escape(node["id"])}">'
        f'<title>{escape(hint)}</title><circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>'
        f'<text x="{x + radius + 6:.1f}" y="{y + 4.5:.1f}">{escape(short)}</text></a>'
    )
