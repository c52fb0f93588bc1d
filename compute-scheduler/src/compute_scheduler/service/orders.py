"""What an agent is told to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

from sqlalchemy.orm import Session

from compute_scheduler.domain.states import job_of
from compute_scheduler.service.moves import amounts_held, gang_of
from compute_scheduler.store import centres
from compute_scheduler.store import jobs as store

Row = dict[str, Any]
FIRST_PORT, PORTS = 20_000, 10_000


def orders(session: Session, work: Sequence[tuple[Row, Row]], brain: str | None = None) -> list[Row]:
    """An order for each (attempt, job): what to run with which environment, files and limits.

    brain: the id of this one, told to a centre whose jobs run in another: `hops` are the brains that a job has left.
    """
    gangs: dict[str, list[Row]] = {}
    made = []
    for attempt, job in work:
        if gang_of(job) == 1:
            made.append(_order(attempt, job, {}))
            continue
        if job["id"] not in gangs:
            gangs[job["id"]] = store.members(session, job["id"], attempt["epoch"])
        made.append(_order(attempt, job, _places(session, attempt, gangs[job["id"]])))
    if brain is not None:
        for order, (_, job) in zip(made, work, strict=True):
            order["hops"] = [*job["spec"].get("lent", {}).get("hops", []), brain]
    return made


def _order(attempt: Row, job: Row, env: dict[str, str]) -> Row:
    spec, holding = job["spec"], attempt["accelerators"]
    held = amounts_held(spec["resources"], holding)
    devices = {kind: item["devices"] for kind, item in (holding or {}).items()}
    return {
        "attempt": attempt["id"],
        "job": job["id"],
        "epoch": attempt["epoch"],
        "node": attempt["node"],
        "command": spec["command"],
        "env": spec["env"] | {"BRAIN_JOB": _known_as(job)} | env | _told(held),
        # Of several kinds the one that the node has, and the devices that this attempt was given.
        "resources": spec["resources"] | {"accelerators": held, "devices": devices},
        "time_limit_s": spec["time_limit_s"],
        "inputs": spec["inputs"],
        "data": attempt["data"] or [],
        # Those of a gang are what its first member leaves.
        "outputs": spec["outputs"] if not attempt["rank"] else [],
    }


def _known_as(job: Row) -> str:
    """The id by which its owner knows the job: of a borrowed one that of the other brain."""
    return job_of(job["spec"]["lent"]["attempt"]) if "lent" in job["spec"] else str(job["id"])


def _told(held: dict[str, float]) -> dict[str, str]:
    """What the job is told of its accelerators: `A100=0.25`, or several with commas between them."""
    return {"BRAIN_ACCELERATORS": ",".join(f"{kind}={number:g}" for kind, number in held.items())} if held else {}


def _places(session: Session, attempt: Row, members: list[Row]) -> dict[str, str]:
    """By what a member finds the others: the variables of torchrun, and the address of each in order of rank.

    The port is drawn from the attempt, so all know it; that it is free on the first member's node is likely, not sure.
    """
    known = centres.addresses(session, [member["node"] for member in members])
    addresses = [known.get(str(member["node"]), str(member["node"])) for member in members]
    beside = [member["rank"] for member in members if member["node"] == attempt["node"]]
    return {
        "RANK": str(attempt["rank"]),
        "WORLD_SIZE": str(len(members)),
        "LOCAL_RANK": str(beside.index(attempt["rank"])),
        "MASTER_ADDR": addresses[0],
        "MASTER_PORT": str(FIRST_PORT + crc32(f"{attempt['job']}.{attempt['epoch']}".encode()) % PORTS),
        "BRAIN_MEMBERS": ",".join(addresses),
    }
