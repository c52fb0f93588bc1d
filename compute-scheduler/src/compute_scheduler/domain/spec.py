"""What a job is: its specification as people and services send it, checked before it may queue."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from compute_scheduler.domain.resources import ANY_OF, MILLI

MAX_COMMAND_BYTES = 100_000
MAX_ENV_BYTES = 65_536
RESERVED_ENV = frozenset({"BRAIN_ACCELERATORS", "BRAIN_ATTEMPT", "BRAIN_DEVICES", "BRAIN_JOB", "BRAIN_MEMBERS"})
# What a job with accelerators is bound to its devices by.
DEVICE_ENV = frozenset({"CUDA_DEVICE_ORDER", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "CUDA_VISIBLE_DEVICES"})
# What members of a gang find each other by; the names are those of torchrun.
GANG_ENV = frozenset({"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"})
MOST_MEMBERS = 256
MOST_DEVICES = 10_000
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


def _choice(given: Any) -> Any:
    """`{"kinds": [...], "number": n}` as the one entry `kind|kind: n` by which it is kept; all else as it is."""
    if not isinstance(given, dict) or not isinstance(given.get("kinds"), list):
        return given
    kinds, others = given["kinds"], given.keys() - {"kinds", "number"}
    if others:
        raise PydanticCustomError(
            "accelerators",
            "kinds 与 number 之外不能有 {name}；几种型号都要时写成型号到块数",
            {"name": min(map(str, others))[:40]},
        )
    if not kinds or not all(isinstance(kind, str) for kind in kinds):
        raise PydanticCustomError("accelerators", 'kinds 应为可接受的型号，至少一个，例如 ["A100", "V100"]')
    return {ANY_OF.join(kinds): given.get("number", 1)}


def _devices(number: float) -> float:
    """Whole devices as a whole number, or part of one in thousandths. Raises PydanticCustomError."""
    said = {"number": f"{number:g}"}
    if not number > 0 or number > MOST_DEVICES:
        raise PydanticCustomError(
            "devices", "块数应大于 0，最多 {most}，不能是 {number}", said | {"most": MOST_DEVICES}
        )
    if number == int(number):
        return int(number)
    if number > 1:
        raise PydanticCustomError(
            "devices", "超过一块时只能要整数块；{number} 请改为整数，或改为一块的一部分（小于 1）", said
        )
    if abs(number * MILLI - round(number * MILLI)) > 1e-6 or not round(number * MILLI):
        raise PydanticCustomError("devices", "一块的一部分以千分之一为单位，0.001 至 0.999，不能是 {number}", said)
    return round(number * MILLI) / MILLI


def _kinds(accelerators: dict[str, float]) -> dict[str, float]:
    """With kinds of a choice in order, each once."""
    found: dict[str, float] = {}
    for name, number in accelerators.items():
        kinds = sorted(set(name.split(ANY_OF)))
        for kind in kinds:
            if not _KIND.fullmatch(kind) or kind in ("cores", "memory_mb"):
                raise PydanticCustomError("accelerator", "加速卡型号 {kind} 不合格式", {"kind": kind[:40]})
        if len(accelerators) > 1 and len(kinds) > 1:
            raise PydanticCustomError("accelerator", "{name}：几种型号任选时，不能再要别的加速卡", {"name": name[:80]})
        if len(accelerators) > 1 and number < 1:
            raise PydanticCustomError(
                "accelerator", "{name}：要一块的一部分时，不能再要别的加速卡", {"name": name[:80]}
            )
        found[ANY_OF.join(kinds)] = number
    return found


# Whole numbers stay whole: what is kept of a job must not change by being read.
Devices = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_devices), PlainSerializer(lambda number: number)]
FileName = Annotated[str, AfterValidator(_file_name)]
Predecessor = Annotated[str, StringConstraints(pattern=r"^(job_[0-9A-Z]{26}|#[0-9]{1,3})$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Strict = ConfigDict(extra="forbid", frozen=True)


class ResourcesAsked(BaseModel):
    """What a job needs while it runs."""

    model_config = Strict
    cores: float = Field(1.0, gt=0, le=100_000, allow_inf_nan=False, description="核数，可到千分之一")
    memory_mb: int = Field(512, ge=16, le=100_000_000, description="内存，百万字节")
    accelerators: Annotated[
        dict[str, Devices],
        BeforeValidator(_choice),
        AfterValidator(_kinds),
    ] = Field(
        {},
        max_length=8,
        description="加速卡：型号到块数；0.001 至 0.999 是一块的一部分。任一型号都可以时写成 A100|V100，或 "
        '{"kinds": ["A100", "V100"], "number": 1}',
        examples=[{"A100": 2}, {"A100": 0.25}, {"A100|V100": 1}],
    )


class DatasetRead(BaseModel):
    """A data set that the job works on; its version keeps the result explicable."""

    model_config = Strict
    dataset: str = Field(pattern=r"^[a-z]+\.[a-z][a-z0-9_]*$", max_length=120)
    version: str | None = Field(None, max_length=40)
    files: bool = Field(True, description="是否把文件送到作业所在的中心（BRAIN_DATA）；false：只据此决定在哪里运行")


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
    resources: ResourcesAsked = ResourcesAsked()
    env: Annotated[dict[str, str], AfterValidator(_environment)] = {}
    priority: Literal["low", "normal", "high"] = "normal"
    deadline: AwareDatetime | None = None
    retries: int = Field(0, ge=0, le=10, description="失败或失联后最多重试几次")
    time_limit_s: int | None = Field(None, ge=1, le=30 * 86_400, description="空缺时用平台默认")
    datasets: list[DatasetRead] = Field([], max_length=100)
    inputs: dict[FileName, InputFile] = Field({}, max_length=200)
    outputs: list[FileName] = Field([], max_length=200)
    labels: Annotated[dict[str, str], AfterValidator(_labels)] = Field({}, max_length=32)
    centre: str | None = Field(None, max_length=40)
    reservation: str | None = Field(
        None, pattern=r"^rsv_[0-9A-Z]{26}$", description="预留编号：等它开始，在它的中心运行 waits for it, runs there"
    )
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
        asked = known.data.get("resources")
        bound = sorted(DEVICE_ENV & env.keys()) if asked is not None and asked.accelerators else []
        if bound:
            raise PydanticCustomError(
                "env", "使用加速卡的作业的环境变量 {name} 由平台按分到的卡设置，不能指定", {"name": bound[0]}
            )
        return env

    @field_validator("resources")
    @classmethod
    def _names_one_kind_in_a_gang(cls, asked: ResourcesAsked, known: ValidationInfo) -> ResourcesAsked:
        if known.data.get("gang", 1) > 1 and any(ANY_OF in kind for kind in asked.accelerators):
            raise PydanticCustomError("accelerators", "成组作业（gang 大于 1）的加速卡只能指定一种型号，不能任选")
        return asked

    def document(self) -> dict[str, Any]:
        """The specification as it is stored and shown."""
        return self.model_dump(mode="json")
