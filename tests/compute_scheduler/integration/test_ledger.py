"""The ledger on SQLite and PostgreSQL: posted once, two sides, corrections that reverse, months that stay closed."""

from __future__ import annotations

import atexit
import contextlib
import csv
import functools
import io
import itertools
import random
import shutil
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from brain_kit.database import Database
from compute_scheduler.service import control, ledger, settlement
from compute_scheduler.service.errors import (
    AlreadyReversed,
    CorrectionInvalid,
    EntryUnknown,
    PeriodNotClosable,
    StatementUnknown,
    VersionTaken,
)
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.store.ledger_tables import ledger as ledger_table
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from tests.compute_scheduler.books import (
    NEIGHBOUR,
    ORG,
    START,
    TENANT,
    account,
    actor,
    entries,
    record,
    set_prices,
    state,
    total,
    two_centres,
)
from tests.compute_scheduler.network import OPERATOR, Network

OCTOBER = datetime(2026, 10, 5, tzinfo=UTC)


def test_an_ended_attempt_is_posted_once_with_both_sides(database: Database) -> None:
    """1 core and 1 GiB for an hour cost 1.50 yuan: the tenant owes it, the owner of the centre is owed it."""
    two_centres(database)
    listed = set_prices(database)
    account(database, record(1), record(2, centre="c2"), record(3, outcome="lost"))
    assert ledger.post_pending(database) == 3
    assert ledger.post_pending(database) == 0
    found = {item["job"][-1]: item for item in entries(database)}
    assert [found[n]["amount"] for n in "123"] == ["1.500000", "1.500000", "0.000000"]
    assert [found[n]["charge"] for n in "123"] == ["charged", "charged", "providers_fault"]
    assert [(found[n]["org"], found[n]["owner"]) for n in "123"] == [(TENANT, ORG), (TENANT, TENANT), (TENANT, ORG)]
    assert found["1"]["price_list"] == listed
    assert [(item["resource"], item["quantity"], item["unit"]) for item in found["1"]["items"]] == [
        ("core", 1.0, "core_hour"),
        ("memory", 1.0, "gib_hour"),
    ]
    assert total(database) == 0


def test_what_the_scheduler_accounts_for_reaches_the_ledger(database: Database) -> None:
    """A job that runs by the real protocol, retried once after a failure: two attempts, two entries, one job."""
    network = Network(database)
    network.open()
    set_prices(database)
    job, attempt = network.started(retries=1)
    assert network.claim(attempt, "0" * 32)
    network.end(attempt, "0" * 32, exit_code=1, run_s=1800.0)
    ledger.post_pending(database)
    (entry,) = entries(database, job=job)
    assert (entry["attempt"], entry["outcome"], entry["wall_s"]) == (attempt, "failed", 1800.0)
    # 1 core for half an hour at 1 yuan, 100 MB = 0.0931 GiB for half an hour at 0.5 yuan.
    assert entry["amount"] == "0.523283"


def test_shuffled_and_repeated_records_leave_the_same_books(
    database: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the order, the batches and the repeats: the same entries, items and postings, which sum to zero."""
    chance = random.Random(7)
    records = [
        record(
            number,
            org=chance.choice([TENANT, NEIGHBOUR, ORG]),
            centre=chance.choice(["c1", "c2"]),
            outcome=chance.choice(["succeeded", "failed", "lost", "preempted"]),
            started_at=START + timedelta(hours=chance.randrange(80, 200)),
            wall_s=chance.randrange(1, 2_000_000) / 7,
            accelerator_s={"A100": chance.random() * 1e5} if chance.random() < 0.5 else {},
        )
        for number in range(40)
    ]
    books = []
    for _ in range(4):
        one = Database(f"sqlite:///{tmp_path_factory.mktemp('books')}/c.db", name="compute-scheduler")
        one.migrate("compute_scheduler")
        books.append(one)
    for one in [database, *books]:
        two_centres(one)
        set_prices(one, accelerator_hour={"A100": "6.123457"})
        set_prices(one, core_hour="2", valid_from=START + timedelta(hours=100))
        set_prices(one, centre="c2", gib_hour="0.000001", valid_from=START + timedelta(hours=200))
        told = records * 2
        chance.shuffle(told)
        while told:
            size = chance.randrange(1, 15)
            with one.transaction() as session:
                ledger.post(session, [row | {"id": 0} for row in told[:size]])
            told = told[size:]
    assert len({repr(state(one)) for one in [database, *books]}) == 1
    assert len(entries(database)) > 45  # some were cut where prices changed
    assert [total(one) for one in [database, *books]] == [0] * 5
    for one in books:
        one.close()


@given(st.permutations(range(8)), st.lists(st.integers(1, 9), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_any_order_and_any_batches_leave_the_same_books(order: list[int], sizes: list[int]) -> None:
    """Eight records, each told once or more in any order and any batches, beside the same told once in order."""
    books = _known_books()
    told = [books.records[place] for place in (*order, *order[: sizes[0]])]
    with books.fresh() as other:
        for size in itertools.cycle(sizes):
            with other.transaction() as session:
                ledger.post(session, [row | {"id": 0} for row in told[:size]])
            told = told[size:]
            if not told:
                break
        assert state(other) == books.expected
        assert total(other) == 0


class KnownBooks:
    """Eight records over three price lists and two centres, and the books that they make when told in order."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="books"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        template = Database(f"sqlite:///{self.folder}/template.db", name="compute-scheduler")
        template.migrate("compute_scheduler")
        two_centres(template)
        set_prices(template, accelerator_hour={"*": "3.333333"})
        set_prices(template, core_hour="2", valid_from=START + timedelta(hours=5))
        set_prices(template, centre="c2", core_hour="0.7", valid_from=START + timedelta(hours=9))
        with template.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        template.close()
        self.records = [
            record(
                number,
                org=(TENANT, NEIGHBOUR, ORG)[number % 3],
                centre=("c1", "c2")[number % 2],
                outcome=("succeeded", "failed", "lost")[number // 3],
                started_at=START + timedelta(hours=2 * number),
                wall_s=12_345.678 + 7001 * number,
                accelerator_s={"H20": 1000 / (number + 1)},
            )
            for number in range(8)
        ]
        with self.fresh() as one:
            with one.transaction() as session:
                ledger.post(session, [row | {"id": 0} for row in self.records])
            self.expected = state(one)

    @contextlib.contextmanager
    def fresh(self) -> Iterator[Database]:
        """A ledger without entries."""
        path = self.folder / "copy.db"
        for old in self.folder.glob("copy.db*"):
            old.unlink()
        shutil.copy(self.folder / "template.db", path)
        database = Database(f"sqlite:///{path}", name="compute-scheduler")
        yield database
        database.close()


@functools.cache
def _known_books() -> KnownBooks:
    return KnownBooks()


def test_members_stopped_because_another_was_lost_cost_nothing(database: Database) -> None:
    """Three members ran; the lost one takes two along, which end as cancelled by nobody's wish: all free, also anew."""
    network = Network(database)
    network.open()
    listed = set_prices(database)
    job = network.submit(gang=3)
    network.schedule()
    members = [order["attempt"] for order in network.pull()["orders"]]
    for member, nonce in [*zip(members, "abc", strict=True)] * 2:
        network.ask(member, nonce * 32)
    network.open(held=members[:2])
    for member, nonce in zip(members[:2], "ab", strict=True):
        network.end(member, nonce * 32, cause="cancelled", exit_code=None)
    ledger.post_pending(database)
    found = entries(database, job=job)
    assert sorted(item["outcome"] for item in found) == ["cancelled", "cancelled", "lost"]
    assert {(item["charge"], item["amount"]) for item in found} == {("providers_fault", "0.000000")}
    stopped = next(int(item["id"]) for item in found if item["outcome"] == "cancelled")
    anew = ledger.correct(database, OPERATOR, stopped, kind="reprice", price_list=listed, reason="x")[1]
    assert (anew["charge"], anew["amount"]) == ("providers_fault", "0.000000")


def test_a_gang_that_somebody_cancelled_is_paid_for(database: Database) -> None:
    """By the tenant's own wish: what ran is charged."""
    network = Network(database)
    network.open()
    set_prices(database)
    job = network.submit(gang=2)
    network.schedule()
    members = [order["attempt"] for order in network.pull()["orders"]]
    for member, nonce in [*zip(members, "ab", strict=True)] * 2:
        network.ask(member, nonce * 32)
    control.cancel(database, network.actor, job)
    for member, nonce in zip(members, "ab", strict=True):
        network.end(member, nonce * 32, cause="cancelled", exit_code=None, run_s=3600.0)
    ledger.post_pending(database)
    assert [item["charge"] for item in entries(database, job=job)] == ["charged", "charged"]


def test_two_posters_at_once_post_nothing_twice(database: Database) -> None:
    """Each record has one entry, whoever wrote it."""
    two_centres(database)
    set_prices(database)
    account(database, *[record(number) for number in range(60)])
    threads = [threading.Thread(target=ledger.post_pending, args=(database,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = entries(database)
    assert len(found) == len({item["attempt"] for item in found}) == 60


def test_a_price_list_holds_from_after_what_is_posted(database: Database) -> None:
    """What is in the ledger keeps its price; without a list the entry says so and can be repriced."""
    two_centres(database)
    account(database, record(1))
    ledger.post_pending(database)
    assert [(item["charge"], item["amount"], item["price_list"]) for item in entries(database)] == [
        ("no_price_list", "0.000000", None)
    ]
    with pytest.raises(VersionTaken) as refused:
        set_prices(database)
    assert refused.value.members["earliest"] == "2026-09-10T01:00:00.000Z"
    listed = set_prices(database, valid_from=START + timedelta(hours=1))
    added = ledger.correct(database, OPERATOR, 1, kind="reprice", price_list=listed, reason="漏发价目")
    assert [(item["kind"], item["amount"], item["charge"]) for item in added] == [
        ("reversal", "0.000000", "no_price_list"),
        ("repriced", "1.500000", "charged"),
    ]
    with pytest.raises(VersionTaken):
        set_prices(database, valid_from=START + timedelta(hours=1))


def test_a_correction_only_reverses_and_only_once(database: Database) -> None:
    """The entry stays as it was; with its reversal it sums to nothing; the reversal itself is final."""
    two_centres(database)
    set_prices(database)
    account(database, record(1))
    ledger.post_pending(database)
    before = entries(database)[0]
    (reversal,) = ledger.correct(database, OPERATOR, 1, kind="cancel", price_list=None, reason="重复提交")
    after = entries(database)
    assert after[0] == before
    assert (reversal["amount"], reversal["reverses"], reversal["reason"]) == ("-1.500000", "1", "重复提交")
    assert [item["quantity"] for item in reversal["items"]] == [-1.0, -1.0]
    assert total(database) == 0
    with pytest.raises(AlreadyReversed):
        ledger.correct(database, OPERATOR, 1, kind="cancel", price_list=None, reason="again")
    with pytest.raises(CorrectionInvalid):
        ledger.correct(database, OPERATOR, 2, kind="cancel", price_list=None, reason="again")
    with pytest.raises(EntryUnknown):
        ledger.correct(database, OPERATOR, 99, kind="cancel", price_list=None, reason="again")
    ledger.post_pending(database)
    assert len(entries(database)) == 2


def test_a_closed_month_stays_what_it_was(database: Database) -> None:
    """Late records and corrections go to the next month; the digest of the closing still holds."""
    two_centres(database)
    set_prices(database)
    account(database, record(1), record(2, started_at=OCTOBER))
    ledger.post_pending(database)
    with pytest.raises(PeriodNotClosable, match="2026-09"):
        settlement.close_period(database, OPERATOR, "2026-10")
    closed = settlement.close_period(database, OPERATOR, "2026-09")
    assert (closed["state"], closed["entries"], closed["amount"]) == ("closed", 1, "1.500000")
    statement = settlement.get_statement(database, Actor(OPERATOR), "2026-09", TENANT, ORG)
    account(database, record(3))
    ledger.post_pending(database)
    ledger.correct(database, OPERATOR, 1, kind="cancel", price_list=None, reason="错误")
    assert settlement.get_statement(database, Actor(OPERATOR), "2026-09", TENANT, ORG) == statement
    with database.reading() as session:
        assert settlement.digest_of(session, "2026-09") == closed["digest"]
    october = settlement.get_statement(database, Actor(OPERATOR), "2026-10", TENANT, ORG)
    assert (october["entries"], october["amount"]) == (3, "1.500000")  # its own, the late one, the reversal
    with pytest.raises(PeriodNotClosable, match="关账"):
        settlement.close_period(database, OPERATOR, "2026-09")
    with pytest.raises(PeriodNotClosable, match="还没有结束"):
        settlement.close_period(database, OPERATOR, "2099-01")


def test_each_sees_its_own_statements_and_the_neighbour_none(database: Database) -> None:
    """The tenant what it owes, the owner what it is owed, the operator everything."""
    two_centres(database)
    set_prices(database)
    account(database, record(1), record(2, org=ORG, centre="c2"), record(3, org=ORG))
    ledger.post_pending(database)

    def seen(who: Actor) -> list[tuple[str, str, str]]:
        rows = settlement.list_statements(database, who, "2026-09")["items"]
        return [(row["tenant"], row["owner"], row["ownership"]) for row in rows]

    assert seen(Actor(OPERATOR)) == [(ORG, ORG, "own"), (ORG, TENANT, "borrowed"), (TENANT, ORG, "borrowed")]
    assert seen(actor(TENANT)) == [(ORG, TENANT, "borrowed"), (TENANT, ORG, "borrowed")]
    assert seen(actor(NEIGHBOUR)) == []
    assert settlement.list_periods(database, actor(NEIGHBOUR)) == []
    assert entries(database, NEIGHBOUR) == []
    with pytest.raises(StatementUnknown):
        settlement.get_statement(database, actor(NEIGHBOUR), "2026-09", TENANT, ORG)
    with pytest.raises(EntryUnknown):
        ledger.get_entry(database, actor(NEIGHBOUR), 1)
    assert ledger.get_entry(database, actor(TENANT), 1)["org"] == TENANT


def test_the_export_carries_every_line_in_both_forms(database: Database) -> None:
    """CSV and XLSX hold the same lines; amounts of a pair sum to its statement."""
    two_centres(database)
    set_prices(database)
    account(database, record(1), record(2), record(3, outcome="lost"))
    ledger.post_pending(database)
    content = b"".join(settlement.export_csv(database, actor(TENANT), "2026-09")).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(content)))
    assert [(row["resource"], row["charge"], row["entries"], row["quantity"], row["amount"]) for row in rows] == [
        ("core", "charged", "2", "2.0", "2.000000"),
        ("memory", "charged", "2", "2.0", "1.000000"),
        ("core", "providers_fault", "1", "1.0", "0.000000"),
        ("memory", "providers_fault", "1", "1.0", "0.000000"),
    ]
    book = load_workbook(io.BytesIO(settlement.export_xlsx(database, actor(TENANT), "2026-09")))
    assert [cell.value for cell in book["明细"][2]][8:14] == ["core", 2, 2, "core_hour", 1, 2]
    assert [cell.value for cell in book["结算单"][3]][-2:] == ["3.000000", 3]
    assert book["明细"].max_row == 5


def test_entries_cannot_be_posted_twice_even_by_hand(database: Database) -> None:
    """The database itself refuses a second entry of (attempt, segment, revision)."""
    two_centres(database)
    account(database, record(1))
    ledger.post_pending(database)
    with database.reading() as session:
        row = dict(session.execute(sa.select(ledger_table)).mappings().one())
    with pytest.raises(sa.exc.IntegrityError), database.transaction() as session:
        session.execute(sa.insert(ledger_table).values(row | {"id": 2}))
