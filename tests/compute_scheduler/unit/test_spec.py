"""What a job may look like: every refusal names its field and what to do."""

from __future__ import annotations

from typing import Any

import pytest
from compute_scheduler.domain.spec import JobSpec
from pydantic import ValidationError

GOOD: dict[str, Any] = {"name": "oee", "command": ["true"]}


def refusal(**changes: Any) -> tuple[str, str]:
    """(field, reason) of the one error of a job."""
    with pytest.raises(ValidationError) as caught:
        JobSpec.model_validate(GOOD | changes)
    (error,) = caught.value.errors()
    return ".".join(str(part) for part in error["loc"]), error["msg"]


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../b", "a//b", "./a", "a/.", "a\\b", "a\nb", "", "tmp/x", "x" * 201]
)
def test_file_names_that_lead_out_of_the_folder_are_refused(name: str) -> None:
    """As inputs and as outputs; `tmp` belongs to the job's temporary files."""
    field, reason = refusal(outputs=[name])
    assert field == "outputs.0"
    assert "字节的文件名" in reason or "工作目录" in reason or "tmp/" in reason
    assert refusal(inputs={name: {"sha256": "0" * 64}})[0].startswith("inputs.")


@pytest.mark.parametrize("name", ["a", "a/b.parquet", "结果.csv", ".hidden", "a b", "..a"])
def test_ordinary_file_names_are_taken(name: str) -> None:
    """Also those that only look suspicious."""
    assert JobSpec.model_validate(GOOD | {"outputs": [name]}).outputs == [name]


def test_an_environment_over_the_limit_is_refused_with_its_size() -> None:
    """65,536 bytes in all, each variable with its name, sign and end: 1 + 65,533 + 2 is the limit, one more is over."""
    assert JobSpec.model_validate(GOOD | {"env": {"A": "x" * 65_533}})
    field, reason = refusal(env={"A": "x" * 65_534})
    assert field == "env"
    assert "65537 字节" in reason
    assert "65536 字节" in reason


@pytest.mark.parametrize(("name", "word"), [("1A", "不合格式"), ("A-B", "不合格式"), ("BRAIN_ATTEMPT", "由平台设置")])
def test_variables_that_cannot_be_are_refused_by_name(name: str, word: str) -> None:
    """A shell could not read them, or they are the platform's."""
    field, reason = refusal(env={name: "x"})
    assert field == "env"
    assert name in reason
    assert word in reason


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"resources": {"cores": 0}}, "resources.cores"),
        ({"resources": {"cores": float("nan")}}, "resources.cores"),
        ({"resources": {"memory_mb": 1}}, "resources.memory_mb"),
        ({"resources": {"accelerators": {"A100": 0}}}, "resources.accelerators.A100"),
        ({"resources": {"gpus": 1}}, "resources.gpus"),
        ({"command": []}, "command"),
        ({"command": [""]}, "command"),
        ({"command": ["a\0b"]}, "command"),
        ({"command": ["x" * 100_001]}, "command"),
        ({"retries": 11}, "retries"),
        ({"time_limit_s": 0}, "time_limit_s"),
        ({"deadline": "2026-01-01T00:00:00"}, "deadline"),
        ({"priority": "urgent"}, "priority"),
        ({"labels": {"Bad Name": "x"}}, "labels"),
        ({"datasets": [{"dataset": "nope"}]}, "datasets.0.dataset"),
        ({"name": "a\x07b"}, "name"),
        ({"nmae": "x"}, "nmae"),
    ],
)
def test_impossible_values_are_refused_by_field(changes: dict[str, Any], field: str) -> None:
    """One error, at the field that is wrong."""
    assert refusal(**changes)[0] == field


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"A100": 2}, {"A100": 2}),
        ({"A100": 0.25}, {"A100": 0.25}),
        ({"A100": 1.0, "V100": 3}, {"A100": 1, "V100": 3}),
        ({"V100|A100|V100": 1}, {"A100|V100": 1}),
        ({"kinds": ["V100", "A100"], "number": 0.5}, {"A100|V100": 0.5}),
        ({"kinds": ["A100"]}, {"A100": 1}),
        ({"kinds": 2}, {"kinds": 2}),
    ],
)
def test_accelerators_are_whole_devices_part_of_one_or_any_of_several_kinds(given: Any, kept: dict[str, float]) -> None:
    """However it is written it is kept in one form, whole devices as whole numbers."""
    found = JobSpec.model_validate(GOOD | {"resources": {"accelerators": given}}).document()["resources"][
        "accelerators"
    ]
    assert (found, [type(number) for number in found.values()]) == (kept, [type(number) for number in kept.values()])


@pytest.mark.parametrize(
    ("given", "field", "word"),
    [
        ({"A100": 1.5}, ".A100", "整数"),
        ({"A100": -1}, ".A100", "大于 0"),
        ({"A100": 0.0004}, ".A100", "千分之一"),
        ({"A100": 0.33333}, ".A100", "千分之一"),
        ({"A100": 10_001}, ".A100", "最多 10000"),
        ({"A100": float("nan")}, ".A100", ""),
        ({"A100": "half"}, ".A100", ""),
        ({"A100": 0.5, "V100": 1}, "", "一部分"),
        ({"A100|V100": 1, "H20": 1}, "", "任选"),
        ({"A100|": 1}, "", "型号"),
        ({"memory_mb": 1}, "", "型号"),
        ({"kinds": []}, "", "至少一个"),
        ({"kinds": ["A100"], "count": 2}, "", "count"),
        ({"kinds": ["A100", "V100"], "number": 2.5}, ".A100|V100", "整数"),
    ],
)
def test_accelerators_that_no_node_could_give_are_refused(given: Any, field: str, word: str) -> None:
    """More than one in parts, finer than a thousandth, parts or choices beside others."""
    found, reason = refusal(resources={"accelerators": given})
    assert found == f"resources.accelerators{field}"
    assert word in reason


def test_a_gang_names_one_kind_and_devices_are_bound_by_the_platform_alone() -> None:
    """Members of one gang are alike; a variable that CUDA heeds would lead past the binding."""
    card = {"accelerators": {"A100": 1}}
    assert refusal(gang=2, resources={"accelerators": {"A100|V100": 1}})[0] == "resources"
    assert refusal(resources=card, env={"CUDA_VISIBLE_DEVICES": "0"})[0] == "env"
    assert JobSpec.model_validate(GOOD | {"env": {"CUDA_VISIBLE_DEVICES": ""}}).env == {"CUDA_VISIBLE_DEVICES": ""}
