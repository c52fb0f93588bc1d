"""Clusters: a region prefix, a chain, or both; what indicators are computed for."""

from __future__ import annotations

from typing import Any

from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from sqlalchemy.orm import Session

from evaluation.domain.computations import Scope
from evaluation.service.problems import ClusterInUse, ClusterUnknown, FieldsMissing
from evaluation.store import clusters as store

Body = dict[str, Any]


def list_clusters(database: Database) -> list[Body]:
    """Every cluster by id."""
    with database.reading() as session:
        return [cluster_body(row) for row in store.cluster_rows(session)]


def get_cluster(database: Database, cluster: str) -> Body:
    """One cluster. Raises ClusterUnknown."""
    with database.reading() as session:
        return cluster_body(known_cluster(session, cluster))


def put_cluster(
    database: Database, caller: Principal, cluster: str, body: Body, datasets: list[str]
) -> tuple[Body, bool]:
    """Registers or changes a cluster and has it computed; answers (cluster, is new).

    datasets: what its figures read. Raises FieldsMissing when it names neither region nor chain.
    """
    if not body.get("region") and not body.get("chain"):
        raise FieldsMissing("集群要有地区（region）或产业链（chain），至少一项", field="region")
    now = utc_now()
    values = {"id": cluster, **{name: body[name] for name in ("name", "region", "chain", "synthetic")}}
    with database.transaction() as session:
        is_new = store.save_cluster(session, values, now)
        store.touch(session, cluster, datasets, now)
        audit.record(session, caller, action="cluster.put", object=cluster, detail={"new": is_new})
        return cluster_body(known_cluster(session, cluster)), is_new


def delete_cluster(database: Database, caller: Principal, cluster: str) -> None:
    """Removes a cluster with its computed values and targets. Raises ClusterUnknown, ClusterInUse."""
    with database.transaction() as session:
        known_cluster(session, cluster)
        if store.has_reports(session, cluster):
            raise ClusterInUse(f"集群 {cluster} 已有填报值，不能移除；可以改名", cluster=cluster)
        store.delete_cluster(session, cluster)
        audit.record(session, caller, action="cluster.delete", object=cluster)


def known_cluster(session: Session, cluster: str) -> Any:
    """The row of a cluster. Raises ClusterUnknown."""
    row = store.cluster_row(session, cluster)
    if row is None:
        raise ClusterUnknown(f"没有集群 {cluster}，列表见 GET /v1/clusters", cluster=cluster)
    return row


def chosen_cluster(session: Session, cluster: str | None) -> Any | None:
    """The named cluster, or the first one; None while there is none. Raises ClusterUnknown."""
    if cluster:
        return known_cluster(session, cluster)
    rows = store.cluster_rows(session)
    return rows[0] if rows else None


def scope_of(row: Any) -> Scope:
    """What of the warehouses belongs to a cluster."""
    return Scope(region=row.region or "", chain=row.chain or "")


def cluster_body(row: Any) -> Body:
    """A cluster as it is shown."""
    return {
        "id": row.id,
        "name": row.name,
        "region": row.region,
        "chain": row.chain,
        "synthetic": row.synthetic,
        "version": row.version,
        "updated_at": rfc3339(row.updated_at),
    }
