"""The organisations that push the cluster's data: departments, a provider and three of its enterprises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from brain_contracts.codes import make_uscc

HOME_CITY = "370300"
DEPARTMENT, PROVIDER = "11", "91"
# Characters 9 and 10 of real codes are digits or MA; these are neither, so a made code is nobody's.
FIRST_SERIAL = 30 * 31**7 + 29 * 31**6

Kind = Literal["department", "enterprise", "provider"]


@dataclass(frozen=True)
class Org:
    """A generated organisation. role: what it stands for in the generator; region: GB/T 2260."""

    uscc: str
    name: str
    kind: Kind
    region: str
    role: str
    synthetic: bool = True


AUTHORITIES: tuple[tuple[str, str, Kind], ...] = (
    ("development", "示例市发展和改革委员会", "department"),
    ("industry", "示例市工业和信息化局", "department"),
    ("market", "示例市市场监督管理局", "department"),
    ("statistics", "示例市统计局", "department"),
    ("power", "示例市供电公司", "department"),
    ("provider", "示例产业数据服务有限公司", "provider"),
)


def authorities() -> dict[str, Org]:
    """Departments and the third-party provider by role; the same in every cluster."""
    return {
        role: Org(
            uscc=make_uscc(HOME_CITY, FIRST_SERIAL + number, registrar=PROVIDER if kind == "provider" else DEPARTMENT),
            name=name,
            kind=kind,
            region=HOME_CITY,
            role=role,
        )
        for number, (role, name, kind) in enumerate(AUTHORITIES)
    }
