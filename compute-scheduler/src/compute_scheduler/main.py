"""Wiring of compute-scheduler."""

from __future__ import annotations

from brain_kit.auth import require
from brain_kit.events.routes import event_routes
from brain_kit.service import Platform, ServiceRuntime, Worker, create_app

from compute_scheduler.api.agent import agent_routes
from compute_scheduler.api.carbon import carbon_routes
from compute_scheduler.api.centres import centre_routes, tenant_routes
from compute_scheduler.api.files import file_routes
from compute_scheduler.api.inventory import inventory_routes
from compute_scheduler.api.jobs import job_routes
from compute_scheduler.api.lending import lending_routes, partner_routes
from compute_scheduler.api.loans import loan_routes
from compute_scheduler.api.network import network_routes
from compute_scheduler.api.policies import policy_routes
from compute_scheduler.api.reservations import reservation_routes
from compute_scheduler.api.settlement import ledger_routes, price_routes, settlement_routes
from compute_scheduler.api.simulations import simulation_routes
from compute_scheduler.api.tariffs import tariff_routes
from compute_scheduler.api.transfers import transfer_routes
from compute_scheduler.clients import CentreKeys, DatasetRights, Owners, VersionFiles
from compute_scheduler.service.carrying import Carriage
from compute_scheduler.service.exchange import Exchange
from compute_scheduler.service.files import Files
from compute_scheduler.service.ledger import Poster
from compute_scheduler.service.lent import Lent
from compute_scheduler.service.metrics import LedgerMetrics, PlanMetrics, TransferMetrics
from compute_scheduler.service.recalling import Recaller
from compute_scheduler.service.simulating import Simulator
from compute_scheduler.service.submit import Submissions
from compute_scheduler.settings import Settings
from compute_scheduler.worker import local_agent, scheduler

NAME = "compute-scheduler"


def build(platform: Platform) -> ServiceRuntime:
    """The service with its database migrated and its workers ready to run."""
    settings = Settings(**platform.settings.model_dump())
    database = platform.database(NAME)
    database.migrate("compute_scheduler")
    rights = DatasetRights(platform.client("data-hub"))
    submissions = Submissions(database, settings, rights)
    spool = settings.home / "spool" / NAME
    files = Files(database, platform.objects, spool, settings.compute_scheduler_most_file_bytes)
    checks = {"database": database.ping, "objects": platform.objects.ping}
    app = create_app(NAME, platform, title="算力调度平台 Compute scheduler", checks=checks)
    metrics = TransferMetrics(app.state.metrics.registry)
    exchange = Exchange(database, settings, metrics)
    carriage = Carriage(database, settings, VersionFiles(platform.client("data-hub")), metrics)
    identity = platform.client("identity")
    app.include_router(job_routes(database, submissions, settings))
    app.include_router(file_routes(files))
    app.include_router(centre_routes(database, CentreKeys(identity), Owners(identity)))
    app.include_router(tenant_routes(database, settings))
    app.include_router(inventory_routes(database, settings))
    app.include_router(network_routes(database, settings, rights))
    app.include_router(transfer_routes(database))
    app.include_router(reservation_routes(database, settings, Owners(identity)))
    app.include_router(policy_routes(database, settings))
    app.include_router(price_routes(database))
    app.include_router(carbon_routes(database))
    app.include_router(tariff_routes(database))
    app.include_router(ledger_routes(database))
    app.include_router(settlement_routes(database))
    app.include_router(simulation_routes(database, platform.objects, settings))
    app.include_router(agent_routes(database, exchange, files, carriage))
    app.include_router(lending_routes(database, CentreKeys(identity), Owners(identity)))
    app.include_router(loan_routes(database, Lent(database, submissions), files))
    app.include_router(partner_routes(database))
    app.include_router(event_routes(database, platform.bus, {NAME: ()}, require("operator", "service")))
    workers = [
        platform.relay(database),
        scheduler(database, settings, metrics, PlanMetrics(app.state.metrics.registry)),
        local_agent(platform, exchange),
        Worker("ledger", "scheduler", Poster(database, LedgerMetrics(app.state.metrics.registry)).run),
        Worker("recaller", "scheduler", Recaller(database).run),
        Worker("simulator", "scheduler", Simulator(database, platform.objects, settings).run),
    ]
    return ServiceRuntime(NAME, app, database, workers)
