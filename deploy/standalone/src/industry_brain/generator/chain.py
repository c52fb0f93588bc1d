"""The demonstration chain 高端装备: its nodes, links and how many enterprises work at each node."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

CHAIN_ID = "demo-equipment"
CHAIN_NAME = "高端装备产业链（示例）"
STAGES = ("原料", "材料", "零部件", "整机", "应用")
WEAK = "weak"
WEAK_ENTERPRISES = 2

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Node:
    """A node 环节. home, away: shares of enterprises in the home city and elsewhere; weak: few at home by design."""

    id: str
    name: str
    stage: str
    industry_class: str
    home: float
    away: float
    weak: bool
    kwh_per_10k: float
    growth: float
    essential: bool


@cache
def chain_nodes() -> tuple[Node, ...]:
    """The nodes from raw material to application."""
    return tuple(
        Node(
            id=row["node_id"],
            name=row["name"],
            stage=row["stage"],
            industry_class=row["industry_class"],
            home=0.0 if row["home"] == WEAK else float(row["home"]),
            away=float(row["away"]),
            weak=row["home"] == WEAK,
            kwh_per_10k=float(row["kwh_per_10k"]),
            growth=float(row["growth"]),
            essential=row["essential"] == "true",
        )
        for row in _rows("nodes.csv")
    )


@cache
def chain_links() -> tuple[tuple[str, str, float, str], ...]:
    """(from node, to node, weight, relation): goods flow from the first to the second."""
    return tuple((row["from"], row["to"], float(row["weight"]), row["relation"]) for row in _rows("links.csv"))


@cache
def county_points() -> dict[str, tuple[float, float]]:
    """Region to a point inside it (longitude, latitude), for a sketch."""
    return {row["region"]: (float(row["longitude"]), float(row["latitude"])) for row in _rows("county_points.csv")}


def home_counts(total: int) -> Ints:
    """Enterprises a node at home: weak nodes a fixed few, the rest by share; nodes without a share stay missing."""
    nodes = chain_nodes()
    few = WEAK_ENTERPRISES if total >= 250 else 1
    fixed = np.array([few if node.weak else 0 for node in nodes], dtype=np.int64)
    if fixed.sum() > total:
        fixed[:] = 0
    return fixed + allot(np.array([node.home for node in nodes]), total - int(fixed.sum()))


def away_counts(total: int) -> Ints:
    """Enterprises a node outside the home city."""
    return allot(np.array([node.away for node in chain_nodes()]), total)


def allot(weights: Floats, total: int) -> Ints:
    """Whole numbers proportional to the weights that add up to the total (largest remainder)."""
    exact = weights / weights.sum() * total
    counts: Ints = np.floor(exact).astype(np.int64)
    left = total - int(counts.sum())
    counts[np.argsort(-(exact - counts), kind="stable")[:left]] += 1
    return counts


def _rows(name: str) -> list[dict[str, str]]:
    text = files("industry_brain.generator").joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
