"""Transfers as the service books, shares, pays and ends them; on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from brain_kit.auth import Principal
from brain_kit.clock import CHINA, utc_now
from brain_kit.database import Database
from compute_scheduler.clients import DatasetFacts
from compute_scheduler.service import centres, control, ledger, links, network, transfer_desk
from compute_scheduler.service.errors import LinkUnknown, StateConflict, TransferUnknown
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.store import network as replica_store
from compute_scheduler.store import transfers as store
from compute_scheduler.store.network_tables import transfers

from tests.compute_scheduler.books import NEIGHBOUR, TENANT, set_prices
from tests.compute_scheduler.network import NODE, OPERATOR, Network

X, Y = "industry.orders", "industry.meters"
GB = 10**9
LINK: dict[str, Any] = {"capacity_gbit_s": 8.0, "latency_ms": None, "note": "", "as_of": date(2026, 9, 30)}
NONCE = "n" * 32
WHOLE = "a" * 64


class Away:
    """The agent of `c2`, as the service hears it."""

    def __init__(self, net: Network) -> None:
        self.net = net
        body = {"instance": uuid4().hex, "nodes": [NODE], "capabilities": {}, "held": []}
        self.session = net.exchange.open_session("c2", body)["session"]

    def pull(self) -> list[dict[str, Any]]:
        """Orders."""
        body = {"nodes": None, "ending": [], "first": False}
        orders: list[dict[str, Any]] = self.net.exchange.pull("c2", self.session, body)["orders"]
        return orders

    def report(self, **said: Any) -> dict[str, Any]:
        """One report."""
        return self.net.exchange.report("c2", self.session, {"claims": [], "logs": [], "ended": []} | said)

    def moved(self, transfer: str, done: int, state: str = "moving", **said: Any) -> dict[str, Any]:
        """How far a transfer is; what the service answers to it."""
        item = {"transfer": transfer, "state": state, "done_bytes": done, "sha256": "", "code": "", "detail": ""}
        answer: dict[str, Any] = self.report(transfers=[item | said])["transfers"][0]
        return answer

    def claim(self, attempt: str) -> str:
        """What a claim gets."""
        answer = self.report(claims=[{"attempt": attempt, "nonce": NONCE}])
        return next((word for word in ("granted", "refused") if attempt in answer[word]), "kept")

    def end(self, attempt: str, **record: Any) -> None:
        """An attempt has ended."""
        known = {"cause": "exit", "exit_code": 0, "run_s": 2.0} | record
        self.report(ended=[{"attempt": attempt, "nonce": NONCE, "record": known, "outputs": {}, "missing": []}])


@pytest.fixture
def net(database: Database) -> Network:
    """`c1` stands beside the warehouse; `c2` is joined to it by 8 Gbit/s, that is 1 GB/s, and has an agent."""
    made = Network(database, compute_scheduler_data_centres=["c1"], compute_scheduler_assumed_gbit_s=0.0)
    centres.make_centre(database, OPERATOR, centre="c2", title="二号", kind="edge")
    made.open()
    links.set_link(database, OPERATOR, "c1", "c2", LINK)
    made.datasets.known = {
        X: DatasetFacts(X, "7", 60 * GB, "一般-3", TENANT),
        Y: DatasetFacts(Y, "3", 30 * GB, "一般-3", TENANT),
    }
    return made


@pytest.fixture
def away(net: Network) -> Away:
    """The agent."""
    return Away(net)


def staged(net: Network, *datasets: str, **spec: Any) -> tuple[str, list[dict[str, Any]]]:
    """(job, transfers) of a job at `c2` that has been placed."""
    job = net.submit(centre="c2", datasets=[{"dataset": name} for name in datasets], **spec)
    net.schedule()
    (attempt,) = net.attempts(job)
    with net.database.reading() as session:
        return job, store.of_attempts(session, [attempt["id"]])[attempt["id"]]


def row_of(net: Network, transfer: str) -> dict[str, Any]:
    """A transfer's row."""
    with net.database.reading() as session:
        row = store.one(session, transfer)
    assert row is not None
    return row


def told(net: Network, transfer: str, size: int) -> None:
    """What asking for the manifest leaves."""
    with net.database.transaction() as session:
        store.save(session, transfer, bytes=size, sha256=WHOLE)


def sent(net: Network, transfer: str, count: int) -> None:
    """The byte route has handed out so much."""
    with net.database.transaction() as session:
        store.add_sent(session, transfer, count)


def test_a_job_waits_for_its_data_says_how_far_they_are_and_begins_when_they_are_there(
    net: Network, away: Away
) -> None:
    """60 GB at 1 GB/s: a minute from now. A claim before the end is kept, one after it granted; the copy is listed."""
    job, (transfer,) = staged(net, X)
    assert (transfer["path"], transfer["bytes"], transfer["state"]) == ([["c1", "c2"]], 60 * GB, "booked")
    (order,) = away.pull()
    assert order["data"] == [{"dataset": X, "version": "7", "view": "whole", "transfer": transfer["id"]}]
    assert "等待数据传输" in net.job(job)["reason"]
    told(net, transfer["id"], 60 * GB)
    answer = away.moved(transfer["id"], 22 * GB)
    assert (answer["state"], answer["rate"]) == ("moving", GB)
    waiting = net.job(job)
    assert "数据在传输：industry.orders 36 %" in waiting["reason"]
    assert waiting["reason_code"] == "staging"
    assert abs((waiting["predicted_start_at"] - utc_now()).total_seconds() - 60) < 30
    assert away.claim(order["attempt"]) == "kept"
    assert away.moved(transfer["id"], 60 * GB, "done", sha256=WHOLE)["state"] == "done"
    assert away.claim(order["attempt"]) == "granted"
    (copy,) = network.list_replicas(net.database, {"dataset": X, "centre": "c2"}, "", 10)["items"]
    assert (copy["state"], copy["bytes"], copy["sha256"], copy["view"]) == ("ready", 60 * GB, WHOLE, "whole")
    assert copy["used_at"] == copy["updated_at"]
    away.end(order["attempt"])
    again, none = staged(net, X)
    assert none == []
    (used,) = network.list_replicas(net.database, {"dataset": X, "centre": "c2"}, "", 10)["items"]
    assert (used["used_at"] > copy["used_at"], used["updated_at"]) == (True, copy["updated_at"])
    assert away.pull()[0]["data"][0]["transfer"] is None
    assert net.job(again)["state"] == "starting"


def test_two_jobs_that_need_the_same_share_a_transfer_and_the_first_pays(net: Network, away: Away) -> None:
    """10 of 60 GB have come when the first is cancelled: it pays those, the second the other 50, 0.5 yuan a GB."""
    set_prices(net.database, gb_moved="0.5")
    first, (transfer,) = staged(net, X)
    second, (same,) = staged(net, X)
    assert same["id"] == transfer["id"]
    orders = {order["job"]: order["attempt"] for order in away.pull()}
    told(net, transfer["id"], 60 * GB)
    sent(net, transfer["id"], 10 * GB)
    away.moved(transfer["id"], 10 * GB)
    control.cancel(net.database, net.actor, first)
    assert row_of(net, transfer["id"])["state"] == "moving"
    sent(net, transfer["id"], 52 * GB)  # two of them twice
    away.moved(transfer["id"], 60 * GB, "done", sha256=WHOLE)
    assert away.claim(orders[first]) == "refused"
    assert away.claim(orders[second]) == "granted"
    away.end(orders[second])
    ledger.post_pending(net.database)
    entries = ledger.list_entries(net.database, net.actor, {}, after="", limit=10)["items"]
    moved = {
        (entry["job"], item["quantity"], item["amount"])
        for entry in entries
        for item in entry["items"]
        if item["resource"] == "moved"
    }
    assert moved == {(first, 10.0, "5"), (second, 50.0, "25")} or moved == {
        (first, 10.0, "5.000000"),
        (second, 50.0, "25.000000"),
    }


def test_what_nobody_waits_for_gives_its_links_back(net: Network, away: Away) -> None:
    """The job is cancelled: the transfer too, its agent is told, and what comes next has the whole link."""
    job, (transfer,) = staged(net, X)
    _, (behind,) = staged(net, Y)
    assert (behind["finish_at"] - transfer["finish_at"]).total_seconds() == pytest.approx(30, abs=0.1)
    control.cancel(net.database, net.actor, job)
    assert row_of(net, transfer["id"])["code"] == "not_needed"
    assert away.moved(transfer["id"], GB)["state"] == "cancelled"
    net.schedule()
    assert (row_of(net, behind["id"])["finish_at"] - utc_now()).total_seconds() == pytest.approx(30, abs=3)
    quote = network.quotes(net.database, net.settings, net.datasets.known[X])["items"][1]
    assert quote["seconds"] == pytest.approx(90, abs=3)


def test_a_window_that_closes_the_link_pauses_and_books_anew(net: Network, away: Away) -> None:
    """Half way the link is cut for an hour: no byte until then, the job tells the time; without links it queues."""
    job, (transfer,) = staged(net, X)
    away.pull()
    told(net, transfer["id"], 60 * GB)
    away.moved(transfer["id"], 30 * GB)
    now = utc_now()
    window = {"start_at": now - timedelta(minutes=1), "end_at": now + timedelta(hours=1), "gbit_s": 0.0, "note": ""}
    made = network.add_window(net.database, OPERATOR, "c1", "c2", window)
    net.schedule()
    assert away.moved(transfer["id"], 30 * GB)["rate"] == 0
    late = net.job(job)["predicted_start_at"]
    assert (late - now).total_seconds() == pytest.approx(3630, abs=5)
    network.remove_window(net.database, OPERATOR, "c1", "c2", made["id"])
    net.schedule()
    assert away.moved(transfer["id"], 30 * GB)["rate"] == GB
    links.remove_link(net.database, OPERATOR, "c1", "c2")
    net.schedule()
    assert (row_of(net, transfer["id"])["state"], row_of(net, transfer["id"])["code"]) == ("failed", "unreachable")
    record = {"cause": "data_missing", "detail": "链路已取消", "again": True}
    away.end(f"{job}.1", **record)
    assert net.job(job)["state"] == "queued"


def test_a_transfer_that_is_late_is_booked_again_for_what_is_left(net: Network, away: Away) -> None:
    """Its time is over with 20 GB to go: 20 s more from now."""
    _, (transfer,) = staged(net, X)
    told(net, transfer["id"], 60 * GB)
    away.moved(transfer["id"], 40 * GB)
    with net.database.transaction() as session:
        session.execute(sa.update(transfers).values(finish_at=utc_now() - timedelta(seconds=1)))
    net.schedule()
    left_s = (row_of(net, transfer["id"])["finish_at"] - utc_now()).total_seconds()
    assert left_s == pytest.approx(20, abs=3)


def test_a_checksum_that_differs_marks_the_copy_bad_and_the_job_says_so(net: Network, away: Away) -> None:
    """Also when the agent calls it done with another digest of the whole."""
    job, (transfer,) = staged(net, X)
    (order,) = away.pull()
    told(net, transfer["id"], 60 * GB)
    assert away.moved(transfer["id"], 60 * GB, "done", sha256="b" * 64)["state"] == "failed"
    away.end(order["attempt"], cause="data_missing", detail="数据集 industry.orders：文件 a 不符", again=False)
    ended = net.job(job)
    assert (ended["state"], ended["reason"]) == ("failed", "数据无法取得：数据集 industry.orders：文件 a 不符")
    key = {"dataset": X, "version": "7", "centre": "c2", "view": "whole"}
    with net.database.reading() as session:
        copy = replica_store.replica(session, key)
    assert copy is not None
    assert (copy["state"], copy["note"]) == ("bad", "整体的 SHA-256 与清单不符") or copy["state"] == "bad"
    _, (again,) = staged(net, X)
    assert again["id"] != transfer["id"]  # it is no replica, so it is brought anew


def test_copies_that_an_agent_no_longer_has_are_forgotten(net: Network, away: Away) -> None:
    """By what it says is gone, and by what it does not name when it comes back; those that operators set stay."""
    body = {"bytes": GB, "sha256": WHOLE, "state": "ready", "note": ""}
    for version in ("7", "8", "9"):
        key = {"dataset": X, "version": version, "centre": "c2", "view": "whole"}
        row = {**key, **body, "updated_by": "usr_1" if version == "9" else "agent", "updated_at": utc_now()}
        with net.database.transaction() as session:
            replica_store.save_replica(session, row)
    away.report(dropped=[{"dataset": X, "version": "7", "view": "whole"}])
    opened = {"instance": uuid4().hex, "nodes": [NODE], "capabilities": {}, "held": [], "replicas": []}
    with net.database.transaction() as session:
        session.execute(sa.text("UPDATE centre SET lease_until = NULL"))
    net.exchange.open_session("c2", opened)
    left = network.list_replicas(net.database, {"dataset": "", "centre": ""}, "", 10)["items"]
    assert [item["version"] for item in left] == ["9"]


def test_an_operator_stops_a_transfer_and_the_jobs_say_by_whom(net: Network, away: Away) -> None:
    """Once; a second time it has ended. To other tenants it does not exist."""
    job, (transfer,) = staged(net, X)
    stranger = Actor(Principal("usr_9", "user", NEIGHBOUR, "enterprise", roles=frozenset({"developer"})))
    assert transfer_desk.list_transfers(net.database, stranger, {"state": "", "centre": ""}, "", 10)["items"] == []
    with pytest.raises(TransferUnknown):
        transfer_desk.get_transfer(net.database, stranger, transfer["id"])
    (shown,) = transfer_desk.list_transfers(net.database, net.actor, {"state": "alive", "centre": "c2"}, "", 10)[
        "items"
    ]
    assert (shown["jobs"], shown["percent"], shown["reserved"][0]["gbit_s"]) == ([job], 0.0, 8.0)
    with net.database.transaction() as session:  # the stranger comes to need it too
        store.add_users(session, transfer["id"], ["job_other.1"], NEIGHBOUR)
    theirs = transfer_desk.get_transfer(net.database, stranger, transfer["id"])
    assert (theirs["jobs"], theirs["org"]) == (["job_other"], None)
    stopped = transfer_desk.cancel_transfer(net.database, net.actor, transfer["id"], "割接")
    assert (stopped["state"], stopped["reason"]) == ("cancelled", "运营方取消：割接")
    ended = net.job(job)
    assert ended["state"] == "failed"
    assert "已由运营方取消：割接" in ended["reason"]
    with pytest.raises(StateConflict):
        transfer_desk.cancel_transfer(net.database, net.actor, transfer["id"], "割接")


def test_views_of_one_version_are_copies_apart(net: Network, away: Away) -> None:
    """What holds one organisation's rows serves nobody else; a job that only wants to be near moves nothing."""
    _, (whole,) = staged(net, X)
    net.datasets.known[X] = DatasetFacts(X, "7", None, "一般-3", TENANT, TENANT)
    _, (own,) = staged(net, X)
    assert own["id"] != whole["id"]
    assert (own["view"], own["bytes"], own["path"]) == (TENANT, None, [["c1", "c2"]])
    near = net.submit(centre="c2", datasets=[{"dataset": Y, "files": False}])
    net.schedule()
    (attempt,) = net.attempts(near)
    assert attempt["data"] is None


def test_a_link_tells_what_is_reserved_of_it_and_what_it_has_carried_by_day(net: Network, away: Away) -> None:
    """60 GB at 1 GB/s: the next minute is taken, the week after it free. 22 GB on their way are today's."""
    _, (transfer,) = staged(net, X)
    away.pull()
    (link,) = links.list_links(net.database)
    assert (link["limit_gbit_s"], link["reserved_gbit_s"], link["free_gbit_s"], link["course"]) == (8.0, 8.0, 0.0, [])
    found = links.read_link(net.database, net.settings, "c2", "c1", 3)
    assert [(item["reserved_gbit_s"]) for item in found["course"]] == [8.0, 0.0]
    sent(net, transfer["id"], 22 * GB)
    today = {"day": f"{utc_now().astimezone(CHINA):%Y-%m-%d}", "bytes": 22 * GB, "transfers": 1}
    carried = links.read_link(net.database, net.settings, "c1", "c2", 3)["carried"]
    assert (len(carried), carried[0]["bytes"], carried[-1]) == (3, 0, today)
    transfer_desk.cancel_transfer(net.database, net.actor, transfer["id"], "割接")
    with net.database.transaction() as session:
        store.save(session, transfer["id"], ended_at=utc_now() - timedelta(days=1))
    found = links.read_link(net.database, net.settings, "c1", "c2", 3)
    assert [item["bytes"] for item in found["carried"]] == [0, 22 * GB, 0]
    assert [item["reserved_gbit_s"] for item in found["course"]] == [0.0]
    brief = net.settings.model_copy(update={"compute_scheduler_log_days": 2})
    kept = links.read_link(net.database, brief, "c1", "c2", 3)["carried"]
    assert [item["bytes"] for item in kept] == [22 * GB, 0]  # what is forgotten is left out, not told as 0
    with pytest.raises(LinkUnknown):
        links.read_link(net.database, net.settings, "c1", "c9", 3)
