"""Plugins of every test, and which tests run in the same process when several run at once.

The servers and the rule against skipping live in brain_testing.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# Other processes share the machine's two cores: how long one example takes says nothing.
# What CI says must not depend on chance; a developer's runs go on looking for new examples.
settings.register_profile("brain", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("brain")

pytest_plugins = ["brain_testing.fixtures"]

CLUSTERS = "tests/compute_scheduler/integration/test_"
# Beginnings of paths whose tests share what is costly to start: each line runs in one process. Others go file by file.
TOGETHER: tuple[tuple[str, ...], ...] = (
    ("tests/e2e/",),
    tuple(CLUSTERS + name for name in ("cluster_kills", "kubernetes", "ray", "slurm")),
    ("tests/service_portal/portal/",),
    ("tests/evaluation/",),
    ("tests/algorithm_dev/",),
    ("tests/industry_brain/integration/",),
    ("tests/service_portal/integration/",),
    ("tests/identity/", *("tests/brain_kit/integration/test_" + name for name in ("events", "outbox"))),
)


def group_of(nodeid: str) -> str:
    """The number of the line of `TOGETHER`, else the file."""
    file = nodeid.partition("::")[0]
    return next((str(number) for number, paths in enumerate(TOGETHER) if file.startswith(paths)), file)


class InGroups(LoadScopeScheduling):
    """Gives each process one group of tests after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> InGroups:
    """Names the scheduler of this suite."""
    config.option.loadscopereorder = False  # the order of collection, which is that below
    return InGroups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups first, the longest in front, so that the processes end at about the same time."""
    items.sort(key=lambda item: int(group) if (group := group_of(item.nodeid)).isdigit() else len(TOGETHER))
