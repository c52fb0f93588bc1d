"""The data network 虚拟数据网络: links with a capacity over time, and transfers that reserve part of it.

Everything is whole numbers, so that sums never depend on their order: times are milliseconds since 1970-01-01 UTC,
rates bytes a millisecond (1 Gbit/s is 125,000), sizes bytes.

Specification. A link carries at any moment the least of its rate and of the windows in force (maintenance), both ways
together. A transfer takes, at every moment from its start, all that the reservations before it leave on every link of
its path, until it is done: no other reservation on that path ends earlier, and no moment is over capacity. The path is
the one of at most `MOST_LINKS` links by which it ends first; of equal ones that with fewer links, then the first by
name. Two centres that no path joins are taken to have a link of the assumed rate, if there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

BYTES_MS_PER_GBIT_S = 125_000
MOST_LINKS = 3
Ends = tuple[str, str]
"""The centres that a link joins, in order of the alphabet."""


@dataclass(frozen=True, slots=True)
class Span:
    """A rate from a millisecond to another: what a window leaves, or what a reservation takes."""

    start_ms: int
    end_ms: int
    rate: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which nothing changes on a link: what it carries, and how much of that is reserved."""

    start_ms: int
    end_ms: int
    limit: int
    reserved: int


@dataclass(frozen=True, slots=True)
class Link:
    """A link between two centres; in a window its rate is at most that of the window."""

    ends: Ends
    rate: int
    windows: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Reservation:
    """A transfer's part of the links of its path; without path and spans nothing has to move."""

    source: str
    target: str
    path: tuple[Ends, ...]
    spans: tuple[Span, ...]
    finish_ms: int


def ends_of(one: str, other: str) -> Ends:
    """How the link between two centres is named."""
    return (one, other) if one < other else (other, one)


class Network:
    """Links with the reservations so far. assumed_rate: of two centres that no path joins; 0: nothing moves there."""

    def __init__(
        self, links: Iterable[Link], reserved: Mapping[Ends, Iterable[Span]] | None = None, assumed_rate: int = 0
    ) -> None:
        self._links = {link.ends: link for link in links}
        self._taken: dict[Ends, list[Span]] = {ends: list(spans) for ends, spans in (reserved or {}).items()}
        self._assumed_rate = assumed_rate
        self._beside: dict[str, list[str]] = {}
        for one, other in sorted(self._links):
            self._beside.setdefault(one, []).append(other)
            self._beside.setdefault(other, []).append(one)
        self._paths: dict[tuple[str, str], list[tuple[Ends, ...]]] = {}

    def earliest(self, size: int, sources: Iterable[str], target: str, at_ms: int) -> Reservation | None:
        """The reservation by which so many bytes from one of the sources are at the target first; None: never.

        Nothing is reserved yet. At a source, and for no bytes, it is done at once.
        """
        choices = sorted(set(sources))
        if target in choices or (choices and not size):
            return Reservation(target if target in choices else choices[0], target, (), (), at_ms)
        candidates = sorted(
            (at_ms + -(-size // rate), len(path), path, source)
            for source in choices
            for path in self._paths_between(source, target)
            if (rate := min(self._link(ends).rate for ends in path)) > 0
        )
        best: Reservation | None = None
        for bound_ms, length, path, source in candidates:
            if best is not None and bound_ms > best.finish_ms:
                break  # even alone on its path it would end later
            spans = self._spans(size, path, at_ms)
            if spans is None:
                continue
            order = (spans[-1].end_ms, length, path, source)
            if best is None or order < (best.finish_ms, len(best.path), best.path, best.source):
                best = Reservation(source, target, path, spans, spans[-1].end_ms)
        return best

    def reserve(self, reservation: Reservation) -> None:
        """Takes the reservation's part of its links."""
        for ends in reservation.path:
            self._taken.setdefault(ends, []).extend(reservation.spans)

    def free(self, ends: Ends, at_ms: int) -> int:
        """What is left of a link at a moment, bytes a millisecond."""
        return max(0, self._limit(ends, at_ms) - self._reserved(ends, at_ms))

    def course(self, ends: Ends, at_ms: int, until_ms: int) -> list[Stretch]:
        """What a link carries and what is reserved of it between two moments; each stretch differs from the next."""
        found: list[Stretch] = []
        for start_ms, end_ms in self._steps((ends,), at_ms):
            if start_ms >= until_ms:
                break
            end_ms = until_ms if end_ms is None else min(end_ms, until_ms)
            limit, reserved = self._limit(ends, start_ms), self._reserved(ends, start_ms)
            if found and (found[-1].limit, found[-1].reserved) == (limit, reserved):
                start_ms = found.pop().start_ms
            found.append(Stretch(start_ms, end_ms, limit, reserved))
        return found

    def _limit(self, ends: Ends, at_ms: int) -> int:
        link = self._link(ends)
        return min([link.rate, *(window.rate for window in link.windows if _holds(window, at_ms))])

    def _reserved(self, ends: Ends, at_ms: int) -> int:
        return sum(span.rate for span in self._taken.get(ends, ()) if _holds(span, at_ms))

    def _link(self, ends: Ends) -> Link:
        return self._links.get(ends) or Link(ends, self._assumed_rate)

    def _spans(self, size: int, path: tuple[Ends, ...], at_ms: int) -> tuple[Span, ...] | None:
        """When the path carries so many bytes at which rate; None: never."""
        left, spans = size, []
        for start_ms, end_ms in self._steps(path, at_ms):
            rate = min(self.free(ends, start_ms) for ends in path)
            if not rate:
                continue
            done_ms = start_ms + -(-left // rate)
            if end_ms is None or done_ms <= end_ms:
                spans.append(Span(start_ms, done_ms, rate))
                return tuple(spans)
            spans.append(Span(start_ms, end_ms, rate))
            left -= rate * (end_ms - start_ms)
        return None

    def _steps(self, path: tuple[Ends, ...], at_ms: int) -> Iterator[tuple[int, int | None]]:
        """Stretches from a moment on within which nothing changes on the path; the last has no end."""
        moments = {at_ms}
        for ends in path:
            for span in (*self._link(ends).windows, *self._taken.get(ends, ())):
                moments |= {moment for moment in (span.start_ms, span.end_ms) if moment > at_ms}
        ordered = sorted(moments)
        yield from pairwise(ordered)
        yield ordered[-1], None

    def _paths_between(self, source: str, target: str) -> list[tuple[Ends, ...]]:
        """Every way of at most `MOST_LINKS` links that passes no centre twice, or the assumed link."""
        known = self._paths.get((source, target))
        if known is None:
            known = [*self._walk((source,), target)]
            if not known and self._assumed_rate:
                known = [(ends_of(source, target),)]
            self._paths[source, target] = known
        return known

    def _walk(self, passed: tuple[str, ...], target: str) -> Iterator[tuple[Ends, ...]]:
        for centre in self._beside.get(passed[-1], ()):
            if centre == target:
                yield tuple(ends_of(one, other) for one, other in pairwise((*passed, centre)))
            elif centre not in passed and len(passed) < MOST_LINKS:
                yield from self._walk((*passed, centre), target)


def _holds(span: Span, at_ms: int) -> bool:
    return span.start_ms <= at_ms < span.end_ms
