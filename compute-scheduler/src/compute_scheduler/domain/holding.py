"""Whether a shape could start at all, whatever runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compute_scheduler.domain import reasons
from compute_scheduler.domain.decisions import Reason
from compute_scheduler.domain.resources import ANY_OF, MILLI
from compute_scheduler.domain.shapes import Shape, amounts_of, members
from compute_scheduler.domain.snapshot import Centre, Node


def hold(shape: Shape, models: Mapping[Node, Sequence[int]], centres: Mapping[str, Centre]) -> Reason | None:
    """Why no job of this shape can start even on empty nodes, or None.

    models: nodes alike in centre and capacity, with how many of them take no new jobs and how many do.
    """
    if shape.centres and not any(centre in centres for centre in shape.centres):
        return reasons.centre_unknown(shape.centres)
    allowed = [node for node in models if not shape.centres or node.centre in shape.centres]
    if not any(node.capacity.covers(shape.demand) for node in allowed):
        return _too_large(shape, allowed)
    # Centre to the members for which it has room, on all its nodes and on those that take jobs.
    room: dict[str, list[int]] = {}
    for node in allowed:
        each = _members(shape, node)
        shut, open_ = models[node]
        have = room.setdefault(node.centre, [0, 0])
        have[0] += each * (shut + open_)
        have[1] += each * open_
    fitting = {centre: have[1] for centre, have in room.items() if have[0] >= shape.gang}
    if not fitting:
        return reasons.gang_never_fits(shape.gang, max(have[0] for have in room.values()))
    if any(have >= shape.gang for have in fitting.values()):
        return None
    closed = sorted(centre for centre in fitting if not _is_open(centres.get(centre)))
    if len(closed) == len(fitting):
        return reasons.centre_closed(centres[centre].name if centre in centres else centre for centre in closed)
    return reasons.nodes_closed()


def _is_open(centre: Centre | None) -> bool:
    return centre is not None and centre.state == "open"


def _too_large(shape: Shape, allowed: Sequence[Node]) -> Reason:
    """Names the first resource of which no node has enough, if it is one alone."""
    for name, asked in shape.amounts:
        most = max((_most(dict(amounts_of(node.capacity)), name) for node in allowed), default=0)
        if most < asked:
            return reasons.never_fits(name, asked, most)
    return reasons.never_fits(None, 0, 0)


def _members(shape: Shape, node: Node) -> int:
    """How many members of a job an empty node holds, as far as it matters."""
    one = shape.on(node.capacity.accelerators)
    if one is None:
        return 0
    most = members(one.amounts, dict(amounts_of(node.capacity)), shape.gang)
    if one.share:
        most = min(most, dict(node.capacity.accelerators)[one.accelerators[0][0]] * (MILLI // one.share))
    return most


def _most(amounts: Mapping[str, int], name: str) -> int:
    """The amount of a resource, of a choice of kinds that of the largest."""
    return max(amounts.get(one, 0) for one in name.split(ANY_OF))
