"""The pages of the data network in one router."""

from __future__ import annotations

from fastapi import APIRouter

from service_portal.portal.routes import data_rules, network, replicas, transfers

router = APIRouter()
for part in (network, transfers, replicas, data_rules):
    router.include_router(part.router)
