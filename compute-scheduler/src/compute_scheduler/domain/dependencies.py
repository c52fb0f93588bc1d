"""Jobs that come after others: what is wrong with the names in a batch, and the ids that they stand for."""

from __future__ import annotations

from collections.abc import Sequence

from compute_scheduler.domain.spec import JobSpec


def number_of(name: str) -> int | None:
    """The place in its batch that a name means, None for the id of a job."""
    return int(name[1:]) if name.startswith("#") else None


def objections(specs: Sequence[JobSpec]) -> list[tuple[int, str, str]]:
    """(place of the job, field, reason) of names that lead out of the batch, and of one circle if there is any."""
    wrong = []
    for place, spec in enumerate(specs):
        for at, name in enumerate(spec.after):
            number = number_of(name)
            if number is not None and number >= len(specs):
                wrong.append((place, f"after.{at}", f"{name} 不在这一批里，这一批共 {len(specs)} 个作业（#0 起）"))
    if not wrong and (circle := _circle(specs)):
        words = " → ".join(f"#{place}" for place in circle)
        wrong.append((circle[0], "after", f"循环依赖：{words}，这些作业都永远不能开始"))
    return wrong


def _circle(specs: Sequence[JobSpec]) -> list[int]:
    """Jobs each of which comes after the next, the first again at the end; empty when there are none."""
    before = [[number for name in spec.after if (number := number_of(name)) is not None] for spec in specs]
    done: set[int] = set()
    for first in range(len(specs)):
        path: list[int] = []
        ways = [iter([first])]
        while ways:
            place = next(ways[-1], None)
            if place is None:
                ways.pop()
                if path:
                    done.add(path.pop())
            elif place in path:
                return [*path[path.index(place) :], place]
            elif place not in done:
                path.append(place)
                ways.append(iter(before[place]))
    return []
