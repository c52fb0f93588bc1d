"""Plugins of every test, and which tests run in the same process when several run at once.

The servers and the rule against skipping live in brain_testing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest
from hypothesis import settings

# Other processes share the machine's two cores: how long one example takes says nothing.
# What CI says must not depend on chance; a developer's runs go on looking for new examples.
settings.register_profile("brain", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("brain")

pytest_plugins = ["brain_testing.fixtures"]

# Folders whose tests share one running service (fixtures of scope "package" in their conftest.py).
SHARING = (
    "tests/algorithm_dev",
    "tests/evaluation",
    "tests/identity",
    "tests/service_portal/integration",
    "tests/service_portal/portal",
)
# What takes longest begins first, so that the processes end at about the same time.
LONGEST = ("e2e", "tests/evaluation", "slurm")


def group_of(item: pytest.Item) -> str:
    """The group that a test names; else the folder whose service it shares; else its file."""
    named: Iterable[pytest.Mark] = item.iter_markers("xdist_group")
    names = [str(mark.args[0] if mark.args else mark.kwargs["name"]) for mark in named]
    if names:
        return "_".join(sorted(names))
    file = item.nodeid.partition("::")[0]
    return next((folder for folder in SHARING if file.startswith(f"{folder}/")), file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its group (pytest-xdist, `--dist loadgroup`) and put the longest groups in front."""
    groups = {item: group_of(item) for item in items}
    for item, group in groups.items():
        if not any(item.iter_markers("xdist_group")):
            item.add_marker(pytest.mark.xdist_group(group))
    order = {group: number for number, group in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(groups[item], len(LONGEST)))
