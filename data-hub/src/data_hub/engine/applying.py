"""Applying a batch of pushes to a table: which rows come in, which go, which files are written anew.

The simple specification: take the pushes one after the other, each row an operation on the row with its (owner, key).
An append of a key that is there is rejected; an upsert replaces or adds; a deletion removes. All of a batch is done
with a few set operations instead, which is equal because a push has each key once:
- whether a key is there before an operation is told by the operation before it on that key (there unless it was a
  deletion; a rejected append means that it was there), or by the table when there is none;
- what remains of a key is its last operation that was not rejected.
Only files that hold a replaced or removed row are written anew, found by their bounds, then by a semi-join.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from brain_contracts.contract import DatasetContract

from data_hub.domain.tables import ColumnField, DataFileRef
from data_hub.engine.duck import by_field_id, copy_to_parquet, file_list, literal, quoted
from data_hub.engine.staged import StagedPart, StagedPush

SCRATCH = ("incoming", "ops", "hits", "judged", "final")


# push id, row number, key values, the row as JSON: an append whose key was there.
OnKeyExists = Callable[[str, int, tuple[Any, ...], str], None]


@dataclass
class Applied:
    """What a batch does to a table."""

    written: Path | None = None
    written_rows: int = 0
    direct: list[StagedPart] = field(default_factory=list)
    removed_files: list[DataFileRef] = field(default_factory=list)
    rows_added: int = 0
    rows_removed: int = 0
    # Nothing of the version before is in the next one.
    is_whole: bool = False

    @property
    def changes_table(self) -> bool:
        """Whether a commit is needed at all."""
        return bool(self.written_rows or self.direct or self.removed_files)


class Applier:
    """Applies batches to one table at one snapshot; `local` gives the local file of an object."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        contract: DatasetContract,
        schema: Sequence[ColumnField],
        files: Sequence[DataFileRef],
        local: Callable[[str], Path],
        on_key_exists: OnKeyExists,
    ) -> None:
        self._duck = connection
        self._schema = schema
        self._files = files
        self._local = local
        self._on_key_exists = on_key_exists
        self._key = contract.key
        self._identity = ", ".join(quoted(name) for name in ("_owner", *contract.key))

    def apply(self, pushes: Sequence[StagedPush], fold: Sequence[DataFileRef], out: Path) -> Applied:
        """Works out a batch in order; writes the rows that have no file of their own yet to `out`."""
        try:
            self._incoming(pushes)
            if not self._key:
                return self._finish(pushes, Applied(), [], fold, out, kept="incoming")
            return self._keyed(pushes, fold, out)
        finally:
            self._clean()

    def _keyed(self, pushes: Sequence[StagedPush], fold: Sequence[DataFileRef], out: Path) -> Applied:
        touched = self._overlapping({push.owner for push in pushes})
        alone = len(pushes) == 1 and pushes[0].mode != "delete"
        if alone and not touched:
            return self._finish(pushes, Applied(), [], fold, out, kept="incoming")
        self._judge(touched)
        applied = Applied()
        self._rejected(pushes)
        affected = self._affected(applied)
        kept = f"incoming SEMI JOIN (FROM final WHERE _mode <> 'delete') f USING ({self._identity}, _ord)"
        return self._finish(pushes, applied, affected, fold, out, kept=kept)

    def _incoming(self, pushes: Sequence[StagedPush]) -> None:
        self._clean()
        sources = []
        tables = [
            push.table.append_column(
                "_ord", pa.repeat(pa.scalar(place, pa.int32()), push.table.num_rows)
            ).append_column("_mode", pa.repeat(push.mode, push.table.num_rows))
            for place, push in enumerate(pushes)
            if push.table is not None
        ]
        if tables:
            self._duck.register("small_pushes", pa.concat_tables(tables, promote_options="default"))
            sources.append("SELECT *, -1 AS _part FROM small_pushes")
        number = 0
        for place, push in enumerate(pushes):
            for part in push.parts:
                sources.append(self._part_source(part, place, push.mode, number))
                number += 1
        self._duck.execute(f"CREATE TEMP VIEW incoming AS {' UNION ALL BY NAME '.join(sources)}")

    def _part_source(self, part: StagedPart, place: int, mode: str, number: int) -> str:
        path = file_list([self._local(part.key)])
        fixed = f"{place}::INTEGER AS _ord, {literal(mode)} AS _mode, {number} AS _part"
        if part.has_row:
            return f"SELECT *, {fixed} FROM read_parquet({path})"
        row = f"file_row_number + {part.first_row} AS _row"
        return f"SELECT * EXCLUDE (file_row_number), {row}, {fixed} FROM read_parquet({path}, file_row_number=true)"

    def _overlapping(self, owners: set[str]) -> list[DataFileRef]:
        """Files whose bounds leave room for one of the keys that came. owners: of all rows that came."""
        files = [file for file in self._files if any(_overlaps(file, "_owner", owner, owner) for owner in owners)]
        if not files:
            return []
        names = ["_owner", *self._key]
        types = {column.name: column.duckdb_type for column in self._schema}
        wanted = ", ".join(f"{_bound('min', name, types)}, {_bound('max', name, types)}" for name in names)
        row = self._duck.execute(f"SELECT {wanted} FROM (SELECT {self._identity} FROM incoming)").fetchone()
        assert row is not None
        ranges = {name: (row[2 * place], row[2 * place + 1]) for place, name in enumerate(names)}
        return [file for file in files if all(_overlaps(file, name, *ranges[name]) for name in names)]

    def _judge(self, touched: Sequence[DataFileRef]) -> None:
        run = self._duck.execute
        run(f"CREATE TEMP TABLE ops AS SELECT {self._identity}, _ord, _mode, _row FROM incoming")
        if touched:
            source = by_field_id([self._local(file.key) for file in touched], self._schema, ", filename=true")
            columns = f"{self._identity}, filename"
            run(f"CREATE TEMP TABLE hits AS SELECT {columns} FROM {source} SEMI JOIN ops USING ({self._identity})")
        else:
            run(f"CREATE TEMP TABLE hits AS SELECT {self._identity}, '' AS filename FROM ops LIMIT 0")
        run(
            f"CREATE TEMP TABLE judged AS SELECT o.*, h.filename IS NOT NULL AS _there,"
            f" lag(o._mode) OVER (PARTITION BY {self._identity} ORDER BY _ord) AS _before"
            f" FROM ops o LEFT JOIN (SELECT {self._identity}, min(filename) AS filename FROM hits"
            f" GROUP BY ALL) h USING ({self._identity})"
        )
        run(
            "CREATE TEMP TABLE final AS SELECT * FROM judged WHERE NOT coalesce("
            "_mode = 'append' AND (_before <> 'delete' OR (_before IS NULL AND _there)), false)"
            f" QUALIFY row_number() OVER (PARTITION BY {self._identity} ORDER BY _ord DESC) = 1"
        )

    def _rejected(self, pushes: Sequence[StagedPush]) -> None:
        keys = ", ".join(f"CAST(i.{quoted(name)} AS VARCHAR)" for name in self._key)
        present = self._incoming_names()
        own = [column.name for column in self._schema if column.name in present and not column.name.startswith("_")]
        row = ", ".join(f"{quoted(name)} := i.{quoted(name)}" for name in own)
        found = self._duck.execute(
            f"SELECT _ord, _row, CAST(to_json(struct_pack({row})) AS VARCHAR), {keys}"
            f" FROM judged j JOIN incoming i USING ({self._identity}, _ord, _row)"
            " WHERE j._mode = 'append' AND (_before <> 'delete' OR (_before IS NULL AND _there)) ORDER BY _ord, _row"
        )
        while rows := found.fetchmany(10_000):
            for place, number, original, *key in rows:
                self._on_key_exists(pushes[place].push_id, number, tuple(key), original)

    def _affected(self, applied: Applied) -> list[DataFileRef]:
        """Files with rows that a later operation replaces or removes."""
        rows = self._duck.execute(
            f"SELECT filename, count(*) FROM hits SEMI JOIN final USING ({self._identity}) GROUP BY filename"
        ).fetchall()
        applied.rows_removed = sum(count for _, count in rows)
        names = {name for name, _ in rows}
        return [file for file in self._files if str(self._local(file.key)) in names]

    def _finish(
        self,
        pushes: Sequence[StagedPush],
        applied: Applied,
        affected: list[DataFileRef],
        fold: Sequence[DataFileRef],
        out: Path,
        *,
        kept: str,
    ) -> Applied:
        """Writes what has to be written: survivors of affected files, folded files, rows without a file."""
        rows_of = (
            {}
            if kept == "incoming"
            else dict(self._duck.execute(f"SELECT _part, count(*) FROM {kept} GROUP BY _part").fetchall())
        )
        number = 0
        loose = []
        for push in pushes:
            for part in push.parts:
                rows = part.rows if kept == "incoming" else rows_of.get(number, 0)
                if rows == part.rows and part.rows and self._is_data_file(part):
                    applied.direct.append(part)
                elif rows:
                    loose.append(number)
                number += 1
        applied.removed_files = list({file.key: file for file in [*affected, *fold]}.values())
        sources = []
        if loose or any(push.table is not None and push.mode != "delete" for push in pushes):
            places = ", ".join(map(str, [-1, *loose]))
            sources.append(f"SELECT {self._columns(self._incoming_names())} FROM {kept} WHERE _part IN ({places})")
        if applied.removed_files:
            paths = [self._local(file.key) for file in applied.removed_files]
            gone = f" ANTI JOIN final USING ({self._identity})" if affected else ""
            own = ", ".join(quoted(column.name) for column in self._schema)
            sources.append(f"SELECT {own} FROM {by_field_id(paths, self._schema)}{gone}")
        old = sum(file.rows for file in applied.removed_files)
        if sources:
            applied.written_rows = copy_to_parquet(self._duck, " UNION ALL ".join(sources), out, self._schema)
            applied.written = out if applied.written_rows else None
        survivors = old - applied.rows_removed
        applied.rows_added = applied.written_rows - survivors + sum(part.rows for part in applied.direct)
        return applied

    def _is_data_file(self, part: StagedPart) -> bool:
        """Whether a part may become a data file as it is: the table may have changed shape since it was written."""
        ids = {column.name: column.field_id for column in self._schema}
        return not part.has_row and all(ids.get(name) == number for name, number in part.ids.items())

    def _incoming_names(self) -> set[str]:
        return {row[0] for row in self._duck.execute("DESCRIBE incoming").fetchall()}

    def _columns(self, present: set[str]) -> str:
        """The table's columns as far as the rows that came have them."""
        return ", ".join(
            quoted(column.name) if column.name in present else f"NULL::{column.duckdb_type} AS {quoted(column.name)}"
            for column in self._schema
        )

    def _clean(self) -> None:
        for name in SCRATCH:
            kind = "VIEW" if name == "incoming" else "TABLE"
            self._duck.execute(f"DROP {kind} IF EXISTS {name}")
        self._duck.unregister("small_pushes")


def _bound(aggregate: str, name: str, types: Mapping[str, str]) -> str:
    """The least or greatest value of a column, as Iceberg keeps bounds: days and microseconds for times."""
    found = f"{aggregate}({quoted(name)})"
    if types.get(name) == "DATE":
        return f"({found} - DATE '1970-01-01')"
    return f"epoch_us({found})" if types.get(name) == "TIMESTAMP WITH TIME ZONE" else found


def _overlaps(file: DataFileRef, name: str, low: Any, high: Any) -> bool:
    """Whether a file may hold values between two bounds; bounds that cannot be compared prove nothing."""
    lower, upper = file.lower.get(name), file.upper.get(name)
    if low is None or lower is None or upper is None:
        return True
    if type(lower) is not type(low) or isinstance(low, bool):
        return True
    return bool(lower <= high and low <= upper)
