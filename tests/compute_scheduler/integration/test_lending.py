"""A county lends to a province: jobs run there once, whatever is cut, lost or taken back, and both accounts agree."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from brain_kit.client import Call

from tests.compute_scheduler.lending import CENTRE, LOAN, Brains

# Leaves a line when it begins, waits until the file `go` is there, leaves another.
RUN = """
import os, pathlib, sys, time
mark = pathlib.Path(sys.argv[1])
def leave(word):
    fd = os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600); os.write(fd, f"{word}\\n".encode()); os.close(fd)
leave("began")
print("borrowed", flush=True)
while len(sys.argv) > 2 and not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.05)
leave("ended")
"""


class Marks:
    """Where a command leaves what it did."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file, self.go = folder / "runs", folder / "go"

    def command(self, *, waits: bool = False) -> list[str]:
        """The command; one that waits ends when `go` is there."""
        return [sys.executable, "-c", RUN, str(self.file), *([str(self.go)] if waits else [])]

    def words(self) -> list[str]:
        """What was left."""
        return self.file.read_text().split() if self.file.exists() else []


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def brains(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brains]:
    """Two platforms on SQLite, then on PostgreSQL, one pair for the module."""
    folder = tmp_path_factory.mktemp("brains")
    (folder / "marks").mkdir()
    prefix, databases = f"t{uuid4().hex[:12]}_", None
    if request.param == "postgresql":
        databases = request.getfixturevalue("postgres").database_url(prefix + "{brain}_{service}")
    made = Brains(folder, writable=folder / "marks", databases=databases)
    made.until(lambda: made.offered() == 2)
    yield made
    made.close()
    if databases:
        request.getfixturevalue("postgres").drop_databases(prefix)


@pytest.fixture
def marks(brains: Brains, request: pytest.FixtureRequest) -> Iterator[Marks]:
    """Marks of one test; afterwards everything is as it was before."""
    folder = brains.folder / "marks" / request.node.name.replace("/", "")
    folder.mkdir()
    made = Marks(folder)
    yield made
    made.go.touch()
    brains.wire.is_cut, brains.wire.loses = False, lambda call: False
    brains.until(lambda: not [job for job in brains.lent() if job["is_live"]])
    brains.reopen()


def _is(method: str, end: str) -> Callable[[Call], bool]:
    return lambda call: call.method == method and call.path.endswith(end)


def _once(chosen: Callable[[Call], bool]) -> Callable[[Call], bool]:
    seen: list[Call] = []
    return lambda call: chosen(call) and not seen and not seen.append(call)  # type: ignore[func-returns-value]


def test_a_job_runs_at_the_county_with_its_files_and_both_accounts_agree(brains: Brains) -> None:
    """What it was given, printed and made goes across; each brain charges the same seconds by its own list."""
    octets = {"content-type": "application/octet-stream"}
    given = brains.province.json("PUT", "/v1/files", content=b"21", headers=octets)
    script = "print('borrowed'); n = int(open('in.txt').read()); open('out.txt', 'w').write(str(2 * n))"
    inputs = {"in.txt": {"sha256": given["sha256"]}}
    job_id = brains.province.submit(sys.executable, "-c", script, inputs=inputs, outputs=["out.txt"])
    job = brains.province.ended(job_id)
    assert (job["state"], job["attempts"][0]["centre"]) == ("succeeded", CENTRE), job["reason"]
    assert brains.province.log(job_id) == "borrowed\n"
    digest = job["outputs"]["out.txt"]["sha256"]
    assert brains.province.call("GET", f"/v1/files/{digest}").content == b"42"
    there = brains.county.job(brains.job_there(job_id)["id"])
    assert (there["org"], there["priority"], there["state"]) == (brains.borrower, "lent", "succeeded")

    line = brains.until(lambda: brains.settle_figures() or _charged_line(brains, job_id))
    seconds = there["attempts"][0]["usage"]["run_s"]
    assert line["here"]["wall_s"] == line["there"]["wall_s"] == pytest.approx(seconds, abs=0.001)
    # One core at 0.9 yuan an hour at the province, at 0.36 at the county: 0.00025 and 0.0001 yuan a second.
    assert float(line["here"]["amount"]) == pytest.approx(seconds * 0.00025, abs=2e-6)
    assert float(line["there"]["amount"]) == pytest.approx(seconds * 0.0001, abs=2e-6)
    for yard, payer, payee in (
        (brains.county, brains.borrower, brains.county.org),
        (brains.province, brains.province.org, brains.owner),
    ):
        period = yard.json("GET", "/v1/settlement/periods")["items"][0]["period"]
        (found,) = yard.json("GET", "/v1/settlement/statements", params={"period": period})["items"]
        assert (found["tenant"], found["owner"]) == (payer, payee)
    # The county may have heard of the province's figures before the province had charged for the job.
    of_loan = brains.until(lambda: brains.settle_figures() or _agreed(brains))
    assert (of_loan["differs"], of_loan["unknown_here"], of_loan["same"]) == (0, 0, 1)
    told = brains.county.call("GET", "/v1/lending/statement", params={"loan": LOAN, "format": "csv"})
    assert told.content.decode("utf-8-sig").splitlines()[1].startswith(line["attempt"])


def _agreed(brains: Brains) -> Any:
    """The county's statement of the loan, once a line of it is the same on both sides."""
    found = brains.county.json("GET", "/v1/lending/statement", params={"loan": LOAN})
    return found if found["same"] else None


def _charged_line(brains: Brains, job_id: str) -> Any:
    """What both say of the job, once both have charged for it."""
    found = brains.province.json("GET", "/v1/lending/statement", params={"centre": CENTRE})["items"]
    both = [item for item in found if item["attempt"].startswith(job_id) and item["state"] == "same"]
    return next((item for item in both if item["here"]["price_list"] and item["there"]["price_list"]), None)


@pytest.mark.parametrize("end", ["/jobs", "/begin", "/looks"])
def test_an_answer_that_is_lost_makes_no_second_run(brains: Brains, marks: Marks, end: str) -> None:
    """The lender did what it was asked, the borrower does not know: it asks again and finds the same job."""
    brains.wire.loses = _once(_is("POST", end))
    before = brains.wire.lost
    job_id = brains.province.submit(*marks.command())
    assert brains.province.ended(job_id)["state"] == "succeeded"
    assert brains.wire.lost == before + 1
    assert marks.words() == ["began", "ended"]
    assert brains.job_there(job_id)["state"] == "succeeded"


def test_a_silent_county_loses_nothing_and_gets_nothing_new(brains: Brains, marks: Marks) -> None:
    """Its job runs on, its end is told when it is back; meanwhile the agent dies and comes again."""
    job_id = brains.province.submit(*marks.command(waits=True))
    brains.until(lambda: marks.words() == ["began"])
    brains.wire.is_cut = True
    brains.until(lambda: brains.offered() == 0)
    assert brains.province.json("GET", f"/v1/centres/{CENTRE}")["state"] == "down"
    waiting = brains.province.submit(*marks.command())
    brains.end()
    marks.go.touch()
    brains.until(lambda: brains.job_there(job_id)["state"] == "succeeded")
    assert brains.province.job(job_id)["state"] == "running"
    assert brains.province.job(waiting)["state"] == "queued"
    brains.begin()
    brains.wire.is_cut = False
    assert brains.province.ended(job_id)["state"] == "succeeded"
    assert brains.province.ended(waiting)["state"] == "succeeded"
    assert brains.province.log(job_id) == "borrowed\n"
    assert marks.words() == ["began", "ended"] * 2


def test_a_revoked_key_stops_new_work_and_a_new_one_goes_on(brains: Brains, marks: Marks) -> None:
    """What runs is neither lost nor given up; the operator reads what is wrong."""
    job_id = brains.province.submit(*marks.command(waits=True))
    brains.until(lambda: marks.words() == ["began"])
    brains.county.identity("DELETE", f"/v1/keys/{brains.key['id']}", brains.county.operator)
    centre = brains.until(lambda: _down(brains))
    assert "密钥" in centre["capabilities"]["health"]["detail"]
    assert brains.key["key"] not in str(centre)
    marks.go.touch()
    brains.key = brains.county.json("POST", f"/v1/lending/loans/{LOAN}/keys")
    assert brains.province.ended(job_id)["state"] == "succeeded"
    assert marks.words() == ["began", "ended"]


def _down(brains: Brains) -> Any:
    centre = brains.province.json("GET", f"/v1/centres/{CENTRE}")
    return centre if centre["state"] == "down" else None


def test_less_is_lent_at_once_and_what_runs_is_stopped_after_the_notice(brains: Brains, marks: Marks) -> None:
    """The job goes back into the province's queue without a failure, and runs again once there is room."""
    job_id = brains.province.submit(*marks.command(waits=True))
    brains.until(lambda: marks.words() == ["began"])
    brains.change(amounts={"cores": 0, "memory_mb": 0})
    brains.until(lambda: brains.offered() == 0)
    job = brains.province.wait(job_id, lambda job: job["state"] == "queued")
    assert job["attempts"][0]["outcome"] == "preempted"
    assert job["preemptions"] == 1
    assert brains.job_there(job_id)["reclaimed"]
    assert "收回" in brains.job_there(job_id)["reason"]
    marks.go.touch()
    brains.reopen()
    assert brains.province.ended(job_id)["state"] == "succeeded"
    assert marks.words() == ["began", "began", "ended"]


def test_what_may_end_ends_and_what_waits_goes_back(brains: Brains, marks: Marks) -> None:
    """Under `wait` a recall stops nothing that runs; what has not begun returns to the province at once."""
    brains.change(reclaim="wait")
    first = brains.province.submit(*marks.command(waits=True), resources={"cores": 2, "memory_mb": 200})
    brains.until(lambda: marks.words() == ["began"])
    told = brains.county.json("POST", f"/v1/lending/loans/{LOAN}/recall", json={})
    assert (told["state"], told["available"]) == ("recalled", False)
    second = brains.province.submit(*marks.command())
    brains.until(lambda: brains.offered() == 0)
    marks.go.touch()
    assert brains.province.ended(first)["state"] == "succeeded"
    assert brains.province.job(second)["state"] == "queued"
    refused = brains.submit_directly("job_01K9XQ4Z000000000000000000.1", hops=[brains.province_id()])
    assert (refused["code"], refused["reason"]) == ("loan_not_open", "loan_recalled")
    brains.reopen()
    assert brains.province.ended(second)["state"] == "succeeded"


def test_own_jobs_take_lent_room_back(brains: Brains, marks: Marks) -> None:
    """The county's job needs the whole machine: the borrowed one makes way and queues again at the province."""
    job_id = brains.province.submit(*marks.command(waits=True), time_limit_s=3600)
    brains.until(lambda: marks.words() == ["began"])
    own = brains.county.submit(sys.executable, "-c", "", resources={"cores": 4, "memory_mb": 200})
    assert brains.county.ended(own)["state"] == "succeeded"
    assert brains.province.wait(job_id, lambda job: job["preemptions"] == 1)["attempts"][0]["outcome"] == "preempted"
    marks.go.touch()
    assert brains.province.ended(job_id)["state"] == "succeeded"


def test_either_side_cancels(brains: Brains, marks: Marks) -> None:
    """The owner's word ends the job at the county; the county's word is a failure that names who did it."""
    job_id = brains.province.submit(*marks.command(waits=True))
    brains.until(lambda: marks.words() == ["began"])
    brains.province.json("POST", f"/v1/jobs/{job_id}/cancel")
    assert brains.province.ended(job_id)["state"] == "cancelled"
    assert brains.until(lambda: brains.job_there(job_id)["state"]) == "cancelled"
    other = brains.province.submit(*marks.command(waits=True))
    brains.until(lambda: marks.words() == ["began", "began"])
    brains.county.json("POST", f"/v1/jobs/{brains.job_there(other)['id']}/cancel")
    job = brains.province.ended(other)
    assert (job["state"], job["reason"]) == ("failed", "作业在集群一侧被取消，不是经本平台")


def test_a_job_is_not_lent_twice(brains: Brains, marks: Marks) -> None:
    """Neither back to where it came from nor on to a third brain; nothing is made."""
    own, other = brains.county_id(), brains.province_id()
    assert brains.county.job(brains.lent()[0]["id"])["id"]
    before = len(brains.lent())
    loop = brains.submit_directly("job_01K9XQ4Z000000000000000001.1", hops=[own])
    assert (loop["status"], loop["code"], loop["reason"]) == (409, "lending_loop", "lending_loop")
    twice = brains.submit_directly("job_01K9XQ4Z000000000000000002.1", hops=["brn_01K9XQ4Z000000000000000000", other])
    assert (twice["status"], twice["reason"]) == (409, "lent_twice")
    assert len(brains.lent()) == before


def test_what_is_wrong_with_a_loan_is_named(brains: Brains) -> None:
    """Each field that is wrong is named; the other brain's key opens nothing but its loan."""
    bad = {"id": "x", **brains.terms, "amounts": {"cores": -1}, "until_at": "2020-01-01T00:00:00Z"}
    problem = brains.county.problem("POST", "/v1/lending/loans", json=bad)
    assert problem["code"] == "loan_invalid"
    assert {item["field"] for item in problem["errors"]} == {"amounts.memory_mb", "amounts.cores", "until_at"}
    unknown = {"id": "x", **brains.terms, "borrower": "91370303MA3C0000XX"}
    assert brains.county.problem("POST", "/v1/lending/loans", json=unknown)["errors"][0]["field"] == "borrower"
    again = {"id": LOAN, **brains.terms}
    assert brains.county.problem("POST", "/v1/lending/loans", json=again)["code"] == "loan_exists"
    org, _ = brains.county.token_of("enterprise")
    brains.county.json("PUT", f"/v1/tenants/{org}/quota", json={"quota": {"cores": 1, "memory_mb": 1000}})
    taken = brains.county.problem("POST", "/v1/lending/loans", json={"id": "y", **brains.terms, "borrower": org})
    assert taken["code"] == "borrower_has_quota"
    token = brains.county.token_of_key(brains.key["key"])
    for path in ("/v1/lending", "/v1/lending/loans/province", "/v1/agents/local/pulls"):
        method = "POST" if "agents" in path else "GET"
        body = {"json": {"session": 1}} if method == "POST" else {}
        assert brains.county.call(method, path, token, **body).status == 403
    stranger = brains.county.problem("POST", "/v1/loans/other/looks", token, json={})
    assert stranger["code"] == "not_your_loan"
