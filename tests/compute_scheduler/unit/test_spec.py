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
