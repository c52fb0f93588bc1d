"""Pod and node lists in the columns of Alibaba's openb trace (cluster-trace-gpu-v2023), and demand grown from them.

Nodes: sn, cpu_milli, memory_mib, gpu (number), model. Pods: name, cpu_milli, memory_mib, num_gpu, gpu_milli
(thousandths of one GPU when num_gpu is 1), gpu_spec (allowed models with `|` between them, empty: any). Memory is
counted in MiB on both sides. Run times are not used: pods come one by one and stay.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from compute_scheduler.domain.resources import ANY_OF, MILLI, Resources, resources
from compute_scheduler.domain.simulation.jobs import BadTrace

NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
POD_COLUMNS = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")
INFLATION = 1.3
MOST_GPUS = 1024


@dataclass(frozen=True, slots=True)
class GpuNode:
    """A machine with so many devices of one model."""

    id: str
    milli_cores: int
    memory_mib: int
    gpus: int
    model: str

    @property
    def capacity(self) -> Resources:
        """All of it."""
        return Resources(self.milli_cores, self.memory_mib, ((self.model, self.gpus),) if self.gpus else ())


@dataclass(frozen=True, slots=True)
class Pod:
    """What a pod asks for: `gpus` whole devices, or `milli` thousandths of one; of any of the models."""

    milli_cores: int
    memory_mib: int
    gpus: int
    milli: int
    models: tuple[str, ...]

    @property
    def requested(self) -> int:
        """Thousandths of devices."""
        return self.gpus * self.milli

    @property
    def demand(self) -> Resources:
        """The same as a job asks for it."""
        if not self.gpus:
            return Resources(self.milli_cores, self.memory_mib)
        amount = self.milli / MILLI if self.milli < MILLI else self.gpus
        return resources(self.milli_cores / MILLI, self.memory_mib, {ANY_OF.join(self.models): amount})


@dataclass(frozen=True, slots=True)
class PodTrace:
    """Nodes by id and pods in the order in which they come; listed: the pods of the list as it is."""

    name: str
    nodes: tuple[GpuNode, ...]
    pods: tuple[Pod, ...]
    listed: tuple[Pod, ...]

    @property
    def capacity(self) -> int:
        """Thousandths of devices of all nodes."""
        return sum(node.gpus for node in self.nodes) * MILLI


def read_openb(
    name: str, pods: Iterable[str], nodes_name: str, nodes: Iterable[str], limit: int | None = None, seed: int = 0
) -> PodTrace:
    """The pods of a list, shuffled and grown to 130 % of the nodes' GPUs. limit: only the first that come then.

    Raises BadTrace that names file, line and column.
    """
    machines = _nodes(nodes_name, nodes)
    models = sorted({node.model for node in machines if node.gpus})
    if not models:
        raise BadTrace(f"{nodes_name}: no node has a GPU (column gpu), so there is nothing to allocate")
    listed = _pods(name, pods, models, nodes_name)
    pods_come = inflated(listed, sum(node.gpus for node in machines), seed)[:limit]
    return PodTrace(name, machines, tuple(pods_come), tuple(listed))


def inflated(pods: Sequence[Pod], gpus: int, seed: int) -> list[Pod]:
    """Pods in random order, with random copies after them until they ask for 130 % of the GPUs.

    As in the published experiment (`TunePodsByNodeTotalResource` of the FGD simulator): the list is shuffled; while it
    asks for more than 130 %, a random pod is taken out; else copies of random pods of the list are added at the end
    until the next copy, counted with its share of one device, would pass 130 %. The seed drives all of it. The random
    numbers themselves are Python's and not Go's, so a seed here is not the same order as the seed there.
    Raises BadTrace when no pod asks for a GPU.
    """
    rng = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    requested, most = sum(pod.requested for pod in pods), INFLATION * gpus * MILLI
    if not requested:
        raise BadTrace("no pod asks for a GPU (columns num_gpu, gpu_milli), so demand cannot reach 130 % of the GPUs")
    found = list(pods)
    rng.shuffle(found)
    while requested > most:
        requested -= found.pop(rng.randrange(len(found))).requested
    while True:
        copy = pods[rng.randrange(len(pods))]
        if requested + copy.milli > most:
            return found
        requested += copy.requested
        found.append(copy)


def _nodes(name: str, lines: Iterable[str]) -> tuple[GpuNode, ...]:
    found: dict[str, GpuNode] = {}
    for line, row in _rows(name, lines, NODE_COLUMNS):
        gpus = _whole(name, line, row, "gpu", 0, MOST_GPUS)
        model = row["model"].strip()
        node_id = row["sn"].strip()
        if not node_id or node_id in found:
            what = f"node {node_id} is there twice" if node_id else "is empty; give each node a name of its own"
            raise BadTrace(f"{name}, line {line}, column sn: {what}")
        if gpus and (not model or ANY_OF in model or model in ("cores", "memory_mb")):
            raise BadTrace(f"{name}, line {line}, column model: a node with GPUs needs the name of one model")
        cores, memory = _whole(name, line, row, "cpu_milli", 0), _whole(name, line, row, "memory_mib", 0)
        found[node_id] = GpuNode(node_id, cores, memory, gpus, model)
    if not found:
        raise BadTrace(f"{name}: the list holds no node; give a node list with --nodes")
    return tuple(found[node_id] for node_id in sorted(found))


def _pods(name: str, lines: Iterable[str], models: Sequence[str], nodes_name: str) -> list[Pod]:
    found = []
    for line, row in _rows(name, lines, POD_COLUMNS):
        gpus = _whole(name, line, row, "num_gpu", 0, MOST_GPUS)
        milli = _whole(name, line, row, "gpu_milli", 1, MILLI) if gpus else 0
        if gpus > 1 and milli != MILLI:
            raise BadTrace(f"{name}, line {line}, column gpu_milli: {gpus} GPUs are taken as a whole; write {MILLI}")
        asked = [model.strip() for model in (row.get("gpu_spec") or "").split(ANY_OF) if model.strip()]
        known = tuple(model for model in models if model in asked) if asked else tuple(models)
        if gpus and not known:
            what = f"no node of {nodes_name} has {ANY_OF.join(asked)} (it has {', '.join(models)})"
            raise BadTrace(
                f"{name}, line {line}, column gpu_spec: {what}; correct the model, or leave it empty for any"
            )
        cores, memory = _whole(name, line, row, "cpu_milli", 0), _whole(name, line, row, "memory_mib", 0)
        found.append(Pod(cores, memory, gpus, milli, known if gpus else ()))
    if not found:
        raise BadTrace(f"{name}: the list holds no pod")
    return found


def _rows(name: str, lines: Iterable[str], columns: Sequence[str]) -> Iterable[tuple[int, Mapping[str, str]]]:
    """The rows of a CSV file with their lines; cells that are not there are empty."""
    rows = csv.DictReader(lines, restval="")
    missing = [column for column in columns if column not in (rows.fieldnames or [])]
    if missing:
        raise BadTrace(f"{name}, line 1: columns are missing: {', '.join(missing)} (the first line names the columns)")
    try:
        for row in rows:
            if None in row:
                raise BadTrace(f"{name}, line {rows.line_num}: the line has more cells than the first line has columns")
            yield rows.line_num, row
    except csv.Error as error:
        raise BadTrace(f"{name}, line {rows.line_num}: {error}") from None


def _whole(name: str, line: int, row: Mapping[str, str], column: str, least: int, most: int | None = None) -> int:
    """A whole number of a cell; `12.0` counts as one."""
    text = row[column].strip()
    try:
        number = float(text)
        value = int(number)
    except (ValueError, OverflowError):
        value, number = -1, 0.5
    if value != number or value < least or (most is not None and value > most):
        wanted = f"from {least} to {most}" if most is not None else f"not under {least}"
        raise BadTrace(f"{name}, line {line}, column {column}: {text or 'empty'}; write a whole number {wanted}")
    return value
