"""A warehouse of real Parquet files with field ids behind the real reading routes; commits are lists of files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import jwt
import pyarrow as pa
import pyarrow.parquet as pq
from brain_contracts.contract import Column, DatasetContract
from brain_kit.auth import AUDIENCE, ISSUER, Principal, TokenVerifier, claims_of
from brain_kit.client import Reply
from brain_kit.service import Platform, ServiceRuntime, create_app
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from data_hub.domain.tables import SYSTEM_COLUMNS, ColumnField, DataFileRef, TableState
from data_hub.engine.warehouse import contract_schema
from data_hub.query_settings import QuerySettings
from data_hub.reading import Reading, build_reading
from data_hub.service.readable import AsOf, DatasetUnknown, WarehouseReading
from data_hub.store import queries as query_store
from data_hub.store import tables as hub_tables
from data_hub.store.datasets import add_datasets

STEEL, CHEM = "91370300MA3C00001U", "91370300MA3C000021"
ARROW_TYPES = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
}


def principal(org: str, org_kind: Any = "enterprise", *roles: str, subject: str = "") -> Principal:
    """A caller with a key of an organisation."""
    return Principal(subject or f"key_{org}", "key", org, org_kind, roles=frozenset(roles or ("member",)))


OPERATOR = principal("91370300MA3C00099X", "operator", "operator")
STEEL_KEY, CHEM_KEY = principal(STEEL), principal(CHEM)


def contract(name: str, columns: dict[str, str], key: Sequence[str] = (), access: Any = "owner") -> DatasetContract:
    """A contract with just names and logical types."""
    return DatasetContract(
        name=name,
        version="1.0.0",
        title_zh=name,
        title_en=name,
        description="",
        warehouse=name.split(".")[0],
        library="base",
        classification="一般-2",
        access=access,
        columns=tuple(Column(column, kind, required=column in key) for column, kind in columns.items()),
        key=tuple(key),
    )


@dataclass
class SmallWarehouse:
    """Data sets of which every commit is kept as a snapshot, numbered from 1."""

    folder: Path
    contracts: dict[str, DatasetContract] = field(default_factory=dict)
    states: dict[str, list[TableState]] = field(default_factory=dict)
    files: int = 0

    def add(self, made: DatasetContract) -> None:
        """Register a data set."""
        self.contracts[made.name] = made
        self.states.setdefault(made.name, [TableState(made.name, contract_schema(made))])

    def commit(
        self, name: str, owner: str, rows: list[dict[str, Any]], *, schema: Sequence[ColumnField] | None = None
    ) -> int:
        """Append a file with rows of one owner; returns the snapshot. schema: of the table from now on."""
        last = self.states[name][-1]
        fields = tuple(schema or last.schema)
        self.files += 1
        key = f"tables/{name.replace('.', '/')}/data/{self.files:05d}.parquet"
        at = datetime(2026, 1, 1, tzinfo=UTC)
        system = {"_owner": owner, "_push": f"psh_{self.files}", "_pushed_at": at}
        values = [system | row for row in rows]
        arrow = pa.schema(
            [
                pa.field(item.name, ARROW_TYPES[item.duckdb_type], metadata={"PARQUET:field_id": str(item.field_id)})
                for item in fields
            ]
        )
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(values, schema=arrow), path)
        file = DataFileRef(key, len(rows), path.stat().st_size)
        state = TableState(
            name,
            fields,
            (*last.files, file),
            snapshot_id=len(self.states[name]),
            total_rows=last.total_rows + len(rows),
            total_bytes=last.total_bytes + file.bytes,
            committed_at=datetime.now(UTC),
        )
        self.states[name].append(state)
        return len(self.states[name]) - 1

    def state(self, name: str, as_of: AsOf) -> TableState:
        """The state at a snapshot or a time."""
        states = self.states[name]
        if as_of is None:
            return states[-1]
        if isinstance(as_of, int):
            if not 0 < as_of < len(states):
                raise DatasetUnknown("no such snapshot")
            return states[as_of]
        return [state for state in states if state.committed_at is None or state.committed_at <= as_of][-1]

    def reading(self) -> WarehouseReading:
        """What the reading half asks of a warehouse."""
        return WarehouseReading(self.contracts.get, self.state, lambda key: self.folder / key)


class ReadingService:
    """The reading routes in this process, over a small warehouse; called with real signed tokens."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.warehouse = SmallWarehouse(home / "objects")
        self.settings = QuerySettings(home=home, **settings)
        self.platform = Platform(self.settings)
        self._key = Ed25519PrivateKey.generate()
        public = jwt.algorithms.OKPAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        self.platform.tokens = TokenVerifier(lambda: {"keys": [public | {"kid": "k1", "alg": "EdDSA"}]})
        database = self.platform.database("data-hub")
        for metadata in (hub_tables.metadata, query_store.metadata):
            metadata.create_all(database.engine)
        self.database = database
        self.reading: Reading = build_reading(
            database, self.warehouse.reading(), self.settings, lambda: self.platform.client("identity")
        )
        app = create_app("data-hub", self.platform, title="data hub")
        for router in self.reading.routers():
            app.include_router(router)
        self.platform.register(ServiceRuntime("data-hub", app, database))
        self._client = self.platform.client("data-hub")

    def add(self, made: DatasetContract) -> None:
        """Register a data set in the warehouse and in the database."""
        self.warehouse.add(made)
        with self.database.transaction() as session:
            add_datasets(session, [made], datetime.now(UTC), "test")

    def token(self, caller: Principal) -> str:
        """A token of a caller."""
        now = int(time.time())
        claims = claims_of(caller) | {"iat": now, "exp": now + 300, "iss": ISSUER, "aud": AUDIENCE}
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": "k1"})

    def call(self, caller: Principal, method: str, path: str, **request: Any) -> Reply:
        """One request."""
        return self._client.request(method, path, token=self.token(caller), raise_errors=False, **request)

    def query(self, caller: Principal, sql: str, *, accept: str = "application/json", **body: Any) -> Reply:
        """POST /v1/queries."""
        sent = {"sql": sql} | body
        return self.call(caller, "POST", "/v1/queries", json=sent, headers={"accept": accept}, timeout_s=60)

    def rows(self, caller: Principal, name: str, *, accept: str = "application/json", **params: Any) -> Reply:
        """GET /v1/datasets/{name}/rows."""
        return self.call(
            caller, "GET", f"/v1/datasets/{name}/rows", params=params, headers={"accept": accept}, timeout_s=60
        )

    def close(self) -> None:
        """End the processes and connections."""
        self.reading.close()
        self.platform.close()


MONTHLY = contract(
    "enterprise.enterprise_monthly",
    {"uscc": "string", "month": "string", "revenue": "number", "employees": "integer", "note": "string"},
    ("uscc", "month"),
)
ENTERPRISE = contract(
    "public.enterprise", {"uscc": "string", "name": "string", "founded": "date"}, ("uscc",), access="open"
)
READINGS = contract("industry.readings", {"ts": "timestamp", "value": "number"}, (), access="government")


def filled(service: ReadingService) -> ReadingService:
    """Two enterprises with twelve months each, an open register, a table without key, an empty one."""
    for made in (
        MONTHLY,
        ENTERPRISE,
        READINGS,
        contract("public.empty", {"a": "integer", "b": "date"}, ("a",), "open"),
    ):
        service.add(made)
    for number, owner in enumerate((STEEL, CHEM), 1):
        rows = [
            {
                "uscc": owner,
                "month": f"2025-{month:02d}",
                "revenue": number * 1000.0 + month,
                "employees": number * 100 + month,
                "note": f"secret-{owner}-{month}" if number == 2 else f"plain-{month}",
            }
            for month in range(1, 13)
        ]
        service.warehouse.commit(MONTHLY.name, owner, rows)
    service.warehouse.commit(
        ENTERPRISE.name,
        OPERATOR.org,
        [
            {"uscc": STEEL, "name": "齐鲁钢铁", "founded": date(1998, 5, 1)},
            {"uscc": CHEM, "name": "鲁中化工", "founded": date(2003, 9, 9)},
        ],
    )
    for owner in (STEEL, CHEM):
        readings = [{"ts": datetime(2026, 1, 1, hour, tzinfo=UTC), "value": float(hour)} for hour in range(20)]
        service.warehouse.commit(READINGS.name, owner, readings)
    assert len(SYSTEM_COLUMNS) == 3
    return service
