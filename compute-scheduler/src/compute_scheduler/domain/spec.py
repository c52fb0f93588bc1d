"""What a job is: its specification as people and services send it, checked before it may queue."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

MAX_COMMAND_BYTES = 100_000
MAX_ENV_BYTES = 65_536
RESERVED_ENV = frozenset({"BRAIN_ATTEMPT", "BRAIN_JOB", "BRAIN_MEMBERS"})
# What members of a gang find each other by; the names are those of torchrun.
GANG_ENV = frozenset({"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"})
MOST_MEMBERS = 256
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?")
_KIND = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


def _file_name(name: str) -> str:
    """A path below the working folder. Raises PydanticCustomError for one that leads elsewhere."""
    parts = name.split("/")
    if not name or len(name.encode()) > 200 or _CONTROL.search(name) or "\\" in name:
        raise PydanticCustomError("file_name", "应为 1 至 200 字节的文件名，不含控制字符和反斜杠")
    if name.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise PydanticCustomError("file_name", "只能是工作目录内的相对路径，不能以 / 开头，不能含 . 或 .. 或空的一段")
    if parts[0] == "tmp":
        raise PydanticCustomError("file_name", "tmp/ 留给临时文件，请换一个目录")
    return name


def _plain(text: str) -> str:
    if _CONTROL.search(text):
        raise PydanticCustomError("plain_text", "不能含控制字符")
    return text


def _command(command: list[str]) -> list[str]:
    if not command[0].strip():
        raise PydanticCustomError("command", "第一项是要执行的程序，不能为空")
    if any("\0" in part for part in command):
        raise PydanticCustomError("command", "不能含 NUL 字符")
    if sum(len(part.encode()) + 1 for part in command) > MAX_COMMAND_BYTES:
        raise PydanticCustomError(
            "command", "命令与参数共计最多 {limit} 字节，大的内容请放进 inputs 文件", {"limit": MAX_COMMAND_BYTES}
        )
    return command


def _environment(env: dict[str, str]) -> dict[str, str]:
    for name, value in env.items():
        if not _ENV_NAME.fullmatch(name):
            raise PydanticCustomError(
                "env", "环境变量名 {name} 不合格式：字母或下划线开头，其后字母、数字、下划线", {"name": name[:60]}
            )
        if name in RESERVED_ENV:
            raise PydanticCustomError("env", "环境变量 {name} 由平台设置，不能指定", {"name": name})
        if "\0" in value:
            raise PydanticCustomError("env", "环境变量 {name} 的值含 NUL 字符", {"name": name})
    size = sum(len(name.encode()) + len(value.encode()) + 2 for name, value in env.items())
    if size > MAX_ENV_BYTES:
        raise PydanticCustomError(
            "env",
            "环境变量共 {size} 字节，上限 {limit} 字节；大的内容请放进 inputs 文件",
            {"size": size, "limit": MAX_ENV_BYTES},
        )
    return env


def _labels(labels: dict[str, str]) -> dict[str, str]:
    for name, value in labels.items():
        if not _LABEL.fullmatch(name):
            raise PydanticCustomError(
                "label", "标签名 {name} 不合格式：小写字母、数字和 . _ / -，最多 63 个字符", {"name": name[:60]}
            )
        if len(value) > 200 or _CONTROL.search(value):
            raise PydanticCustomError("label", "标签 {name} 的值最多 200 个字符，不含控制字符", {"name": name})
    return labels


def _kinds(accelerators: dict[str, int]) -> dict[str, int]:
    for kind in accelerators:
        if not _KIND.fullmatch(kind) or kind in ("cores", "memory_mb"):
            raise PydanticCustomError("accelerator", "加速卡型号 {kind} 不合格式", {"kind": kind[:40]})
    return accelerators


FileName = Annotated[str, AfterValidator(_file_name)]
Predecessor = Annotated[str, StringConstraints(pattern=r"^(job_[0-9A-Z]{26}|#[0-9]{1,3})$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Strict = ConfigDict(extra="forbid", frozen=True)


class ResourcesAsked(BaseModel):
    """What a job needs while it runs."""

    model_config = Strict
    cores: float = Field(1.0, gt=0, le=100_000, allow_inf_nan=False, description="核数，可到千分之一")
    memory_mb: int = Field(512, ge=16, le=100_000_000, description="内存，百万字节")
    accelerators: Annotated[dict[str, Annotated[int, Field(ge=1, le=10_000)]], AfterValidator(_kinds)] = Field(
        {}, max_length=8, description="加速卡：型号到块数"
    )


class DatasetRead(BaseModel):
    """A data set that the job works on; its version keeps the result explicable."""

    model_config = Strict
    dataset: str = Field(pattern=r"^[a-z]+\.[a-z][a-z0-9_]*$", max_length=120)
    version: str | None = Field(None, max_length=40)


class InputFile(BaseModel):
    """A file put beforehand with `PUT /v1/files`."""

    model_config = Strict
    sha256: Digest


class JobSpec(BaseModel):
    """A job: a command with its resources, files and limits."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "example": {
                "name": "oee-2026-10",
                "command": ["python3", "-c", "print('hello')"],
                "resources": {"cores": 1, "memory_mb": 256},
                "time_limit_s": 600,
            }
        },
    )
    name: Annotated[str, AfterValidator(_plain)] = Field(min_length=1, max_length=100)
    command: Annotated[list[str], AfterValidator(_command)] = Field(min_length=1, max_length=1000)
    gang: int = Field(1, ge=1, le=MOST_MEMBERS, description="成员数：各要 resources，在一个中心同时开始，缺一不可")
    env: Annotated[dict[str, str], AfterValidator(_environment)] = {}
    resources: ResourcesAsked = ResourcesAsked()
    priority: Literal["low", "normal", "high"] = "normal"
    deadline: AwareDatetime | None = None
    retries: int = Field(0, ge=0, le=10, description="失败或失联后最多重试几次")
    time_limit_s: int | None = Field(None, ge=1, le=30 * 86_400, description="空缺时用平台默认")
    datasets: list[DatasetRead] = Field([], max_length=100)
    inputs: dict[FileName, InputFile] = Field({}, max_length=200)
    outputs: list[FileName] = Field([], max_length=200)
    labels: Annotated[dict[str, str], AfterValidator(_labels)] = Field({}, max_length=32)
    centre: str | None = Field(None, max_length=40)
    checkpoint_every_s: int | None = Field(
        None, ge=1, le=30 * 86_400, description="每隔多少秒存一次断点；让出资源时只按此后的工作计损失"
    )
    after: list[Predecessor] = Field(
        [], max_length=100, description="先要成功的作业：作业号，或同一批提交中的序号 #0、#1 …"
    )

    @field_validator("env")
    @classmethod
    def _leaves_names_to_the_gang(cls, env: dict[str, str], known: ValidationInfo) -> dict[str, str]:
        taken = sorted(GANG_ENV & env.keys()) if known.data.get("gang", 1) > 1 else []
        if taken:
            raise PydanticCustomError(
                "env", "成组作业（gang 大于 1）的环境变量 {name} 由平台设置，不能指定", {"name": taken[0]}
            )
        return env

    def document(self) -> dict[str, Any]:
        """The specification as it is stored and shown."""
        return self.model_dump(mode="json")
