"""The panorama kept by events from the data hub: equal to a rebuild, and shown as far as the caller may see."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from brain_contracts.codes import make_uscc
from brain_kit.client import Reply
from brain_kit.clock import utc_now
from brain_kit.problems import NotFound, Problem
from brain_kit.service import Platform
from brain_kit.settings import PlatformSettings
from government_services import store
from government_services.clients import Warehouse
from government_services.domain.definition import ChainDefinition
from government_services.service import chains, refresh
from identity.main import bootstrap
from industry_brain.wiring import ROLES, build_service, start_workers

CHAIN = "small"
DEFINITION: dict[str, Any] = {
    "name": "小链",
    "region": "3703",
    "compare_region": "37",
    "nodes": {"dataset": "industry.chain_node", "id": "node_id", "name": "name", "where": "chain_id = 'small'"},
    "links": {
        "dataset": "industry.chain_edge",
        "from": "from_node_id",
        "to": "to_node_id",
        "weight": "weight",
        "where": "chain_id = 'small'",
    },
    "enterprises": {"dataset": "public.enterprise", "id": "uscc", "name": "name", "region": "region"},
    "members": {"dataset": "industry.product", "enterprise": "uscc", "node": "node_id", "where": "chain_id = 'small'"},
    "measures": {
        "revenue": {
            "dataset": "enterprise.enterprise_monthly",
            "enterprise": "uscc",
            "value": "revenue_10k_cny",
            "month": "month",
            "unit": "万元",
        }
    },
}
FIRMS = [make_uscc("370303", number) for number in range(8)] + [make_uscc("370102", number) for number in range(8, 12)]


@dataclass
class World:
    """Identity, data hub and government services in one process, called with the tokens of several organisations."""

    platform: Platform
    tokens: dict[str, str] = field(default_factory=dict)

    def call(self, who: str, service: str, method: str, path: str, **options: Any) -> Any:
        """One call as an organisation."""
        reply: Reply = self.platform.client(service).request(method, path, token=self.tokens[who], **options)
        return reply.json()

    def government(self, who: str, path: str) -> Any:
        """A GET at government-services."""
        return self.call(who, "government-services", "GET", path)

    def push(self, who: str, dataset: str, rows: list[dict[str, Any]], mode: str = "upsert") -> None:
        """Pushes rows and waits until they are committed."""
        body = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
        receipt = self.call(
            who,
            "data-hub",
            "POST",
            f"/v1/datasets/{dataset}/pushes",
            params={"mode": mode, "wait": 30},
            content=body,
            headers={"content-type": "application/x-ndjson"},
        )
        assert (receipt["state"], receipt["rejected"]) == ("committed", 0), receipt

    def add(self, name: str, uscc: str, kind: str) -> None:
        """Registers an organisation and keeps a token of its key."""
        body = {"uscc": uscc, "name": name, "kind": kind, "region": "370300"}
        self.call("operator", "identity", "POST", "/v1/organisations", json=body)
        key = self.call("operator", "identity", "POST", "/v1/keys", json={"org": uscc, "name": "test"})["key"]
        self.tokens[name] = self.token_of(key)

    def token_of(self, key: str) -> str:
        """The token that the gateway would forward for a key."""
        client = self.platform.client("identity")
        token: str = client.request("POST", "/internal/credentials/verify", json={"api_key": key}).json()["token"]
        return token

    def settled(self) -> dict[str, Any]:
        """The panorama once every commit has reached it: a rebuild then finds nothing to change."""
        deadline = time.monotonic() + 30
        while True:
            answer = self.call("operator", "government-services", "POST", f"/v1/chains/{CHAIN}/rebuild")
            if answer["same"]:
                panorama: dict[str, Any] = self.government("operator", f"/v1/chains/{CHAIN}/panorama")
                return panorama
            assert time.monotonic() < deadline, "the model kept by events never equals the rebuild"
            time.sleep(0.3)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The services with a chain of four nodes, twelve firms and their products."""
    platform = Platform(PlatformSettings(home=tmp_path_factory.mktemp("government"), token_lifetime_s=3600))
    runtimes = [build_service(platform, name) for name in ("identity", "data-hub", "government-services")]
    credentials = bootstrap(platform)
    assert credentials is not None
    workers = start_workers(runtimes, ROLES)
    built = World(platform)
    built.tokens["operator"] = built.token_of(credentials.api_key)
    built.add("bureau", make_uscc("370300", 900, registrar="11"), "department")
    built.add("provider", make_uscc("370300", 901), "provider")
    built.add("firm", FIRMS[0], "enterprise")
    nodes = [{"chain_id": CHAIN, "node_id": f"n{number}", "name": f"环节{number}"} for number in range(4)]
    built.push("bureau", "industry.chain_node", nodes)
    pairs = [("n0", "n1"), ("n1", "n2"), ("n2", "n3"), ("n1", "n3")]
    links = [{"chain_id": CHAIN, "from_node_id": a, "to_node_id": b, "weight": 1} for a, b in pairs]
    built.push("bureau", "industry.chain_edge", links)
    firms = [{"uscc": uscc, "name": f"示例{number}", "region": uscc[2:8]} for number, uscc in enumerate(FIRMS)]
    built.push("bureau", "public.enterprise", firms)
    products = [product(uscc, number % 3) for number, uscc in enumerate(FIRMS)]
    built.push("bureau", "industry.product", products)
    built.call("operator", "government-services", "PUT", f"/v1/chains/{CHAIN}", json=DEFINITION)
    yield built
    workers.stop(5)
    platform.close()


def product(uscc: str, node: int) -> dict[str, Any]:
    """A product that puts a firm at a node."""
    return {"uscc": uscc, "product_id": f"P{node}", "name": "产品", "chain_id": CHAIN, "node_id": f"n{node}"}


def test_the_model_kept_by_events_equals_a_rebuild_after_random_pushes(world: World) -> None:
    """Fifteen pushes of measures, products and firms by two owners; the counts are those of a plain dictionary."""
    chance = random.Random(5)
    at: dict[str, set[int]] = {uscc: {number % 3} for number, uscc in enumerate(FIRMS)}
    for _ in range(15):
        uscc = chance.choice(FIRMS)
        kind = chance.choice(["month", "product", "leave"])
        if kind == "month":
            rows = [
                {"uscc": uscc, "month": f"2026-{month:02d}", "revenue_10k_cny": chance.randint(1, 99)}
                for month in (1, 2, 3)
            ]
            world.push("bureau", "enterprise.enterprise_monthly", rows)
        elif kind == "product":
            node = chance.randrange(3)
            at[uscc].add(node)
            world.push("bureau", "industry.product", [product(uscc, node)])
        elif at[uscc]:
            node = at[uscc].pop()
            world.push("bureau", "industry.product", [{"uscc": uscc, "product_id": f"P{node}"}], mode="delete")

    panorama = world.settled()

    local = [sum(node in at[uscc] for uscc in FIRMS if uscc[2:8] == "370303") for node in range(4)]
    assert [node["local_enterprises"] for node in panorama["nodes"]] == local
    assert panorama["nodes"][3]["level"] == "missing"
    assert panorama["counts"]["links"] == 4


def test_the_row_pushed_last_counts_once_when_two_owners_push_the_same_key(world: World) -> None:
    """The bureau's and the firm's own row of a month: the later one counts, not the sum."""
    uscc = FIRMS[0]
    world.push("bureau", "enterprise.enterprise_monthly", [{"uscc": uscc, "month": "2026-04", "revenue_10k_cny": 100}])
    world.push("firm", "enterprise.enterprise_monthly", [{"uscc": uscc, "month": "2026-04", "revenue_10k_cny": 70}])
    world.settled()

    series = world.government("operator", f"/v1/enterprises/{uscc}")["series"]["revenue"]

    assert {item["month"]: item["value"] for item in series}["2026-04"] == 70


def test_others_than_government_see_structure_but_no_firms(world: World) -> None:
    """A provider gets nodes and links, figures over few firms hidden, no list of firms and no profile."""
    world.settled()
    panorama = world.government("provider", f"/v1/chains/{CHAIN}/panorama")
    node = world.government("provider", f"/v1/chains/{CHAIN}/nodes/n0")

    assert len(panorama["links"]) == 4
    assert all(item["measure"] is None for item in panorama["nodes"] if item["local_enterprises"] < 3)
    assert node["enterprises"] is None
    assert world.government("provider", "/v1/overview")["figures"] == []
    with pytest.raises(Problem) as refused:
        world.government("provider", f"/v1/enterprises/{FIRMS[0]}")
    assert refused.value.status == 404


def test_an_enterprise_sees_its_own_profile_only(world: World) -> None:
    """Its own answers; the neighbour's does not exist for it."""
    world.settled()
    assert world.government("firm", f"/v1/enterprises/{FIRMS[0]}")["id"] == FIRMS[0]
    with pytest.raises(Problem) as refused:
        world.government("firm", f"/v1/enterprises/{FIRMS[1]}")
    assert refused.value.status == 404


def test_the_overview_tells_date_source_and_records_of_every_figure(world: World) -> None:
    """No figure appears without them."""
    world.settled()
    overview = world.government("bureau", "/v1/overview")

    assert {figure["id"] for figure in overview["figures"]} >= {"enterprises", "revenue", "missing_nodes"}
    for figure in overview["figures"]:
        assert figure["source"]
        assert figure["records_url"].startswith("/")
        assert figure["as_of"] or figure["note"]
    assert overview["findings"][0]["severity"] == "bad"


def test_a_definition_with_unregistered_data_sets_is_refused_by_name(world: World) -> None:
    """The answer names the data set; a bad column name is told by field."""
    missing = DEFINITION | {"nodes": {"dataset": "industry.nowhere", "id": "a", "name": "b"}}
    with pytest.raises(Problem, match=r"industry\.nowhere"):
        world.call("operator", "government-services", "PUT", "/v1/chains/other", json=missing)
    wrong = DEFINITION | {"nodes": {"dataset": "industry.chain_node", "id": "a; DROP", "name": "b"}}
    with pytest.raises(Problem) as refused:
        world.call("operator", "government-services", "PUT", "/v1/chains/other", json=wrong)
    assert refused.value.members["errors"][0]["field"] == "nodes.id"


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("nodes", {"name": "no_such_column"}),
        ("links", {"weight": "from_node_id"}),
        ("members", {"where": "chain_id = "}),
        ("measure:revenue", {"value": "month"}),
    ],
)
def test_a_definition_that_reads_no_data_is_refused_by_part(world: World, part: str, wrong: dict[str, str]) -> None:
    """A column that is not there, a text to be summed, half a condition: told at once, nothing is kept."""
    name, _, measure = part.partition(":")
    if measure:
        changed: dict[str, Any] = {"measures": {measure: DEFINITION["measures"][measure] | wrong}}
    else:
        changed = {name: DEFINITION[name] | wrong}
    with pytest.raises(Problem) as refused:
        world.call("operator", "government-services", "PUT", "/v1/chains/other", json=DEFINITION | changed)
    assert (refused.value.status, refused.value.code) == (422, "definition_invalid")
    assert refused.value.members["errors"][0]["field"] == part
    assert [item["id"] for item in world.government("operator", "/v1/chains")["items"]] == [CHAIN]


def test_a_chain_that_cannot_be_read_does_not_hold_up_the_others(world: World) -> None:
    """Its columns went away after it was registered; another chain still follows the warehouse."""
    broken = ChainDefinition.model_validate(
        {"id": "broken"} | DEFINITION | {"nodes": DEFINITION["nodes"] | {"name": "gone"}}
    )
    database = world.platform.database("government-services")
    with database.transaction() as session:
        store.save_definition(session, broken, utc_now())
        store.mark_dirty(session, "broken", {"nodes"}, "drt_broken", utc_now())
    node = {"chain_id": CHAIN, "node_id": "n4", "name": "新环节"}
    try:
        world.push("bureau", "industry.chain_node", [node])
        deadline = time.monotonic() + 30
        while "n4" not in [item["id"] for item in chains.load_model(database, CHAIN).panorama["nodes"]]:  # type: ignore[index]
            assert time.monotonic() < deadline, "the broken chain keeps the other from being read"
            time.sleep(0.2)
        assert world.government("operator", "/v1/overview")["chain"] == CHAIN
    finally:
        world.call("operator", "government-services", "DELETE", "/v1/chains/broken")
        world.push("bureau", "industry.chain_node", [{"chain_id": CHAIN, "node_id": "n4"}], mode="delete")
        world.settled()


def test_only_operators_register_and_remove_chains(world: World) -> None:
    """A department gets 403 and the chain stays."""
    for method, path in (
        ("PUT", f"/v1/chains/{CHAIN}"),
        ("DELETE", f"/v1/chains/{CHAIN}"),
        ("POST", f"/v1/chains/{CHAIN}/rebuild"),
    ):
        with pytest.raises(Problem) as refused:
            world.call("bureau", "government-services", method, path, json=DEFINITION)
        assert refused.value.status == 403
    assert world.government("operator", f"/v1/chains/{CHAIN}/panorama")["id"] == CHAIN


def test_the_panorama_around_a_node_and_of_another_region(world: World) -> None:
    """One step around n3 are its two suppliers; in Jinan other firms are the local ones."""
    world.settled()
    around = world.government("operator", f"/v1/chains/{CHAIN}/panorama?node=n3&depth=1")
    elsewhere = world.government("operator", f"/v1/chains/{CHAIN}/panorama?region=3701")

    assert {node["id"] for node in around["nodes"]} == {"n1", "n2", "n3"}
    assert sum(node["local_enterprises"] for node in elsewhere["nodes"]) <= 12
    assert elsewhere["region"] == "3701"


def test_a_rebuild_of_a_chain_removed_meanwhile_finds_nothing(world: World) -> None:
    """Reading the warehouse takes a while; a chain that is gone afterwards is not made again, and nothing crashes."""
    database = world.platform.database("government-services")
    removed = chains.load_model(database, CHAIN).definition.model_copy(update={"id": "removed"})
    with pytest.raises(NotFound):
        refresh.rebuild(database, Warehouse(world.platform.client("data-hub")), removed)
    with pytest.raises(NotFound):
        chains.load_model(database, "removed")
