"""Nodes of the lineage graph by their names.

`dataset:<warehouse>.<dataset>@<version>` (no `@` when an event named no version),
`external:<org>|<namespace>|<name>@<version>` for
data sets outside the platform (each organisation's own), `run:<uuid>`, `push:<id>`, `component:<job>`,
`indicator:<job>`, `org:<uscc>`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from brain_kit.problems import InvalidInput, NotFound

BRAIN = "brain"
Kind = Literal["dataset", "external", "run", "push", "component", "indicator", "org"]
KINDS: tuple[Kind, ...] = ("dataset", "external", "run", "push", "component", "indicator", "org")
# A run of these services is the run of a component, or computes an indicator.
COMPONENT_SERVICE, INDICATOR_SERVICE = "brain.algorithm-dev", "brain.evaluation"
SERVICE_NAMESPACE = "brain."
MAX_NODE = 700

EdgeKind = Literal["input", "output", "push", "source", "previous", "uses", "computes"]


class NodeUnknown(NotFound):
    """There is no such node, or it is not for the caller to know."""

    code, title = "lineage_node_unknown", "Unknown node"


class NodeInvalid(InvalidInput):
    """The text names no node."""

    code, title = "lineage_node_invalid", "Not a node"


@dataclass(frozen=True)
class Edge:
    """What `source` gave to `target`; columns when a walk follows columns."""

    source: str
    target: str
    kind: EdgeKind


def dataset_node(name: str, version: str) -> str:
    """A version of a data set of the platform."""
    return f"dataset:{name}@{version}" if version else f"dataset:{name}"


def external_node(org: str, namespace: str, name: str, version: str) -> str:
    """A data set outside the platform, as one organisation knows it."""
    return f"external:{org}|{namespace}|{name}" + (f"@{version}" if version else "")


def kind_of(node: str) -> Kind:
    """What a node is. Raises NodeInvalid."""
    kind = node.partition(":")[0]
    if kind not in KINDS or len(node) > MAX_NODE or not node.partition(":")[2]:
        raise NodeInvalid(f"node 应写作 {'、'.join(KINDS)} 之一加冒号与编号，现为 {node[:60]!r}", field="node")
    return kind


def name_of(node: str) -> str:
    """The node without its kind."""
    return node.partition(":")[2]


def dataset_of(node: str) -> tuple[str, str]:
    """Name and version of a `dataset:` node; the version is empty when there is none."""
    name, _, version = name_of(node).partition("@")
    return name, version


def run_node(run_id: str) -> str:
    """A run."""
    return f"run:{run_id}"
