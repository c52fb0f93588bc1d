"""What Ray says, as the engine reads it, and what an operator may say of an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from compute_scheduler.agent.engines import EngineOptions, EngineUnclear, engine_of
from compute_scheduler.engine.batch import BatchEngine
from compute_scheduler.engine.cluster import Submission
from compute_scheduler.engine.ray import copy_of, job_document, nodes_of
from compute_scheduler.settings import Settings

NAME = "job_00000000000000000000000001.1"
# As Ray 2.60 tells a job.
JOB: dict[str, Any] = {
    "type": "SUBMISSION",
    "submission_id": NAME,
    "status": "PENDING",
    "message": "Job has not started yet. It may be waiting for resources.",
    "metadata": {"industry-brain": "c1"},
    "driver_exit_code": None,
}


@pytest.mark.parametrize(
    ("status", "code", "phase", "cause"),
    [
        ("PENDING", None, "waiting", ""),
        ("RUNNING", None, "running", ""),
        ("SUCCEEDED", 0, "ended", "exit"),
        ("FAILED", 113, "ended", "exit"),
        ("FAILED", None, "ended", "node_failed"),
        ("STOPPED", None, "ended", "engine_cancelled"),
    ],
)
def test_every_state_of_ray_has_a_meaning(status: str, code: int | None, phase: str, cause: str) -> None:
    """A failure without an exit code was seen by nobody: it proves nothing about the command."""
    copy = copy_of(JOB | {"status": status, "driver_exit_code": code}, "c1")
    assert copy is not None
    assert (copy.phase, copy.cause, copy.code, copy.remote) == (phase, cause, code, NAME)
    assert copy.is_kept == (phase == "ended")


@pytest.mark.parametrize("metadata", [None, {}, {"industry-brain": "c2"}])
def test_a_job_without_the_mark_is_somebody_elses(metadata: dict[str, str] | None) -> None:
    """Whatever its submission id is."""
    assert copy_of(JOB | {"metadata": metadata}, "c1") is None


def test_what_a_job_asks_for_is_written_in_rays_terms() -> None:
    """Cores as they are, memory in bytes, `gpu` as GPUs, other kinds as custom resources."""
    asked = Submission(NAME, "c1", Path("/s h/run"), Path("/s h/log"), 1.5, 1000, {"a100": 2, "gpu": 1}, 61)
    assert job_document(asked) == {
        "entrypoint": f"BRAIN_REMOTE={NAME} /bin/bash '/s h/run' >'/s h/log' 2>&1",
        "submission_id": NAME,
        "metadata": {"industry-brain": "c1"},
        "entrypoint_num_cpus": 1.5,
        "entrypoint_memory": 1_000_000_000,
        "entrypoint_num_gpus": 1,
        "entrypoint_resources": {"a100": 2.0},
    }


def test_living_nodes_count_together() -> None:
    """Two of 4 cores, one with cards of a model that Ray found; the dead one and Ray's own names do not count."""
    node = {
        "state": "ALIVE",
        "resources_total": {"CPU": 4.0, "memory": 2e9, "object_store_memory": 1e9, "node:10.0.0.1": 1.0},
    }
    cards = {"state": "ALIVE", "resources_total": {"CPU": 4.0, "memory": 2e9, "GPU": 2.0, "accelerator_type:A100": 1.0}}
    dead = {"state": "DEAD", "resources_total": {"CPU": 64.0}}
    assert nodes_of([node, cards, dead]) == [
        {"name": "ray", "cores": 8.0, "memory_mb": 4000, "accelerators": {"A100": 2}, "load": {}}
    ]
    assert nodes_of([dead]) == []


def test_a_part_of_a_card_and_its_model_are_asked_for_as_ray_does() -> None:
    """Fractions of num_gpus; a sliver of `accelerator_type:A100`, as `accelerator_type` of ray.remote asks for."""
    asked = Submission(NAME, "c1", Path("/run"), Path("/log"), 1, 100, {"A100": 0.25}, 60)
    document = job_document(asked, {"A100", "V100"})
    assert document["entrypoint_num_gpus"] == 0.25
    assert document["entrypoint_resources"] == {"accelerator_type:A100": 0.001}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"kind": "slurm"}, "--engine-url"),
        ({"kind": "slurm", "url": "slurm:6820"}, "--engine-url"),
        ({"kind": "slurm", "url": "http://127.0.0.1:1"}, "--token-file"),
        ({"kind": "slurm", "url": "http://127.0.0.1:1", "token_file": Path("/nowhere")}, "--token-file"),
        ({"kind": "ray", "url": "http://127.0.0.1:1", "desk": "7070"}, "--desk"),
        ({"kind": "ray", "url": "http://127.0.0.1:1", "desk": "host:port"}, "--desk"),
        ({"kind": "pbs", "url": "http://127.0.0.1:1"}, "local、slurm、ray、kubernetes"),
    ],
)
def test_an_engine_that_is_not_clear_is_refused_by_the_option(said: dict[str, Any], words: str, tmp_path: Path) -> None:
    """Before anything is started."""
    with pytest.raises(EngineUnclear, match=words):
        engine_of(tmp_path, Settings(), EngineOptions(**said))


def test_an_engine_listens_to_nodes_only_when_they_can_reach_it(tmp_path: Path) -> None:
    """A loopback desk stays on loopback; a named host is where nodes ask, on every address of this machine."""
    here = engine_of(tmp_path, Settings(), EngineOptions("ray", url="http://127.0.0.1:1"))
    there = engine_of(tmp_path, Settings(), EngineOptions("ray", url="http://127.0.0.1:1", desk="10.1.0.5:7070"))
    assert isinstance(here, BatchEngine)
    assert isinstance(there, BatchEngine)
    assert (here.settings.address, here.settings.reach) == (("127.0.0.1", 0), "127.0.0.1")
    assert (there.settings.address, there.settings.reach) == (("0.0.0.0", 7070), "10.1.0.5")
