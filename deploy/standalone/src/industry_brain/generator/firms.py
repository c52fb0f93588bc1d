"""The enterprises of the cluster: where they are, what they make, how large they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from brain_contracts.codes import make_uscc, regions

from industry_brain.generator.chain import Floats, Ints, away_counts, chain_nodes, county_points, home_counts
from industry_brain.generator.organisations import FIRST_SERIAL, HOME_CITY
from industry_brain.generator.tables import table_of, where

HOME_SHARE = 0.6
CHAIN_SHARE = 0.9
DESIGNATED_10K_CNY = 2000  # 规上: yearly main revenue of 20 million CNY and more
LEADERS = 8
DEMO_ENTERPRISES = 3
OTHER_INDUSTRIES = ("I6513", "I6560", "G5821", "G5920", "C2319", "C3360")
HOME_COUNTIES = {
    "370302": 13, "370303": 20, "370304": 16, "370305": 15, "370306": 14, "370321": 12, "370322": 5, "370323": 5,
}  # fmt: skip
CITY_WEIGHTS = {"370100": 5, "370200": 6, "370600": 5, "370700": 5, "370800": 3, "371300": 3}
STAGE_SIZES = {"原料": 1.8, "材料": 1.4, "零部件": 0.8, "整机": 1.3, "应用": 1.1}
SYLLABLES = "恒瑞泰鑫宏盛和佳华远达诚信德润源博创科智新力天海"
HONOURS = {
    "专精特新": 0.12, "瞪羚": 0.03, "专精特新小巨人": 0.02, "单项冠军": 0.012, "隐形冠军": 0.008, "准独角兽": 0.003,
}  # fmt: skip
BOARDS = ("主板", "创业板", "科创板", "北交所", "新三板", "境外")

Texts = npt.NDArray[np.object_]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Firms:
    """Enterprises as columns of equal length.

    node: position in `chain_nodes()`, -1 off the chain. annual: yearly revenue in 10,000 CNY at the first month.
    first, last: months of activity as positions in the window, last exclusive; state says why it ends.
    """

    uscc: Texts
    name: Texts
    short_name: Texts
    region: Texts
    industry: Texts
    node: Ints
    home: Bools
    annual: Floats
    leader: Bools
    established: npt.NDArray[np.datetime64]
    state: Texts
    honour: Texts
    listing: Texts
    first: Ints
    last: Ints

    def __len__(self) -> int:
        return len(self.uscc)

    @property
    def designated(self) -> Bools:
        """Above designated size 规上."""
        return np.asarray(self.annual >= DESIGNATED_10K_CNY)

    def demo(self) -> Ints:
        """The largest enterprises at home, which push their own data."""
        at_home = np.flatnonzero(self.home & (self.node >= 0) & (self.state == "存续") & (self.first == 0))
        return at_home[np.argsort(-self.annual[at_home], kind="stable")][:DEMO_ENTERPRISES]


def make_firms(seed: int, count: int, window: npt.NDArray[np.datetime64]) -> Firms:
    """`count` enterprises; window: first days of the months."""
    rng = np.random.default_rng([seed, 1])
    node, home = _places(rng, count)
    region = _regions(rng, home)
    annual = _sizes(rng, node)
    leader = _leaders(node, home, annual)
    annual[leader] *= 6
    established, first = _beginnings(rng, count, window)
    state, last = _endings(rng, leader, len(window), first)
    word, name = _names(seed, node)
    return Firms(
        uscc=np.array([make_uscc(code, FIRST_SERIAL + 1000 + n) for n, code in enumerate(region)], dtype=object),
        name=name,
        short_name=word,
        region=region,
        industry=_industries(rng, node),
        node=node,
        home=home,
        annual=annual,
        leader=leader,
        established=established,
        state=state,
        honour=_honours(rng, annual),
        listing=_listings(rng, annual),
        first=first,
        last=last,
    )


def _places(rng: np.random.Generator, count: int) -> tuple[Ints, Bools]:
    at_home = round(count * HOME_SHARE)
    counts = home_counts(round(at_home * CHAIN_SHARE)), away_counts(round((count - at_home) * CHAIN_SHARE))
    parts = [np.repeat(np.arange(len(each)), each) for each in counts]
    node = np.full(count, -1, dtype=np.int64)
    node[: len(parts[0])] = parts[0]
    node[at_home : at_home + len(parts[1])] = parts[1]
    home = np.arange(count) < at_home
    order = rng.permutation(count)
    return node[order], home[order]


def _regions(rng: np.random.Generator, home: Bools) -> Texts:
    known = regions()
    away = {
        code: CITY_WEIGHTS.get(known[code].parent, 1.0) for code in county_points() if known[code].parent != HOME_CITY
    }
    codes = np.empty(len(home), dtype=object)
    for chosen, weights in ((home, HOME_COUNTIES), (~home, away)):
        share = np.array(list(weights.values()), dtype=float)
        codes[chosen] = rng.choice(list(weights), int(chosen.sum()), p=share / share.sum()).tolist()
    return codes


def _sizes(rng: np.random.Generator, node: Ints) -> Floats:
    factors = np.array([STAGE_SIZES[item.stage] for item in chain_nodes()] + [0.5])
    return np.asarray(np.clip(rng.lognormal(np.log(2600), 1.25, len(node)) * factors[node], 60, 60_000))


def _leaders(node: Ints, home: Bools, annual: Floats) -> Bools:
    """The largest enterprise at home of each of the best filled essential nodes."""
    leader = np.zeros(len(node), dtype=bool)
    essential = [n for n, item in enumerate(chain_nodes()) if item.essential and item.stage in ("零部件", "整机")]
    filled = sorted(essential, key=lambda n: -int((home & (node == n)).sum()))[:LEADERS]
    for number in filled:
        members = np.flatnonzero(home & (node == number))
        if len(members):
            leader[members[np.argmax(annual[members])]] = True
    return leader


def _beginnings(
    rng: np.random.Generator, count: int, window: npt.NDArray[np.datetime64]
) -> tuple[npt.NDArray[np.datetime64], Ints]:
    """Days of establishment, and the first month of figures; four in a hundred begin inside the window."""
    before = window[0] - rng.integers(200, 12_000, count).astype("timedelta64[D]")
    new = rng.random(count) < 0.04
    start = rng.integers(0, len(window), count)
    inside = window[start] + rng.integers(0, 28, count).astype("timedelta64[D]")
    return np.where(new, inside, before), np.where(new, start, 0)


def _endings(rng: np.random.Generator, leader: Bools, months: int, first: Ints) -> tuple[Texts, Ints]:
    count = len(leader)
    ends = (rng.random(count) < 0.015) & ~leader & (first == 0)
    state = np.full(count, "存续", dtype=object)
    state[ends] = rng.choice(["注销", "迁出", "停业"], int(ends.sum())).tolist()
    last = np.full(count, months, dtype=np.int64)
    last[ends] = rng.integers(1, months + 1, int(ends.sum()))
    return state, last


def _names(seed: int, node: Ints) -> tuple[Texts, Texts]:
    """Fictitious names: each begins with 示例, and no two are the same."""
    size = len(SYLLABLES)
    words, names = [], []
    for n, place in enumerate(node.tolist()):
        number = (n * 7919 + seed * 131) % size**3
        word = "示例" + SYLLABLES[number // size**2] + SYLLABLES[number // size % size] + SYLLABLES[number % size]
        word += str(n // size**3) if n >= size**3 else ""
        product = chain_nodes()[place].name if place >= 0 else "产业服务"
        words.append(word)
        names.append(f"{word}{product}有限公司")
    return np.array(words, dtype=object), np.array(names, dtype=object)


def _industries(rng: np.random.Generator, node: Ints) -> Texts:
    codes = np.array([item.industry_class for item in chain_nodes()] + [""], dtype=object)[node]
    other = node < 0
    codes[other] = rng.choice(OTHER_INDUSTRIES, int(other.sum())).tolist()
    return codes


def _honours(rng: np.random.Generator, annual: Floats) -> Texts:
    bounds = np.cumsum(list(HONOURS.values()))
    drawn = np.searchsorted(bounds, rng.random(len(annual)))
    honour = np.array([*HONOURS, None], dtype=object)[drawn]
    honour[annual < DESIGNATED_10K_CNY] = None
    return honour


def _listings(rng: np.random.Generator, annual: Floats) -> Texts:
    """One in a hundred, among the largest."""
    listing = np.full(len(annual), None, dtype=object)
    largest = np.argsort(-annual, kind="stable")[: max(3, len(annual) // 40)]
    chosen = rng.permutation(largest)[: max(1, len(annual) // 100)]
    listing[chosen] = rng.choice(BOARDS, len(chosen)).tolist()
    return listing


def enterprise_table(seed: int, firms: Firms) -> pa.Table:
    """public.enterprise; positions are scattered around a point of the county, a sketch only."""
    rng = np.random.default_rng([seed, 2])
    points = np.array([county_points()[code] for code in firms.region])
    scattered = np.round(points + rng.normal(0, 0.02, points.shape), 4)
    cluster = where(firms.home & (firms.node >= 0), "示例高端装备产业集群")
    columns: dict[str, Any] = {
        "uscc": firms.uscc,
        "name": firms.name,
        "short_name": firms.short_name,
        "region": firms.region,
        "industry_class": firms.industry,
        "established_on": firms.established,
        "registered_capital_10k_cny": np.round(firms.annual * rng.uniform(0.1, 0.6, len(firms)), 0),
        "scale": where(firms.designated, "规上", "规下"),
        "is_chain_leader": firms.leader,
        "honour_level": firms.honour,
        "listing": firms.listing,
        "longitude": scattered[:, 0],
        "latitude": scattered[:, 1],
        "state": firms.state,
        "cluster": cluster,
    }
    return table_of("public.enterprise", columns)
