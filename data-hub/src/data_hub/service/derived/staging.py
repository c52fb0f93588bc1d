"""From a query to staged rows: run at fixed versions, typed by the contract, checked, stored, and found again if the
process dies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from brain_contracts.contract import Column, DatasetContract
from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.problems import Problem

from data_hub import store
from data_hub.domain.derived import DerivedEmpty, DerivedRowsInvalid, DeriveRequest, columns_of_result
from data_hub.domain.push import SHOWN_REJECTS
from data_hub.domain.query.problems import RowsLimit
from data_hub.domain.query.statement import check_parameters
from data_hub.domain.stamp import PushStamp
from data_hub.domain.tables import SYSTEM_NAMES
from data_hub.engine.media import Format
from data_hub.engine.query_engine import Answer, QueryJob
from data_hub.engine.sql_lineage import column_sources
from data_hub.engine.warehouse import Warehouse, contract_schema, table_folder
from data_hub.service.large import LargePushes
from data_hub.service.push import Pushes
from data_hub.service.query.opening import open_tables
from data_hub.service.query.running import Gone, Runner
from data_hub.service.readable import ReadableTable, ReadableTables, scope_of

if TYPE_CHECKING:
    from data_hub.engine.bulk import BulkTyper
    from data_hub.engine.staged import StagedPart

log = structlog.get_logger()
Sources = list[tuple[str, str, str, str]] | None


@dataclass(frozen=True)
class Result:
    """The rows of a query in a file, with what they were made of."""

    path: Path
    rows: int
    columns: tuple[Column, ...]
    example: dict[str, Any]
    inputs: tuple[ReadableTable, ...]
    sources: Sources

    @property
    def versions(self) -> dict[str, str]:
        """The version of each input; empty where nothing was ever pushed."""
        return {table.name: table.snapshot or "" for table in self.inputs}


class DerivedStaging:
    """Runs queries for derived data sets and stages their rows."""

    def __init__(
        self, pushes: Pushes, large: LargePushes, warehouse: Warehouse, runner: Runner, tables: ReadableTables
    ) -> None:
        self._pushes = pushes
        self._large = large
        self._warehouse = warehouse
        self._runner = runner
        self._tables = tables
        self._settings = pushes.settings

    def run(self, caller: Principal, request: DeriveRequest, folder: Path, gone: Gone) -> Result:
        """The rows of the query in a file of the folder.

        Raises what a query raises, DerivedInvalid, DerivedRowsInvalid, DerivedEmpty, RowsLimit, SizeLimit.
        """
        control = self._runner.control(gone)
        statement = self._runner.engine.read(request.sql)
        tables = open_tables(self._tables, caller, statement, request.versions)
        check_parameters(statement, request.parameters)
        most = self._settings.data_hub_derived_rows
        job = QueryJob(request.sql, request.parameters, scope_of(tables), most)
        with self._runner.answer(caller.org, job, control) as answer:
            result = self._write(request, answer, tables, folder)
            if answer.more:
                raise RowsLimit(f"结果超过 {most} 行的上限：请加条件或先聚合", limit=most)
        if not result.rows:
            raise DerivedEmpty("查询没有结果行，没有改变任何数据集；请检查条件")
        return result

    def _write(self, request: DeriveRequest, answer: Answer, tables: Sequence[ReadableTable], folder: Path) -> Result:
        from data_hub.engine.derived_rows import DerivedRows

        names = [column["name"] for column in answer.columns]
        sources = column_sources(request.sql, {table.name: list(table.column_types) for table in tables}, names)
        # `SELECT *` brings the input's own record of owner and push; the new data set has its own.
        kept = [place for place, name in enumerate(names) if name not in SYSTEM_NAMES]
        sources = None if sources is None else [link for link in sources if link[0] not in SYSTEM_NAMES]
        contracts = {table.name: table.contract for table in tables}
        shown = [answer.columns[place] for place in kept]
        columns = columns_of_result(shown, request.key, sources, contracts)
        rows = DerivedRows(folder / "result.parquet", columns, request.key, self._settings.data_hub_derived_mib << 20)
        try:
            for batch in answer.batches:
                rows.write(batch.select(kept))
        finally:
            rows.close()
        return Result(rows.path, rows.rows, columns, rows.first, tuple(tables), sources)

    @contextmanager
    def staged(
        self, contract: DatasetContract, stamp: PushStamp, result: Result, folder: Path
    ) -> Iterator[list[StagedPart]]:
        """The rows as stored objects; leaving the block with an error removes them again.

        Raises DerivedRowsInvalid when rows break the contract.
        """
        until = utc_now() + timedelta(seconds=self._settings.data_hub_derived_lease_s)
        with self._pushes.database.transaction() as session:
            store.open_staging(session, stamp.push_id, contract.name, until)
        parts: list[StagedPart] = []
        try:
            with self._large.heavy:
                self._type(contract, stamp, result, folder, parts)
            yield parts
        except BaseException:
            self._discard(stamp.push_id, parts)
            raise

    def _type(
        self, contract: DatasetContract, stamp: PushStamp, result: Result, folder: Path, parts: list[StagedPart]
    ) -> None:
        from data_hub.engine.bulk import BulkTyper
        from data_hub.engine.duck import open_duck
        from data_hub.engine.rejects import RejectFile

        state = self._warehouse.table_state(contract.name)
        known = {column.name for column in state.schema}
        fits = state.schema and known.issuperset(contract.column_names)
        fields = state.schema if fits else contract_schema(contract)
        rejects = RejectFile(folder / "rejects.parquet", SHOWN_REJECTS)
        duck = open_duck(folder / "duck", self._settings.data_hub_memory_mb)
        typer = BulkTyper(duck, contract, stamp, fields, folder, rejects)
        try:
            self._check(typer, result)
            for number, typed in enumerate(typer.result.files, 1):
                folder_key = "staged" if typed.has_row else f"{table_folder(contract.name)}/data"
                parts.append(self._put(typer, f"{folder_key}/{stamp.push_id}-{number:05d}.parquet", typed))
        finally:
            typer.close()
            duck.close()

    @staticmethod
    def _check(typer: BulkTyper, result: Result) -> None:
        """Types the rows; one that is wrong is one too many, since a data set made from a query is that query's."""
        from data_hub.engine.duplicates import drop_duplicates
        from data_hub.engine.whole import type_columnar

        type_columnar(typer, result.path, Format.PARQUET)
        drop_duplicates(typer)
        typer.rejects.close()
        if typer.rejects.count:
            first = [reject.shown() for reject in typer.rejects.first]
            reason = f"第 {first[0]['row']} 行 {first[0]['field']}：{first[0]['reason']}"
            raise DerivedRowsInvalid(
                f"结果中有 {typer.rejects.count} 行不合合同（{reason}），没有存入任何行；请改正查询", rejects=first
            )

    def _put(self, typer: BulkTyper, key: str, typed: Any) -> StagedPart:
        from data_hub.engine.staged import StagedPart

        info = self._pushes.objects.put_file(key, typed.path)
        ids = {column.name: column.field_id for column in typer.schema}
        return StagedPart(key, typed.rows, info.size, typed.first_row, typed.has_row, ids)

    def _discard(self, push_id: str, parts: Sequence[StagedPart]) -> None:
        """Removes what was stored; what fails here is done by the sweep once the lease is over."""
        try:
            for part in parts:
                self._pushes.objects.delete(part.key)
            with self._pushes.database.transaction() as session:
                store.forget_staging(session, push_id)
        except Problem as problem:
            log.info("derivation_left_objects", push=push_id, code=problem.code)
