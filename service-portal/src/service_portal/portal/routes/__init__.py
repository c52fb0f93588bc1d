"""The pages, one module per job."""

from __future__ import annotations

from fastapi import APIRouter

from service_portal.portal.routes import (
    audit,
    catalogue,
    centre,
    centres,
    components,
    compute_map,
    data_network,
    datasets,
    enterprises,
    events,
    evidence,
    factories,
    indicator_forms,
    indicators,
    job_forms,
    jobs,
    lending,
    lineage,
    operations,
    overview,
    panorama,
    policy,
    pushes,
    query,
    quotas,
    register,
    repair,
    reservations,
    runs,
    search,
    settlement,
    sign_in,
    simulations,
    sources,
)

_MODULES = (
    audit,
    catalogue,
    centre,
    centres,
    components,
    compute_map,
    data_network,
    datasets,
    enterprises,
    events,
    job_forms,
    jobs,
    lending,
    lineage,
    operations,
    evidence,
    factories,
    indicator_forms,
    indicators,
    overview,
    panorama,
    policy,
    pushes,
    query,
    quotas,
    register,
    repair,
    reservations,
    runs,
    search,
    settlement,
    sign_in,
    simulations,
    sources,
)


def all_routers() -> list[APIRouter]:
    """The router of every page."""
    return [module.router for module in _MODULES]
