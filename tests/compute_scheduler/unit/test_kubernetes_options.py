"""What an operator says on the command line of an agent for Kubernetes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from compute_scheduler.agent.engines import EngineOptions, EngineUnclear, engine_of
from compute_scheduler.engine.batch import BatchEngine
from compute_scheduler.engine.kubernetes import Kubernetes
from compute_scheduler.settings import Settings


def said(folder: Path) -> EngineOptions:
    """Everything that is needed."""
    token = folder / "token"
    token.write_text("t")
    return EngineOptions(
        "kubernetes", url="https://10.1.0.5:6443", token_file=token, namespace="jobs", image="i:1", shared=folder
    )


def test_what_is_said_reaches_the_jobs(tmp_path: Path) -> None:
    """Options of the command line and settings, each where it belongs."""
    settings = Settings(
        home=tmp_path,
        compute_scheduler_kubernetes_accelerators={"ascend": "huawei.com/Ascend910"},
        compute_scheduler_kubernetes_kept_s=60,
        compute_scheduler_engine_lost_s=12.5,
    )
    options = replace(said(tmp_path), claim="share", kueue_queue="team", scheduler="volcano", volcano_queue="q")
    engine = engine_of(tmp_path, settings, options)
    assert isinstance(engine, BatchEngine)
    cluster = engine.cluster
    assert isinstance(cluster, Kubernetes)
    assert (cluster.url, cluster.kept_s, cluster.jobs.evict_s) == ("https://10.1.0.5:6443", 60, 13)
    jobs = cluster.jobs
    assert (jobs.namespace, jobs.claim, jobs.kueue_queue, jobs.scheduler) == ("jobs", "share", "team", "volcano")
    assert jobs.kinds == {"ascend": "huawei.com/Ascend910"}
    assert engine.settings.shared == tmp_path


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"url": ""}, "--engine-url"),
        ({"url": "10.1.0.5:6443"}, "--engine-url"),
        ({"token_file": None}, "--token-file"),
        ({"token_file": Path("/nowhere/token")}, "--token-file"),
        ({"ca_file": Path("/nowhere/ca.crt")}, "--ca-file"),
        ({"namespace": ""}, "--namespace"),
        ({"image": ""}, "--image"),
        ({"shared": None}, "--shared"),
        ({"volcano_queue": "q"}, "--pod-scheduler"),
        ({"desk": "10.1.0.5"}, "--desk"),
    ],
)
def test_what_is_missing_or_wrong_is_named(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    """By its option, before anything is started."""
    with pytest.raises(EngineUnclear, match=named):
        engine_of(tmp_path, Settings(home=tmp_path), replace(said(tmp_path), **change))
