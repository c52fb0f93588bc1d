"""Devices on this machine: jobs are bound to those that they were given, as CUDA heeds it.

No device is needed: the machine's driver is read from a folder laid out as NVIDIA's (`/proc/driver/nvidia/gpus`).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from compute_scheduler.engine import machine

from tests.compute_scheduler.yard import Yard

INFORMATION = "Model: \t\t NVIDIA {model}\nIRQ:   \t\t 42\nBus Location: \t {bus}\n"
# In the order of the bus: CUDA's devices 0, 1 and 2.
DEVICES = {"0000:18:00.0": "L4", "0000:3b:00.0": "A100-SXM4-80GB", "0000:d8:00.0": "A100-SXM4-80GB"}
SAY = "echo $BRAIN_ACCELERATORS $BRAIN_DEVICES $CUDA_VISIBLE_DEVICES $CUDA_MPS_ACTIVE_THREAD_PERCENTAGE; sleep {}"


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """The service with the agent of a machine that has three cards."""
    driver = tmp_path_factory.mktemp("gpus")
    for bus, model in DEVICES.items():
        (driver / bus).mkdir()
        (driver / bus / "information").write_text(INFORMATION.format(model=model, bus=bus))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "NVIDIA", str(driver))
        made = Yard(tmp_path_factory.mktemp("yard"), log_level="ERROR")
        yield made
        made.close()


def asked(**accelerators: float) -> dict[str, object]:
    """Resources with a part of, or whole, A100."""
    return {"cores": 0.1, "memory_mb": 50, "accelerators": {"A100-SXM4-80GB": accelerators["a100"]}}


def test_two_halves_run_on_one_device_and_a_whole_job_on_the_other(yard: Yard) -> None:
    """CUDA counts by the bus: the first A100 is device 1; a job without cards sees none."""
    halves = [yard.submit("sh", "-c", SAY.format(3), resources=asked(a100=0.5)) for _ in range(2)]
    for job_id in halves:
        yard.wait(job_id, lambda job: job["state"] == "running")
    node = yard.json("GET", "/v1/centres/local")["nodes"][0]
    assert (node["accelerators"], node["used"]["accelerators"]) == (
        {"L4": 1, "A100-SXM4-80GB": 2},
        {"A100-SXM4-80GB": 1.0},
    )
    whole = yard.submit("sh", "-c", SAY.format(0), resources=asked(a100=1))
    bare = yard.submit("sh", "-c", 'echo "[${CUDA_VISIBLE_DEVICES-unset}]"')
    for job_id in [*halves, whole, bare]:
        assert yard.ended(job_id)["state"] == "succeeded"
    assert [yard.log(job_id).split() for job_id in halves] == [["A100-SXM4-80GB=0.5", "0", "1", "50"]] * 2
    assert yard.log(whole).split() == ["A100-SXM4-80GB=1", "1", "2"]
    assert yard.log(bare) == "[]\n"
    attempt = yard.job(halves[0])["attempts"][0]
    assert attempt["accelerators"] == {"A100-SXM4-80GB": {"amount": 0.5, "devices": [0]}}
    assert yard.json("GET", "/v1/accounting")["items"][0]["accelerator_s"].keys() <= {"A100-SXM4-80GB"}


def test_more_than_a_machine_has_of_a_kind_is_refused(yard: Yard) -> None:
    """One and a half, none, three of two, and a kind that is not there: each at its field."""
    for number, field in [(1.5, "A100-SXM4-80GB"), (0, "A100-SXM4-80GB")]:
        body = {"name": "t", "command": ["true"], "resources": asked(a100=number)}
        (error,) = yard.problem("POST", "/v1/jobs", json=body)["errors"]
        assert error["field"].endswith(f"resources.accelerators.{field}")
    body = {"name": "t", "command": ["true"], "resources": {"accelerators": {"V100": 0.5}}}
    (error,) = yard.problem("POST", "/v1/jobs", json=body)["errors"]
    assert "现有型号：A100-SXM4-80GB、L4" in error["reason"]
