"""A centre and the service's side of it, without HTTP: what store tests work with."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.database import Database
from compute_scheduler.clients import DatasetFacts, DatasetRights
from compute_scheduler.domain.spec import JobSpec
from compute_scheduler.service import centres
from compute_scheduler.service.exchange import Exchange
from compute_scheduler.service.scheduling import Scheduler
from compute_scheduler.service.submit import Submissions
from compute_scheduler.service.tenancy import Actor
from compute_scheduler.settings import Settings
from compute_scheduler.store import jobs as store
from compute_scheduler.store.tables import attempts

ORG = "12370000000000000R"
OPERATOR = Principal("usr_1", "user", ORG, "operator", roles=frozenset({"operator"}))
NODE = {"name": "n1", "cores": 4.0, "memory_mb": 4000, "accelerators": {}, "load": {}}


class ToldDatasets(DatasetRights):
    """Data sets as a test says they are; the data hub itself is asked in `test_data_hub.py`."""

    def __init__(self) -> None:
        self.known: dict[str, DatasetFacts] = {}

    def facts(self, dataset: str, version: str | None, caller: Principal, token: str) -> DatasetFacts | str:
        """What the test has said."""
        return self.known.get(dataset) or "没有这个数据集"


class Network:
    """One centre `c1` with one node of four cores, one or more schedulers, and whoever plays the agent."""

    def __init__(self, database: Database, **settings: Any) -> None:
        self.database = database
        self.settings = Settings(**settings)
        self.exchange = Exchange(database, self.settings)
        self.datasets = ToldDatasets()
        self.submissions = Submissions(database, self.settings, self.datasets)
        self.actor = Actor(OPERATOR)
        self.instance = uuid4().hex
        self.clock = 0.0
        centres.make_centre(database, OPERATOR, centre="c1", title="一号", kind="edge")
        self.schedulers = {name: Scheduler(database, self.settings, name) for name in ("a", "b")}
        self.session = 0

    def open(
        self, held: list[str] | None = None, instance: str | None = None, *, queues: bool = False
    ) -> dict[str, Any]:
        """The agent begins a session. queues: whether its engine keeps waiting what it has no room for."""
        known = {"instance": instance or self.instance, "nodes": [NODE], "capabilities": {"queues": queues}}
        body = known | {"held": held or []}
        opened = self.exchange.open_session("c1", body)
        self.session = opened["session"]
        return opened

    def submit(self, **spec: Any) -> str:
        """The id of a new job of one core."""
        body = {"name": "t", "command": ["true"], "resources": {"cores": 1, "memory_mb": 100}} | spec
        rows, _ = self.submissions.submit(self.actor, [JobSpec.model_validate(body)], token="")
        return str(rows[0]["id"])

    def schedule(self, name: str = "a", *, after_s: float = 1.0) -> int:
        """One step of a scheduler, so long after the last."""
        self.clock += after_s
        return self.schedulers[name].step(self.clock)

    def pull(
        self, *, first: bool = False, ending: list[str] | None = None, session: int | None = None
    ) -> dict[str, Any]:
        """The agent asks for work."""
        body = {"nodes": None, "ending": ending or [], "first": first}
        return self.exchange.pull("c1", session or self.session, body)

    def claim(self, attempt: str, nonce: str, *, session: int | None = None) -> bool:
        """Whether a claim is granted."""
        body = {"claims": [{"attempt": attempt, "nonce": nonce}], "logs": [], "ended": []}
        return attempt in self.exchange.report("c1", session or self.session, body)["granted"]

    def ask(self, attempt: str, nonce: str) -> str:
        """What a claim gets: granted, refused, or kept until the gang is complete."""
        body = {"claims": [{"attempt": attempt, "nonce": nonce}], "logs": [], "ended": []}
        answer = self.exchange.report("c1", self.session, body)
        return next((word for word in ("granted", "refused") if attempt in answer[word]), "kept")

    def end(self, attempt: str, nonce: str, **record: Any) -> None:
        """The agent reports an end."""
        known = {"cause": "exit", "exit_code": 0, "run_s": 1.0} | record
        item = {"attempt": attempt, "nonce": nonce, "record": known, "outputs": {}, "missing": []}
        self.exchange.report("c1", self.session, {"claims": [], "logs": [], "ended": [item]})

    def job(self, job_id: str) -> dict[str, Any]:
        """A job's row."""
        with self.database.reading() as session:
            row = store.job(session, job_id)
        assert row is not None
        return row

    def attempts(self, job_id: str) -> list[dict[str, Any]]:
        """A job's attempts."""
        with self.database.reading() as session:
            return store.attempts_of(session, job_id)

    def started(self, **spec: Any) -> tuple[str, str]:
        """(job, attempt) of a new job that the agent has been handed."""
        job_id = self.submit(**spec)
        self.schedule()
        orders = self.pull()["orders"]
        assert [order["job"] for order in orders] == [job_id]
        return job_id, orders[0]["attempt"]

    def age_handing_out(self, seconds: float) -> None:
        """Makes what was handed out so much older."""
        from datetime import timedelta

        with self.database.transaction() as session:
            session.execute(sa.update(attempts).values(submitting_at=utc_now() - timedelta(seconds=seconds)))
