"""Versions of data sets as callers name them: Iceberg snapshot ids as text, since they do not fit a JSON number."""

from __future__ import annotations

from collections.abc import Mapping

from brain_kit.problems import Conflict, InvalidInput, NotFound

MAX_PINS = 100
MAX_REASON = 300


class VersionInvalid(InvalidInput):
    """The text is no version, or the versions do not fit the request."""

    code, title = "version_invalid", "Version invalid"


class PinUnknown(NotFound):
    """There is no such pin, or it is another organisation's."""

    code, title = "pin_unknown", "Pin unknown"


class PinsExhausted(Conflict):
    """The organisation holds as many versions of the data set as it may."""

    code, title = "pins_exhausted", "Pins exhausted"


def snapshot_of(version: str, field: str = "version") -> int:
    """The snapshot id that a version names. Raises VersionInvalid."""
    text = version.strip()
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 20 and int(text) < 2**63):
        raise VersionInvalid(
            f"{field} 应为数据集的版本号（一串数字），见 GET /v1/datasets/{{name}}/versions", field=field
        )
    return int(text)


def versions_read(versions: Mapping[str, str] | None, datasets: tuple[str, ...]) -> dict[str, int]:
    """Snapshot ids by data set that a query asks for. Raises VersionInvalid, also for one that is not read."""
    found = {}
    for name, version in (versions or {}).items():
        folded = name.strip().lower()
        if folded not in datasets:
            shown = "、".join(datasets) or "无"
            raise VersionInvalid(
                f"versions 中的 {name[:130]} 没有出现在查询里；查询读取：{shown}", field=f"versions.{name[:130]}"
            )
        found[folded] = snapshot_of(version, f"versions.{folded}")
    return found
