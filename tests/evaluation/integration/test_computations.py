"""Every computation on twelve enterprises, through the real query engine, against arithmetic done by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from evaluation.domain.computations import Scope, computations
from evaluation.domain.outcome import Outcome, judge, unregistered
from evaluation.domain.periods import Period, parse_period

from tests.data_hub.small_warehouse import OPERATOR, ReadingService
from tests.evaluation.small_cluster import CHAIN, LATER, MONTHS, REGION, USCC, datasets, fill, monthly

YEAR = parse_period("2025")
HERE = Scope(region=REGION, chain=CHAIN)
QUERIES = {name: item for name, item in computations().items() if item.source == "sql"}


class Cluster:
    """The small cluster behind the query API."""

    def __init__(self, service: ReadingService) -> None:
        self.service = service

    def row(self, name: str, period: Period = YEAR, scope: Scope = HERE) -> dict[str, Any]:
        """The only row of a computation's query."""
        query = QUERIES[name].query(period, scope)
        reply = self.service.query(OPERATOR, query.sql, parameters=query.parameters)
        assert reply.status == 200, (name, reply.content.decode())
        body = reply.json()
        assert body["rows"] == 1
        assert set(body["snapshots"]) == set(QUERIES[name].datasets)
        row: dict[str, Any] = body["items"][0]
        return row

    def outcome(self, name: str, period: Period = YEAR, scope: Scope = HERE) -> Outcome:
        """What the computation comes to."""
        return judge(QUERIES[name], period, scope, self.row(name, period, scope))

    @contextmanager
    def emptied(self, dataset: str) -> Iterator[None]:
        """The data set registered, without a single row."""
        states = self.service.warehouse.states[dataset]
        kept = states[-1]
        states.append(states[0])
        yield
        states.append(kept)

    @contextmanager
    def holding(self, dataset: str, rows: list[dict[str, Any]], *, replacing: bool = True) -> Iterator[None]:
        """The data set with other rows, or with these besides its own."""
        states = self.service.warehouse.states[dataset]
        kept = states[-1]
        if replacing:
            states.append(states[0])
        self.service.warehouse.commit(dataset, OPERATOR.org, rows)
        yield
        states.append(kept)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The twelve enterprises."""
    service = ReadingService(tmp_path_factory.mktemp("cluster"))
    fill(service)
    yield Cluster(service)
    service.close()


# What each comes to at the end of, or over, 2025; the arithmetic stands beside it.
EXPECTED: dict[str, float] = {
    # 12 x 1000 + 12 x 200 + 11 x 50 + 12 x 600 + 12 x 20 + 12 x 30 + 6 x 100 + 12 x 0 = 23350 x 10,000 CNY
    "revenue": 2.335,
    # 2024: 12 x (800 + 200 + 500) = 18000; 23350 / 18000 - 1
    "revenue_growth": 100 * (23350 / 18000 - 1),
    # revenue 23350; whole output of the counties 370303 and 370304: 40000 + 6700 = 46700
    "concentration": 50,
    # leaders 1 and 4 (11 is in Jinan): 12 x (1100 + 500) = 19200
    "leader_output": 1.92,
    # 1: 360/12000 = 3 %; 2: 2.5 %; 3: 5 %; 5: 7.2/240 = 3 %; 6: 2.7 %; 9: 10 %; 12 has no revenue; 4 tells no R&D
    "rd_intensive_enterprises": 4,
    # 1: 12000 t, 4: 10800 t, 6: 10000 t; 2 has 22000 t in eleven months, 5 has 10000 t in one; 10 is off the chain
    "monitored_emitters": 3,
    # revenue 12 x (1000 + 200) = 14400; inventory 12 x (500 + 100) / 12 = 600
    "inventory_turnover": 24,
    # 3 + 2 + 20 of firm 1, 1 of firm 3; brought-in skilled people, the struck-off firm and 2024 do not count
    "digital_talent": 26,
    # F1 and F2; F3 is a loan, F4 of 2024, F5 off the chain, F6 and F7 without date
    "social_investment": 3500.5,
    # J6, J7; J8 is the city's, J9 of 2024, J13 without date, J15 and J16 not agreed
    "research_projects": 2,
    # J1, J4, J12; J2 of 2024, J3 under negotiation, J5 ended, J14, J19 and J20 without date
    "chain_actions": 3,
    # firms 1 to 7
    "enterprises": 7,
    # firms 1, 2, 4; 9 is struck off
    "designated_enterprises": 3,
    # firms 1, 2, 4, 6
    "leading_enterprises": 4,
    # firm 1 (thrice listed), firms 3, 5 and 6; the Beijing exchange is not named, firm 4 is listed in 2026
    "listed_enterprises": 4,
    # firms 1 and 4; firm 3 in 2026, firm 2 at level 1, firm 9 struck off
    "dcmm_enterprises": 2,
    # DCMM 1, 2, 4; CDO 1, 5
    "data_governance": 4,
    # RD1, RD2, RD6
    "rd_platforms": 3,
    # IP1, IP2
    "core_patents": 2,
    # IP1, IP2, IP3, IP5
    "intellectual_property": 4,
    # T/1 (once), GB 2
    "standards": 2,
    # H1, H2, H4, H7, H9, H10, H12, H13; H11 is a product that nobody makes
    "honours": 8,
    # H2, H10, H12: from 2023-01-01 on
    "recent_honours": 3,
    # S1, S2, S3, S4, S6, S7 and the platforms A and B
    "platform_scenes_five": 8,
    # S2, S3, S4, S7 and the platforms A and B
    "platform_scenes_four": 6,
    # J1, J2, J4, J14
    "chain_projects": 4,
    # n1, n2, n3 of n1 to n4; p0 is only their heading
    "chain_completeness": 75,
}


def test_every_query_has_an_expected_value() -> None:
    """No computation goes untested."""
    assert EXPECTED.keys() == QUERIES.keys()


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_a_computation_comes_to_what_a_hand_calculation_says(cluster: Cluster, name: str) -> None:
    """The value, and a state without a reason."""
    outcome = cluster.outcome(name)

    assert outcome.value == pytest.approx(EXPECTED[name], rel=1e-12)
    assert (outcome.state, outcome.reason, outcome.missing_months) == ("computed", None, ())
    assert outcome.unit == QUERIES[name].unit


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_the_rows_behind_a_figure_can_be_listed(cluster: Cluster, name: str) -> None:
    """As many rows as the figure says it used, the same order each time."""
    query = QUERIES[name].rows_query(YEAR, HERE)
    replies = [cluster.service.query(OPERATOR, query.sql, parameters=query.parameters) for _ in range(2)]

    assert replies[0].status == 200, replies[0].content.decode()
    assert replies[0].json()["rows"] == cluster.outcome(name).rows_used
    assert replies[0].json()["items"] == replies[1].json()["items"]


PARTS: dict[str, dict[str, float]] = {
    "revenue_growth": {"本期营业收入": 2.335, "上年同期营业收入": 1.8},
    "concentration": {"范围内企业营业收入": 2.335, "所在区县整体产值": 4.67},
    "rd_intensive_enterprises": {"有研发费用与营业收入的企业": 7},
    "monitored_emitters": {"全期逐月入库的企业": 4, "达到 1 万吨标准煤但有缺月的企业": 2},
    "digital_talent": {"专业技能人才（培育）": 20, "高层次人才（培育）": 2, "高层次人才（引进）": 4},
    "social_investment": {"产业基金": 3000, "股权投资": 500.5},
    "chain_actions": {"强链": 1, "固链": 1, "延链": 0, "补链": 1},
    "enterprises": {"其中规上": 3},
    "leading_enterprises": {"单项冠军": 1, "专精特新": 1, "瞪羚": 1, "专精特新小巨人": 1},
    "listed_enterprises": {"主板": 1, "境外": 1, "创业板": 1, "中小板": 1, "科创板": 1},
    "data_governance": {"DCMM 贯标企业": 3, "CDO（总数据师）试点企业": 2},
    "honours": {"产业集群荣誉": 7, "产品荣誉": 1},
    "chain_projects": {"招商项目": 3, "数字经济总部": 1},
    "chain_completeness": {"零部件环节有企业": 2, "整机环节有企业": 1, "应用环节有企业": 0},
    "platform_scenes_five": {
        "国家级、省级工业互联网平台": 2, "精准化营销场景": 2, "网络化协同场景": 1, "个性化定制场景": 1,
        "服务化延伸场景": 1, "平台化设计场景": 1,
    },
    "platform_scenes_four": {
        "国家级、省级工业互联网平台": 2, "网络化协同场景": 1, "个性化定制场景": 1, "服务化延伸场景": 1,
        "平台化设计场景": 1,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_figure_is_broken_down(cluster: Cluster, name: str) -> None:
    """Each part as counted by hand."""
    assert {part.label: part.value for part in cluster.outcome(name).parts} == pytest.approx(PARTS[name])


def test_what_is_not_complete_is_said_beside_the_value(cluster: Cluster) -> None:
    """A silent firm (7), the gap of firm 3 in May, undated and uncountable rows."""
    assert cluster.outcome("revenue").notes == ("范围内 1 家企业期内没有数据", "企业首末月之间共缺 1 个企业月")
    assert cluster.outcome("rd_intensive_enterprises").notes == (
        "范围内 3 家企业期内没有数据",
        "1 家企业营业收入为零，算不出比例，没有计入",
    )
    assert cluster.outcome("rd_platforms").notes == ("1 行没有日期，已计入",)
    assert cluster.outcome("recent_honours").notes == ("2 行没有日期，没有计入",)
    assert cluster.outcome("research_projects").notes == ("1 行没有日期，没有计入",)
    assert cluster.outcome("social_investment").notes == ("2 行没有日期，没有计入",)
    assert cluster.outcome("designated_enterprises").notes == ("1 行没有标注规模，没有计入",)


def test_the_day_of_a_figure_is_not_later_than_its_data(cluster: Cluster) -> None:
    """Rows were pushed on 2026-01-01: a stock at the end of 2026 speaks of that day, one at the end of 2025 of 2025."""
    assert cluster.outcome("enterprises", parse_period("2026")).as_of == "2026-01-01"
    assert cluster.outcome("enterprises").as_of == "2025-12-31"
    assert cluster.outcome("revenue").as_of == "2025-12"


def test_a_period_that_is_not_over_or_not_covered_is_said_to_be(cluster: Cluster) -> None:
    """Rows were pushed on 2026-01-01, projects begin on 2024-05-05: both stand beside the values."""
    assert (
        cluster.outcome("enterprises", parse_period("2026")).notes[0]
        == "所选期间到 2026-12-31 为止，数据截至 2026-01-01"
    )
    undated = "3 行没有日期，没有计入"
    assert cluster.outcome("chain_actions", parse_period("2024")).notes == (
        "数据从 2024-05-05 开始，期内此前没有记录",
        undated,
    )
    assert cluster.outcome("chain_actions").notes == (undated,)


def test_stocks_follow_the_period_and_scope_the_region(cluster: Cluster) -> None:
    """In 2004 firms 1 and 7 (undated) exist of the chain; all regions and chains have 9 at the end of 2025."""
    assert cluster.outcome("enterprises", parse_period("2004")).value == 2
    assert cluster.outcome("enterprises", scope=Scope()).value == 9
    assert cluster.outcome("enterprises", scope=Scope(region="370303")).value == 4
    assert cluster.outcome("leader_output", scope=Scope(region="37")).value == pytest.approx(1.92 + 12 * 900 / 10000)
    assert cluster.outcome("chain_completeness", scope=Scope(region="37", chain=CHAIN)).value == 100


@pytest.mark.parametrize("name", ["revenue", "leader_output", "rd_intensive_enterprises", "monitored_emitters"])
def test_months_without_data_give_no_value_and_are_named(cluster: Cluster, name: str) -> None:
    """July 2025 to June 2026 lacks six months."""
    outcome = cluster.outcome(name, Period("2025-07", "2026-06"))

    assert (outcome.state, outcome.value, outcome.reason_code) == ("no_value", None, "missing_months")
    assert outcome.missing_months == tuple(f"2026-{month:02d}" for month in range(1, 7))
    assert outcome.reason == "缺 6 个月的数据：2026-01、2026-02、2026-03、2026-04、2026-05、2026-06；补报后再算"


def test_one_missing_month_in_the_middle_is_enough(cluster: Cluster) -> None:
    """Nobody reported August: no sum of eleven months is passed off as a year."""
    with cluster.holding("enterprise.enterprise_monthly", [row for row in monthly() if row["month"] != "2025-08"]):
        outcome = cluster.outcome("revenue")

    assert (outcome.value, outcome.reason_code, outcome.missing_months) == (None, "missing_months", ("2025-08",))


def test_twelve_months_across_two_years_are_said_to_be_no_year(cluster: Cluster) -> None:
    """July 2024 to June 2025: 6 x 1500 + 6 x (1000 + 200 + 600 + 20 + 30 + 100) + 5 x 50 = 20950."""
    outcome = cluster.outcome("revenue", Period("2024-07", "2025-06"))

    assert outcome.value == pytest.approx(2.095)
    assert outcome.notes[0] == "所选期间 2024-07 至 2025-06 是滚动 12 个月，不是文件所说的年度"


def test_counties_without_statistics_are_named(cluster: Cluster) -> None:
    """Nobody told the output of 370304: no share of a part; a year across two years has no statistics at all."""
    rows = [row for row in datasets()["public.region_yearly"] if row["region"] != "370304"]
    with cluster.holding("public.region_yearly", rows):
        outcome = cluster.outcome("concentration")
    across = cluster.outcome("concentration", Period("2024-07", "2025-06"))

    assert (outcome.value, outcome.reason) == (None, "缺 1 个地区 2025 年的统计：370304；补报后再算")
    assert (across.value, across.reason_code) == (None, "period_not_a_year")


def test_a_city_counts_once_with_its_counties(cluster: Cluster) -> None:
    """Firm 2 is registered with the city 370300: the city's 999999 hold its counties already."""
    rows = [row | ({"region": "370300"} if row["uscc"] == USCC[2] else {}) for row in datasets()["public.enterprise"]]
    with cluster.holding("public.enterprise", rows):
        assert cluster.outcome("concentration").value == pytest.approx(100 * 23350 / 999_999)


def test_a_growth_without_last_year_has_no_value(cluster: Cluster) -> None:
    """2023 is not there: the twelve months are named, no growth from nothing."""
    outcome = cluster.outcome("revenue_growth", parse_period("2024"))

    assert (outcome.value, outcome.reason_code) == (None, "missing_months")
    assert outcome.missing_months == tuple(f"2023-{month:02d}" for month in range(1, 13))


def test_a_quotient_tells_both_sides(cluster: Cluster) -> None:
    """Numerator and denominator of each quotient as counted by hand."""
    sides = {name: (cluster.outcome(name).numerator, cluster.outcome(name).denominator) for name in EXPECTED}

    assert {name: pair for name, pair in sides.items() if pair != (None, None)} == {
        "revenue_growth": (2.335, 1.8),
        "concentration": (2.335, 4.67),
        "inventory_turnover": (1.44, 0.06),
        "chain_completeness": (3, 4),
    }


MARKS = [
    ("public.enterprise", "scale", ["designated_enterprises"]),
    ("public.enterprise", "honour_level", ["leading_enterprises"]),
    ("public.project", "chain_action", ["chain_actions"]),
    ("public.project", "kind", ["research_projects", "chain_projects"]),
    ("public.patent", "state", ["core_patents", "intellectual_property"]),
    ("public.honour", "kind", ["honours", "recent_honours"]),
]


@pytest.mark.parametrize(("dataset", "column", "names"), MARKS)
def test_a_mark_that_nobody_has_set_gives_no_value(
    cluster: Cluster, dataset: str, column: str, names: list[str]
) -> None:
    """Where no row says what it is, none of them counts: not zero, but unknown, and the mark is named."""
    with cluster.holding(dataset, [row | {column: None} for row in datasets()[dataset]]):
        for name in names:
            outcome = cluster.outcome(name)
            assert (outcome.state, outcome.value, outcome.reason_code) == ("no_value", None, "no_rows"), name
            assert outcome.reason == f"没有一行标注了{QUERIES[name].mark}，不能计算；请补充后再算"


def test_rows_without_a_mark_are_left_out_and_counted(cluster: Cluster) -> None:
    """Patent IP1 without state, honour H1 without what is honoured, project J1 without kind."""
    changes = {"public.patent": ("IP1", "state"), "public.honour": ("H1", "kind"), "public.project": ("J1", "kind")}
    for dataset, (key, column) in changes.items():
        rows = [row | ({column: None} if key in row.values() else {}) for row in datasets()[dataset]]
        name = {"public.patent": "core_patents", "public.honour": "honours"}.get(dataset, "chain_projects")
        with cluster.holding(dataset, rows):
            outcome = cluster.outcome(name)
        assert outcome.value == EXPECTED[name] - 1
        assert outcome.notes[-1] == f"1 行没有标注{QUERIES[name].mark}，没有计入"


def test_a_zero_denominator_gives_no_value(cluster: Cluster) -> None:
    """Last year's revenue was zero in every month; the counties' whole output is zero."""
    rows = [row | {"revenue_10k_cny": row["revenue_10k_cny"] * (row["month"] in MONTHS)} for row in monthly()]
    regions = [row | {"output_10k_cny": 0} for row in datasets()["public.region_yearly"]]
    with cluster.holding("enterprise.enterprise_monthly", rows), cluster.holding("public.region_yearly", regions):
        for name in ("revenue_growth", "concentration"):
            outcome = cluster.outcome(name)
            assert (outcome.state, outcome.value, outcome.reason_code) == ("no_value", None, "zero_denominator"), name
            assert outcome.denominator == 0
            assert "分母为零" in (outcome.reason or "")
        assert cluster.outcome("inventory_turnover").value == 24


def test_a_chain_without_nodes_has_no_completeness(cluster: Cluster) -> None:
    """A chain that nobody has described."""
    outcome = cluster.outcome("chain_completeness", scope=Scope(region=REGION, chain="nowhere"))

    assert (outcome.value, outcome.reason_code, outcome.denominator) == (None, "zero_denominator", 0)


@pytest.mark.parametrize("name", [name for name, item in QUERIES.items() if item.scope == "enterprises"])
def test_a_scope_without_enterprises_has_no_value(cluster: Cluster, name: str) -> None:
    """A region where nobody is registered: never a zero, whatever is computed."""
    outcome = cluster.outcome(name, scope=Scope(region="3799", chain="nowhere"))

    assert (outcome.state, outcome.value) == ("no_value", None)
    assert outcome.reason_code == ("zero_denominator" if name == "chain_completeness" else "no_subjects")


def test_a_scope_without_leaders_says_so(cluster: Cluster) -> None:
    """County 370305 has no enterprise, the chain's county 370303 after firm 1 is left out has no leader."""
    outcome = cluster.outcome("leader_output", scope=Scope(region="370305"))

    assert outcome.reason == "所选范围（地区 370305，全部产业链）没有链主企业"


EMPTYABLE = [(name, dataset) for name, item in sorted(QUERIES.items()) for dataset in item.datasets]


@pytest.mark.parametrize("dataset", sorted({dataset for _, dataset in EMPTYABLE}))
def test_an_empty_data_set_gives_no_value_and_is_named(cluster: Cluster, dataset: str) -> None:
    """Every computation that reads it says so; nobody shows a zero."""
    with cluster.emptied(dataset):
        for name in [name for name, read in EMPTYABLE if read == dataset]:
            outcome = cluster.outcome(name)
            assert (outcome.state, outcome.value, outcome.reason_code) == ("no_value", None, "dataset_empty"), name
            assert dataset in (outcome.reason or "")


def test_products_are_not_needed_while_no_chain_is_chosen(cluster: Cluster) -> None:
    """A cluster that knows no chain still counts its enterprises: 1 to 7 and 10."""
    with cluster.emptied("industry.product"):
        assert cluster.outcome("enterprises", scope=Scope(region=REGION)).value == 8


def test_an_unregistered_data_set_is_refused_by_the_query_and_named(cluster: Cluster) -> None:
    """The query API answers with the table's name; the outcome says it in words."""
    contracts = cluster.service.warehouse.contracts
    kept = contracts.pop("public.dcmm_level")
    query = QUERIES["dcmm_enterprises"].query(YEAR, HERE)
    reply = cluster.service.query(OPERATOR, query.sql, parameters=query.parameters)
    contracts["public.dcmm_level"] = kept
    problem = reply.json()
    outcome = unregistered(QUERIES["dcmm_enterprises"], problem["table"])

    assert (reply.status, problem["code"], problem["table"]) == (422, "query_table_unknown", "public.dcmm_level")
    assert (outcome.value, outcome.reason_code) == (None, "dataset_unregistered")
    assert outcome.reason == "数据集 public.dcmm_level 没有登记或已撤销，不能计算；请登记数据合同并推送数据"


@pytest.mark.parametrize(
    ("name", "period"),
    [
        ("digital_talent", "2023"),
        ("social_investment", "2023"),
        ("social_investment", "2026"),
        ("research_projects", "2023"),
        ("chain_actions", "2026"),
        ("dcmm_enterprises", "2022"),
        ("rd_platforms", "2018"),
        ("honours", "2019"),
    ],
)
def test_records_say_nothing_of_a_time_that_they_do_not_reach(cluster: Cluster, name: str, period: str) -> None:
    """Before the first record, and for sums after the last: no value instead of a zero."""
    outcome = cluster.outcome(name, parse_period(period))

    assert (outcome.state, outcome.value) == ("no_value", None)
    assert outcome.reason_code == ("no_rows" if name == "digital_talent" else "outside_records")


def test_a_true_zero_is_a_value(cluster: Cluster) -> None:
    """DCMM certificates are known, and none of them is of level 2: the count is zero, not unknown."""
    rows = [row | {"level": 1} for row in datasets()["public.dcmm_level"]]
    with cluster.holding("public.dcmm_level", rows):
        outcome = cluster.outcome("dcmm_enterprises")

    assert (outcome.state, outcome.value, outcome.rows_used) == ("computed", 0, 0)


def test_of_two_owners_of_a_key_the_row_pushed_last_counts(cluster: Cluster) -> None:
    """The enterprise corrects its December to 0 the day after: 1000 less, and no month counted twice."""
    own = {"uscc": USCC[1], "month": "2025-12", "revenue_10k_cny": 0, "_pushed_at": LATER}
    with cluster.holding("enterprise.enterprise_monthly", [own], replacing=False):
        outcome = cluster.outcome("revenue")

    assert (outcome.value, outcome.rows_used) == (pytest.approx(2.235), 77 + 12)
