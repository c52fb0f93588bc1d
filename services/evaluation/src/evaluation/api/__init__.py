"""HTTP routes of evaluation."""

from __future__ import annotations

from fastapi import APIRouter

from evaluation.api import assessments, choices, evidence, reports, runs, sets
from evaluation.api.parts import Parts

__all__ = ["Parts", "all_routes"]


def all_routes(parts: Parts) -> list[APIRouter]:
    """Every router with its parts wired in; evidence stands before the addresses that end with an action."""
    return [module.routes(parts) for module in (sets, choices, runs, evidence, reports, assessments)]
