"""Fragmentation gradient descent as published, on its own: what the packing of policies is held against.

Weng et al., "Beware of Fragmentation", USENIX ATC 2023, and its simulator (`NodeGpuShareFragAmountScore`,
`FGDScorePlugin`): typical pods are the most frequent shapes of the whole list, before it is grown, that make 95 % of
it; the fragment of a node is, over these by frequency, what its free GPUs could not give to the pod; a node's score is
`int(100 * sigmoid(fragment before - after))` in GPUs; equal scores go to the first node by name; part of a GPU goes to
the device with the best score, the first of equal ones; whole ones to the first that are free. The typical pods are
the one thing that it knows beforehand. Memory must suffice but is not scored.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from compute_scheduler.domain.resources import MILLI
from compute_scheduler.domain.simulation.openb import GpuNode, Pod, PodTrace

POPULAR = 0.95
MOST_SCORE = 100
Shape = tuple[int, int, int, tuple[str, ...]]
"""Thousandths of cores, GPUs, thousandths of each, models."""
State = tuple[str, int, tuple[int, ...]]
"""Model, thousandths of cores left, thousandths left of each device."""


def fgd(trace: PodTrace, progress: Callable[[int], None] | None = None) -> list[bool]:
    """Which pods found a place, in the order in which they came."""
    cluster = _Cluster(trace.nodes, typical(trace.listed))
    placed = []
    for number, pod in enumerate(trace.pods):
        placed.append(cluster.place(pod))
        if progress is not None:
            progress(number + 1)
    return placed


def typical(pods: Sequence[Pod]) -> list[tuple[Shape, float]]:
    """The most frequent shapes that make 95 % of the pods, with their part of these; equal ones larger first."""
    counts = sorted(((times, shape) for shape, times in Counter(map(_shape, pods)).items()), reverse=True)
    found: list[tuple[Shape, float]] = []
    seen = 0
    for times, shape in counts:
        if seen >= POPULAR * len(pods):
            break
        found.append((shape, float(times)))
        seen += times
    return [(shape, times / seen) for shape, times in found]


def _shape(pod: Pod) -> Shape:
    return pod.milli_cores, pod.gpus, pod.milli, pod.models


def fragment(state: State, pods: Sequence[tuple[Shape, float]]) -> float:
    """Thousandths of GPUs that the typical pods could not use on a node, by frequency."""
    model, cores, lefts = state
    free = sum(lefts)
    if not free:
        return 0.0
    found = 0.0
    for (need, gpus, milli, models), often in pods:
        short = gpus == 0 or need > cores or model not in models or sum(left >= milli for left in lefts) < gpus
        found += often * (free if short else sum(left for left in lefts if left < milli))
    return found


class _Cluster:
    """Nodes with what is free; scores once worked out are kept, by state of the node and shape of the pod."""

    def __init__(self, nodes: Sequence[GpuNode], pods: Sequence[tuple[Shape, float]]) -> None:
        self.pods = pods
        self.states: list[State] = [(node.model, node.milli_cores, (MILLI,) * node.gpus) for node in nodes]
        self.memory = [node.memory_mib for node in nodes]
        self.fragments: dict[State, float] = {}
        self.moves: dict[tuple[State, Shape], tuple[int, State | None]] = {}
        self.scores: dict[Shape, tuple[list[int], int]] = {}
        self.changed: list[int] = []

    def place(self, pod: Pod) -> bool:
        """Places a pod where the score is best; False when it fits nowhere."""
        shape = _shape(pod)
        scores, upto = self.scores.get(shape, ([], 0))
        if not scores:
            scores = [self._move(state, shape)[0] for state in self.states]
        else:
            for at in set(self.changed[upto:]):
                scores[at] = self._move(self.states[at], shape)[0]
        self.scores[shape] = (scores, len(self.changed))
        best = max(scores, default=-1)
        if best < 0:
            return False
        at = scores.index(best)
        if self.memory[at] < pod.memory_mib:
            fitting = [place for place, left in enumerate(self.memory) if left >= pod.memory_mib and scores[place] >= 0]
            if not fitting:
                return False
            at = max(fitting, key=lambda place: (scores[place], -place))
        after = self._move(self.states[at], shape)[1]
        if after is None:
            return False
        self.states[at] = after
        self.memory[at] -= pod.memory_mib
        self.changed.append(at)
        return True

    def _move(self, state: State, shape: Shape) -> tuple[int, State | None]:
        """The score of a pod on a node and the node after it; -1 when it does not fit."""
        key = (state, shape)
        known = self.moves.get(key)
        if known is None:
            known = self.moves[key] = self._scored(state, shape)
        return known

    def _scored(self, state: State, shape: Shape) -> tuple[int, State | None]:
        model, cores, lefts = state
        need, gpus, milli, models = shape
        if need > cores or (gpus and (model not in models or sum(left >= milli for left in lefts) < gpus)):
            return -1, None
        before = self._fragment(state)
        best, found = -1, None
        for after in _afters(lefts, gpus, milli):
            state = (model, cores - need, after)
            score = int(MOST_SCORE / (1.0 + math.exp((self._fragment(state) - before) / MILLI)))
            if score > best:
                best, found = score, state
        return best, found

    def _fragment(self, state: State) -> float:
        known = self.fragments.get(state)
        if known is None:
            known = self.fragments[state] = fragment(state, self.pods)
        return known


def _afters(lefts: tuple[int, ...], gpus: int, milli: int) -> list[tuple[int, ...]]:
    """What the devices may have left after a pod: one way for whole devices, one a device for part of one."""
    if gpus == 1 and milli < MILLI:
        return [
            (*lefts[:at], left - milli, *lefts[at + 1 :])
            for at, left in enumerate(lefts)
            if left >= milli and left not in lefts[:at]
        ]
    after, wanted = list(lefts), gpus
    for at, left in enumerate(lefts):
        if wanted and left == MILLI:
            after[at] = 0
            wanted -= 1
    return [tuple(after)]
