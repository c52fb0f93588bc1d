"""Two brains in one process: a county lends to a province, whose jobs then run at the county."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from brain_kit.client import Call, ServiceClient, StreamedReply
from brain_kit.problems import Unavailable
from compute_scheduler.agent.agent import Agent
from compute_scheduler.agent.figures import FigureExchange
from compute_scheduler.agent.link import Link
from compute_scheduler.engine.brain import BrainEngine
from compute_scheduler.engine.partner import Partner

from tests.compute_scheduler.yard import ROLES, Yard

LOAN, CENTRE = "province", "county"
BRAINS = ("county", "province")
PLATFORM = tuple(role for role in ROLES if role != "agent")


class Wire:
    """What lies between two brains: it can be cut, and can lose answers after they were given."""

    def __init__(self, yard: Yard) -> None:
        self._transport = yard.platform.client("compute-scheduler")._transport()
        self.is_cut = False
        self.loses: Callable[[Call], bool] = lambda call: False
        self.lost = 0

    def open(self, call: Call) -> StreamedReply:
        """Sends the call, or not."""
        if self.is_cut:
            raise Unavailable("the wire is cut")
        answer = self._transport.open(call)
        if self.loses(call):
            self.lost += 1
            b"".join(answer.iter_bytes())
            answer.close()
            raise Unavailable("the answer was lost")
        return answer

    def close(self) -> None:
        """Nothing is its own."""


class Brains:
    """county lends two cores to province; the province has no machine of its own.

    databases: a URL with the placeholders {brain} and {service}; None: SQLite in their folders.
    """

    def __init__(self, folder: Path, writable: Path, databases: str | None = None) -> None:
        self.folder = folder
        of = {name: {"database_url": databases.replace("{brain}", name)} if databases else {} for name in BRAINS}
        told = {
            "LOCAL_CORES": "4", "LOCAL_MEMORY_MB": "4000", "JOB_WRITABLE": json.dumps([str(writable)]),
            "LENDING_RECLAIM_AFTER_S": "1", "PREEMPT_EVERY_S": "0.5",
        }  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:  # a service reads its own settings from the environment
            for name, value in told.items():
                patch.setenv(f"BRAIN_COMPUTE_SCHEDULER_{name}", value)
            self.county = Yard(folder / "county", log_level="ERROR", **of["county"])
        self.province = Yard(folder / "province", roles=PLATFORM, log_level="ERROR", **of["province"])
        self.borrower, _ = self.county.token_of("department")
        self.terms = {"borrower": self.borrower, "title": "出借给省平台", "amounts": {"cores": 2, "memory_mb": 2000}}
        self.county.json("POST", "/v1/lending/loans", json={"id": LOAN, **self.terms, "reclaim": "stop", "notice_s": 1})
        self.key = self.county.json("POST", f"/v1/lending/loans/{LOAN}/keys")
        for yard, price in ((self.county, "0.36"), (self.province, "0.9")):
            yard.json("POST", "/v1/price-lists", json={"core_hour": price})
        self.wire = Wire(self.county)
        self.owner, _ = self.province.token_of("department")
        self.province.json("POST", "/v1/centres", json={"id": CENTRE, "title": "县平台", "owner": self.owner})
        made = self.province.json("POST", f"/v1/centres/{CENTRE}/keys")["key"]
        self._agent_token = lambda: self.province.token_of_key(made)
        self.root = folder / "borrower"
        self.root.mkdir()
        self._stop = threading.Event()
        self.begin()

    def partner(self) -> Partner:
        """The county as the province's agent reaches it; its key is looked at anew for each call, as by a gateway."""
        token = lambda: self.county.token_of_key(self.key["key"])  # noqa: E731
        return Partner(ServiceClient("compute-scheduler", lambda: self.wire, token), LOAN)

    def link(self) -> Link:
        """The province as its agent reaches it."""
        wire = Wire(self.province)
        return Link(ServiceClient("compute-scheduler", lambda: wire, self._agent_token), CENTRE)

    def begin(self) -> None:
        """The agent begins, with what its folder holds."""
        self._stop = threading.Event()
        engine = BrainEngine(self.root, self.partner(), look_s=0.1)
        self._agent = threading.Thread(target=Agent(self.link(), self.root, engine).run, args=(self._stop,))
        self._agent.start()

    def end(self) -> None:
        """The agent ends as if it were killed: nothing is told to anybody."""
        self._stop.set()
        self._agent.join(30)
        assert not self._agent.is_alive()

    def close(self) -> None:
        """Ends everything."""
        self.end()
        self.province.close()
        self.county.close()

    def settle_figures(self) -> None:
        """Both brains tell each other what they have."""
        exchange = FigureExchange(self.link(), self.partner(), self.root)
        while exchange.step():
            pass

    def change(self, **terms: Any) -> dict[str, Any]:
        """Changes the loan."""
        body: dict[str, Any] = self.county.json("PATCH", f"/v1/lending/loans/{LOAN}", json=terms)
        return body

    def reopen(self) -> None:
        """The loan as it was at first."""
        self.change(state="open", amounts=self.terms["amounts"], hours=[], reclaim="stop", notice_s=1)
        self.until(lambda: self.offered() == 2)

    def offered(self) -> float:
        """Cores that the province may use at the county now."""
        nodes = self.province.json("GET", f"/v1/centres/{CENTRE}")["nodes"]
        return float(sum(node["cores"] for node in nodes if node["state"] == "up"))

    def lent(self) -> list[dict[str, Any]]:
        """The county's jobs of the loan."""
        jobs: list[dict[str, Any]] = self.county.json("GET", f"/v1/lending/loans/{LOAN}")["jobs"]
        return jobs

    def county_id(self) -> str:
        """By what others know the county."""
        return str(self.county.json("GET", "/v1/lending")["brain"])

    def province_id(self) -> str:
        """By what others know the province."""
        return str(self.province.json("GET", "/v1/lending")["brain"])

    def submit_directly(self, attempt: str, hops: list[str]) -> dict[str, Any]:
        """The problem with which the county refuses an attempt."""
        spec = {"name": "direct", "command": ["true"], "resources": {"cores": 1, "memory_mb": 200}}
        body = {"attempt": attempt, "mark": "direct", "hops": hops, "spec": spec}
        return self.county.problem(
            "POST", f"/v1/loans/{LOAN}/jobs", self.county.token_of_key(self.key["key"]), json=body
        )

    def job_there(self, job_id: str) -> dict[str, Any]:
        """The county's only job of the province's job."""
        (found,) = [job for job in self.lent() if job["attempt"].startswith(job_id)]
        return found

    @staticmethod
    def until(fulfils: Callable[[], Any], timeout_s: float = 60) -> Any:
        """What the question answers once that is true."""
        deadline = time.monotonic() + timeout_s
        while not (answer := fulfils()):
            assert time.monotonic() < deadline, "it has not come true"
            time.sleep(0.05)
        return answer
