"""The form of a finding."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One check: whether it is fine, what was seen, and how to mend it (empty when it is fine)."""

    check: str
    ok: bool
    seen: str
    advice: str = ""


def fine(check: str, seen: str) -> Finding:
    """A check that found nothing."""
    return Finding(check, True, seen)


def wrong(check: str, seen: str, advice: str) -> Finding:
    """A check that found something, with what to do about it."""
    return Finding(check, False, seen, advice)
