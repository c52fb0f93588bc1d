"""What slurmrestd says, as the engine reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from compute_scheduler.engine.cluster import Submission
from compute_scheduler.engine.slurm import copy_of, expiry, job_document, node_of, shards_each

NAME = "job_00000000000000000000000001.1"
# As slurmrestd 22.05.8 answered for a job that ended with code 3: a wait status.
JOB: dict[str, Any] = {
    "job_id": 1,
    "name": NAME,
    "comment": f"industry-brain c1 {NAME}",
    "job_state": "FAILED",
    "state_reason": "NonZeroExitCode",
    "exit_code": 768,
    "nodes": "n1",
    "cpus": 2,
    "memory_per_node": 200,
    "tres_per_node": "gres:gpu:1",
}
NODE: dict[str, Any] = {
    "name": "n1",
    "cpus": 8,
    "real_memory": 16000,
    "gres": "gpu:a100:2,gpu:1",
    "gres_used": "gpu:a100:2,gpu:1",
    "alloc_cpus": 5,
    "alloc_memory": 1200,
    "cpu_load": 588,
}


@pytest.mark.parametrize(
    ("state", "phase", "cause"),
    [
        ("PENDING", "waiting", ""),
        ("CONFIGURING", "waiting", ""),
        ("RUNNING", "running", ""),
        ("SUSPENDED", "running", ""),
        ("COMPLETED", "ended", "exit"),
        ("FAILED", "ended", "exit"),
        ("TIMEOUT", "ended", "time_limit"),
        ("OUT_OF_MEMORY", "ended", "memory"),
        ("NODE_FAIL", "ended", "node_failed"),
        ("BOOT_FAIL", "ended", "node_failed"),
        ("PREEMPTED", "ended", "preempted"),
        ("CANCELLED", "ended", "engine_cancelled"),
    ],
)
def test_every_state_of_slurm_has_a_meaning(state: str, phase: str, cause: str) -> None:
    """Base states of `squeue --help` (JOB STATE CODES)."""
    copy = copy_of(JOB | {"job_state": state}, "c1")
    assert copy is not None
    assert (copy.phase, copy.cause, copy.remote) == (phase, cause, "1")


def test_the_exit_code_is_taken_out_of_the_wait_status() -> None:
    """768 is code 3; 9 is a signal and no code."""
    copies = [copy_of(JOB | {"exit_code": status}, "c1") for status in (768, 0, 9)]
    assert [copy and copy.code for copy in copies] == [3, 0, None]


@pytest.mark.parametrize(
    "change", [{"comment": ""}, {"comment": f"industry-brain c2 {NAME}"}, {"name": "other"}, {"comment": None}]
)
def test_a_job_without_the_whole_mark_is_somebody_elses(change: dict[str, Any]) -> None:
    """Another centre's mark, another name, no comment."""
    assert copy_of(JOB | change, "c1") is None
    assert copy_of(JOB, "") is None


def test_a_node_is_told_whole_with_what_others_hold_beside_it() -> None:
    """16,000 MiB are 16,777 MB; of 5 cores and 1,200 MiB in use 2 and 200 are ours, and one of two A100."""
    node = node_of(NODE, {"cores": 2, "memory": 200, "a100": 1})
    assert node == {
        "name": "n1",
        "cores": 8.0,
        "memory_mb": 16777,
        "accelerators": {"a100": 2, "gpu": 1},
        "load": {
            "foreign_cores": 3.0,
            "foreign_memory_mb": 1048.0,
            "foreign_a100": 1.0,
            "foreign_gpu": 1.0,
            "load_1m": 5.88,
        },
    }


def test_what_a_job_asks_for_is_written_in_slurms_units() -> None:
    """Whole cores, MiB rounded up, minutes with one to spare, cards by kind."""
    asked = Submission(NAME, "c1", Path("/s h/run"), Path("/s h/log"), 1.5, 1000, {"a100": 2, "gpu": 1}, 61)
    document = job_document(asked, "long")
    job = document["job"]
    assert (job["cpus_per_task"], job["memory_per_node"], job["time_limit"]) == (2, 954, 3)
    assert (job["gres"], job["partition"]) == ("gpu:a100:2,gpu:1", "long")
    assert document["script"].splitlines() == ["#!/bin/bash", "exec /bin/bash '/s h/run'"]


@pytest.mark.parametrize(
    ("gres", "each"),
    [
        (["gpu:2,shard:8", "gpu:4,shard:16", "(null)"], 4),
        (["gpu:a100:2(S:0-1),shard:a100:20"], 10),
        (["gpu:2,shard:8", "gpu:2,shard:4"], 0),
        (["gpu:a100:1,shard:4", "gpu:v100:1,shard:4"], 0),
        (["gpu:3,shard:8"], 0),
        (["gpu:2"], 0),
        ([], 0),
    ],
)
def test_shards_stand_for_parts_only_where_all_cards_are_alike(gres: list[str], each: int) -> None:
    """Slurm gives shards of whichever card has some: of other kinds or sizes they would be no known part."""
    assert shards_each([{"gres": text} for text in gres]) == each


def test_a_part_of_a_card_is_asked_for_in_shards() -> None:
    """A quarter of a card cut into ten are 2.5 shards: three. Others hold 7 of ours and 10: one whole card."""
    asked = Submission(NAME, "c1", Path("/run"), Path("/log"), 1, 100, {"a100": 0.25}, 60)
    assert job_document(asked, "", 10)["job"]["gres"] == "shard:3"
    node = NODE | {"gres": "gpu:a100:2,shard:20", "gres_used": "gpu:a100:0,shard:17"}
    assert node_of(node, {"shards": 7}, 10)["load"]["foreign_a100"] == 1.0
    assert "foreign_a100" not in node_of(node, {"shards": 17}, 10)["load"]


def test_a_token_tells_when_it_ends() -> None:
    """The payload {"exp":1000}; what is no token tells nothing."""
    assert expiry("eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjEwMDB9.c2ln") == 1000
    assert [expiry(text) for text in ("", "a.b.c", "..")] == [None, None, None]
