"""An agent with a real cluster, killed at every named point of its engine: no job lost, none run twice.

Each life is a process with the service, its scheduler and the agent, and dies by SIGKILL (`crashing.py`): before and
after the submission, after a copy has claimed, when it may begin, when its end is kept and when the cluster may forget.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from brain_testing.servers.kubernetes import Kubernetes
from brain_testing.servers.ray import Ray
from brain_testing.servers.slurm import Slurm

from tests.compute_scheduler.kubernetes_yard import permitted
from tests.compute_scheduler.lives import CLUSTER, live, points

pytestmark = [pytest.mark.servers, pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(900)]
ROUNDS = int(os.environ.get("BRAIN_FAULT_ROUNDS", "1"))
RELEASE = "cluster:release"


def lose_nothing(folder: Path, named: list[str], **engine: Any) -> list[str]:
    """The lives, and what must hold after them; returns the attempts of the jobs."""
    assert len(named) >= 5
    lives = [(point, 1) for _ in range(ROUNDS) for point in named]
    lived = live(folder, lives, jobs=1, engine=engine | {"shared": str(folder / "shared")})
    assert lived.died == [[point, -signal.SIGKILL] for point, _ in lives] + [["", 0]], lived.said
    assert [job for job in lived.jobs if job["state"] != "succeeded"] == []
    assert lived.ran == Counter(job["id"] for job in lived.jobs)
    assert len(lived.jobs) == len(lives)
    return [f"{job['id']}.{job['attempt']}" for job in lived.jobs]


def test_in_slurm(slurms: dict[str, Slurm], tmp_path: Path) -> None:
    """Slurm has no key of a submission: it was made once all the same."""
    server, token = slurms["alpha"], tmp_path / "token"
    token.write_text(server.token())
    named = [point for point in points(CLUSTER) if point != RELEASE]  # Slurm forgets by itself
    attempts = lose_nothing(tmp_path, named, kind="slurm", url=server.url, token_file=str(token), user="root")
    names = Counter(row["name"] for row in server.jobs())
    assert {attempt: names[attempt] for attempt in attempts} == dict.fromkeys(attempts, 1)


def test_in_ray(ray_head: Ray, tmp_path: Path) -> None:
    """The submission id is the attempt's, and its record goes when the result is kept."""
    lose_nothing(tmp_path, points(CLUSTER), kind="ray", url=ray_head.url)


def test_in_kubernetes(kubernetes: Kubernetes, tmp_path: Path) -> None:
    """The Job's name is the attempt's."""
    namespace, token = permitted(kubernetes, tmp_path)
    options = {"url": kubernetes.url, "token_file": str(token), "ca_file": str(kubernetes.ca_file)}
    attempts = lose_nothing(
        tmp_path, points(CLUSTER), kind="kubernetes", namespace=namespace, image="unused.example/job:1", **options
    )
    jobs = kubernetes.call("GET", f"/apis/batch/v1/namespaces/{namespace}/jobs")["items"]
    assert Counter(job["metadata"]["labels"]["compute.industry-brain/attempt"] for job in jobs) == Counter(attempts)
