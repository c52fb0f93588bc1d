"""Random orders of work, crashes and lost answers, against the real store: no job lost, none run twice.

The machine plays agents and engine by the book and breaks them at will. What it keeps outside the store is the proof:
which commands began, and how often.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from brain_kit.clock import utc_now
from brain_kit.database import Database
from compute_scheduler.domain import states
from compute_scheduler.domain.plan import plan_board
from compute_scheduler.domain.snapshot import Policy
from compute_scheduler.service import centres, control
from compute_scheduler.service.errors import CentreHeld, CentreStillThere, JobUnknown, SessionLost, StateConflict
from compute_scheduler.service.picture import Picture
from compute_scheduler.service.scheduling import LeaseLost, Scheduler
from compute_scheduler.store.tables import attempts as attempt_table
from compute_scheduler.store.tables import centres as centre_table
from compute_scheduler.store.tables import jobs as job_table
from compute_scheduler.store.tables import leases
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.compute_scheduler.network import OPERATOR, Network

ENDS = st.sampled_from([{"exit_code": 0}, {"exit_code": 1}, {"cause": "memory", "signal": 9, "exit_code": None}])

FAULTS = ("silence", "agent", "scheduler", "supervisor", "machine", "fence")


@dataclass
class Copy:
    """An attempt as the engine holds it: survives its agent, not its machine."""

    nonce: str = field(default_factory=lambda: uuid4().hex)
    granted: bool = False
    begun: bool = False
    record: dict[str, object] | None = None


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database to copy for each example."""
    path = tmp_path_factory.mktemp("template") / "compute.db"
    database = Database(f"sqlite:///{path}", name="compute-scheduler")
    database.migrate("compute_scheduler")
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


class AttemptMachine(RuleBasedStateMachine):
    """One centre, two schedulers, one agent at a time and its crashes."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="machine"))
        shutil.copy(self.template, self.folder / "compute.db")
        database = Database(f"sqlite:///{self.folder}/compute.db", name="compute-scheduler")
        self.network = Network(database)
        self.network.open()
        self.copies: dict[str, Copy] = {}
        self.begun: Counter[str] = Counter()
        self.jobs: dict[str, int] = {}
        self.first = True

    # what people do -----------------------------------------------------------------------------------------------

    @rule(retries=st.integers(0, 2), gang=st.sampled_from([1, 1, 2, 3]))
    def submit(self, retries: int, gang: int = 1) -> None:
        """Somebody submits a job, or a gang."""
        if len(self.jobs) < 6:
            self.jobs[self.network.submit(retries=retries, gang=gang)] = retries

    @precondition(lambda self: self.jobs)
    @rule(pick=st.integers(0, 99))
    def cancel(self, pick: int) -> None:
        """Somebody cancels a job, whatever its state."""
        with contextlib.suppress(StateConflict, JobUnknown):
            control.cancel(self.network.database, self.network.actor, self.pick(pick))

    # what the platform does ---------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(["a", "b"]))
    def schedule(self, name: str) -> None:
        """A scheduler makes a step."""
        with contextlib.suppress(LeaseLost):
            self.network.schedule(name)

    def scheduler_dies(self, name: str) -> None:
        """What it had in memory is gone; its lease runs out."""
        holder = f"{name}-{uuid4().hex[:8]}"
        self.network.schedulers[name] = Scheduler(self.network.database, self.network.settings, holder)
        self.expire(leases, "until")

    # what agents and engines do -----------------------------------------------------------------------------------

    @rule(answer_lost=st.booleans())
    def pull(self, answer_lost: bool) -> None:
        """The agent asks for work; the answer may not arrive."""
        try:
            answer = self.network.pull(first=self.first)
        except SessionLost:
            self.reopen()
            return
        if answer_lost:
            return
        self.first = False
        for order in answer["orders"]:
            self.copies.setdefault(order["attempt"], Copy())
        for attempt in answer["ends"]:
            self.end_copy(attempt)

    @precondition(lambda self: self.copies)
    @rule(pick=st.integers(0, 99), answer_lost=st.booleans())
    def claim(self, pick: int, answer_lost: bool) -> None:
        """A copy asks whether it may begin."""
        attempt = sorted(self.copies)[pick % len(self.copies)]
        copy = self.copies[attempt]
        if copy.granted or copy.record is not None:
            return
        try:
            answer = self.network.ask(attempt, copy.nonce)
        except SessionLost:
            self.reopen()
            return
        if answer_lost:
            return
        copy.granted = answer == "granted"
        if answer == "refused":
            del self.copies[attempt]

    @precondition(lambda self: any(copy.granted and not copy.begun for copy in self.copies.values()))
    @rule()
    def begin(self) -> None:
        """The engine starts what was granted."""
        for attempt, copy in self.copies.items():
            if copy.granted and not copy.begun and copy.record is None:
                copy.begun = True
                self.begun[attempt] += 1

    @precondition(lambda self: any(copy.begun and copy.record is None for copy in self.copies.values()))
    @rule(pick=st.integers(0, 99), record=ENDS)
    def finish(self, pick: int, record: dict[str, object]) -> None:
        """A command ends."""
        running = sorted(name for name, copy in self.copies.items() if copy.begun and copy.record is None)
        self.copies[running[pick % len(running)]].record = {"cause": "exit", "run_s": 1.0, **record}

    @precondition(lambda self: any(copy.record is not None for copy in self.copies.values()))
    @rule(answer_lost=st.booleans())
    def report(self, answer_lost: bool) -> None:
        """The agent says what has ended; the acknowledgement may not arrive."""
        for attempt, copy in list(self.copies.items()):
            if copy.record is not None:
                try:
                    self.network.end(attempt, copy.nonce, **copy.record)
                except SessionLost:
                    self.reopen()
                    return
                if not answer_lost:
                    del self.copies[attempt]

    @rule()
    def work(self) -> None:
        """Everything goes well for a moment: what can begin begins, so that faults meet running commands."""
        self.expire(leases, "until")
        self.schedule("a")
        self.schedule("a")
        self.pull(answer_lost=False)
        for attempt in sorted(self.copies) * 2:
            if attempt in self.copies:
                self.claim(sorted(self.copies).index(attempt), answer_lost=False)
        if any(copy.granted and not copy.begun for copy in self.copies.values()):
            self.begin()

    def agent_restarts(self) -> None:
        """The agent was killed: its memory is gone, the folders and the commands are not."""
        for copy in self.copies.values():
            copy.granted = copy.granted and copy.begun
        self.reopen()

    def supervisor_dies(self) -> None:
        """What ran is ended without anybody knowing how."""
        for copy in self.copies.values():
            if copy.begun and copy.record is None:
                copy.record = {"cause": "supervisor_lost", "exit_code": None}

    def machine_is_replaced(self) -> None:
        """Folders and commands are gone, and another agent comes once the lease has run out."""
        self.copies.clear()
        self.network.instance = uuid4().hex
        self.expire(centre_table, "lease_until")
        self.reopen()

    def centre_falls_silent(self, declared: bool) -> None:
        """Its lease runs out; an operator may declare it gone, having switched its machines off."""
        self.expire(centre_table, "lease_until")
        if declared:
            self.copies.clear()
            try:
                centres.fence(self.network.database, OPERATOR, "c1")
            except CentreStillThere:
                raise AssertionError("the lease has run out") from None

    @rule(kind=st.sampled_from(FAULTS))
    def fault(self, kind: str) -> None:
        """One thing breaks."""
        match kind:
            case "scheduler":
                self.scheduler_dies("a")
            case "agent":
                self.agent_restarts()
            case "supervisor":
                self.supervisor_dies()
            case "machine":
                self.machine_is_replaced()
            case "silence":
                self.centre_falls_silent(declared=False)
            case "fence":
                self.centre_falls_silent(declared=True)

    # what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def no_attempt_begins_twice(self) -> None:
        """The proof outside the store."""
        assert [name for name, times in self.begun.items() if times > 1] == []

    @invariant()
    def a_kept_picture_shows_what_a_new_one_does(self) -> None:
        """Whatever happened between two looks, to whomever."""
        now = utc_now()
        with self.network.database.reading() as session:
            new = Picture(self.network.settings, Policy()).look(session, now, self.network.clock)
            for scheduler in self.network.schedulers.values():
                kept = scheduler.picture.look(session, now, self.network.clock)
                for part in ("centres", "tenants", "usages", "queued", "running", "conditional", "outcomes"):
                    assert getattr(kept, part) == getattr(new, part), part
                assert kept.index.nodes == new.index.nodes
                assert plan_board(kept, now.timestamp(), Policy()) == plan_board(new, now.timestamp(), Policy())

    @invariant()
    def no_job_runs_in_two_places(self) -> None:
        """Commands that run now: members of a gang are of one epoch."""
        running = [name.split(".") for name, copy in self.copies.items() if copy.begun and copy.record is None]
        members = [(job, rank) for job, _, *rank in running]
        assert all(members.count(member) == 1 for member in members)
        assert len({job for job, *_ in running}) == len({(job, epoch) for job, epoch, *_ in running})

    @invariant()
    def no_gang_begins_in_part(self) -> None:
        """Where a member's command has begun, every member of that epoch has been let begin."""
        with self.network.database.reading() as session:
            let = dict(session.execute(sa.select(attempt_table.c.id, attempt_table.c.running_at)).all())
        for name in self.begun:
            job, epoch, *_ = name.split(".")
            assert all(let[other] for other in let if other.startswith(f"{job}.{epoch}.") or other == name), name

    @invariant()
    def every_state_has_a_reason(self) -> None:
        """In words."""
        for row in self.rows():
            assert row["reason"], row

    def teardown(self) -> None:
        """From here on nothing breaks: every job comes to an end."""
        try:
            self.settle()
            for row in self.rows():
                began = {name.split(".")[1] for name in self.begun if states.job_of(name) == row["id"]}
                assert row["state"] in states.FINAL, row
                assert len(began) <= 1 + self.jobs[row["id"]], (row, began)
                assert row["state"] != "succeeded" or began, row
        finally:
            self.network.database.close()
            shutil.rmtree(self.folder)

    def settle(self) -> None:
        """The platform works on until nothing is left to do."""
        self.expire(leases, "until")
        for _ in range(200):
            if all(row["state"] in states.FINAL for row in self.rows()):
                return
            self.forget_pauses()
            self.schedule("a")
            self.network.age_handing_out(10)
            self.pull(answer_lost=False)
            for attempt in list(self.copies):
                if attempt in self.copies:
                    self.claim(sorted(self.copies).index(attempt), answer_lost=False)
            self.begin()
            for copy in self.copies.values():
                if copy.begun and copy.record is None:
                    copy.record = {"cause": "exit", "exit_code": 0, "run_s": 1.0}
            self.report(answer_lost=False)

    # -------------------------------------------------------------------------------------------------------------

    def pick(self, number: int) -> str:
        """One of the jobs."""
        return sorted(self.jobs)[number % len(self.jobs)]

    def rows(self) -> list[dict[str, object]]:
        """Every job."""
        with self.network.database.reading() as session:
            return [dict(row) for row in session.execute(sa.select(job_table)).mappings()]

    def reopen(self) -> None:
        """The agent begins a new session with what its folders hold."""
        try:
            opened = self.network.open(held=sorted(self.copies))
        except CentreHeld:
            return
        self.first = True
        for attempt in opened["stop"]:
            self.end_copy(attempt)

    def end_copy(self, attempt: str) -> None:
        """The engine ends a command."""
        copy = self.copies.get(attempt)
        if copy is not None and copy.record is None:
            copy.record = {"cause": "cancelled", "exit_code": None, "signal": 15}

    def expire(self, table: sa.Table, column: str) -> None:
        """Leases of the table run out."""
        with self.network.database.transaction() as session:
            session.execute(sa.update(table).values({column: utc_now() - timedelta(seconds=1)}))

    def forget_pauses(self) -> None:
        """Time passes for jobs that wait between two tries."""
        with self.network.database.transaction() as session:
            session.execute(sa.update(job_table).values(not_before_at=None))
        for scheduler in self.network.schedulers.values():
            scheduler.picture.forget()


def test_no_order_of_crashes_loses_a_job_or_runs_one_twice(template: Path) -> None:
    """Each example is a life of the platform: up to six jobs, up to 25 events, then peace."""
    from hypothesis.stateful import run_state_machine_as_test

    AttemptMachine.template = template
    chosen = settings(
        max_examples=30,
        stateful_step_count=25,
        suppress_health_check=list(HealthCheck),
        deadline=None,
        print_blob=False,
    )
    run_state_machine_as_test(AttemptMachine, settings=chosen)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("depth", range(4))
@pytest.mark.parametrize("gang", [1, 2])
def test_each_fault_at_each_depth_of_an_attempt(template: Path, fault: str, depth: int, gang: int) -> None:
    """Chance seldom goes deep: here each fault meets an attempt at each step, twice, and work goes on after each."""
    AttemptMachine.template = template
    life = AttemptMachine()
    life.submit(1, gang)
    for _ in range(2):
        for step in (life.schedule, life.pull, life.claim, life.begin)[: depth + 1]:
            if step == life.schedule:
                step("a")
            elif step == life.pull:
                step(answer_lost=False)
            elif step == life.claim and life.copies:
                step(0, answer_lost=False)
            elif step == life.begin:
                step()
        life.fault(fault)
        life.work()
        life.no_attempt_begins_twice()
        life.no_job_runs_in_two_places()
        life.no_gang_begins_in_part()
        life.work()
        life.no_attempt_begins_twice()
        life.no_job_runs_in_two_places()
        life.every_state_has_a_reason()
    life.teardown()
