"""Who sees which rows and columns."""

from __future__ import annotations

import pytest
from data_hub.domain.policy import Viewer, policy_of

COLUMNS = ("uscc", "revenue", "_owner", "_push", "_pushed_at")
ENTERPRISE = Viewer("key_1", "91370300MA3C00001U", sees_all=False)
DEPARTMENT = Viewer("key_2", "11370000MB0000001X", sees_all=True)


@pytest.mark.parametrize("access", ["open", "government", "owner", "something new"])
def test_government_sees_all_rows_and_columns(access: str) -> None:
    """Operators, departments and services are not limited, whatever the data set says."""
    policy = policy_of(DEPARTMENT, access, COLUMNS)

    assert (policy.columns, policy.owner) == (COLUMNS, None)


@pytest.mark.parametrize(
    ("access", "owner"), [("open", None), ("government", ENTERPRISE.org), ("owner", ENTERPRISE.org)]
)
def test_an_enterprise_sees_open_rows_and_its_own(access: str, owner: str | None) -> None:
    """All rows of open data sets, of every other only those it owns; of the system columns only the owner."""
    policy = policy_of(ENTERPRISE, access, COLUMNS)

    assert policy.owner == owner
    assert policy.columns == ("uscc", "revenue", "_owner")


def test_an_unknown_kind_of_access_is_the_strictest() -> None:
    """A contract from a later version must not open a data set by accident."""
    assert policy_of(ENTERPRISE, "shared", COLUMNS).owner == ENTERPRISE.org
