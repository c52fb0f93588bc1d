"""Rows of one large push that repeat the key of an earlier row.

Most pushes are known to have none from the hashes taken on their way in. The others are looked through by a 64-bit
hash, a share of the keys at a time, so that memory does not grow with the push. Only when a share has fewer hashes
than rows are its rows compared by their keys.
"""

from __future__ import annotations

from collections.abc import Sequence

from data_hub.domain.row_check import RowChecker
from data_hub.engine.bulk import BulkTyper, TypedFile, rows_of
from data_hub.engine.duck import quoted

SHARE_ROWS = 2_000_000


def drop_duplicates(typer: BulkTyper) -> bool:
    """Rejects every later row with a key that came before, and takes it out of its file; True when there were any."""
    typer.behind.finish()
    key = typer.contract.key
    if not key or not typer.result.files or typer.keys.are_distinct():
        return False
    shares = 1 + typer.result.accepted // SHARE_ROWS
    columns = ", ".join(quoted(name) for name in key)
    suspicious = [share for share in range(shares) if _has_repeats(typer, columns, share, shares)]
    found = False
    for share in suspicious:
        found = _drop_in_share(typer, columns, share, shares) or found
    return found


def _hash_condition(columns: str, share: int, shares: int) -> str:
    return "true" if shares == 1 else f"hash({columns}) % {shares} = {share}"


def _has_repeats(typer: BulkTyper, columns: str, share: int, shares: int) -> bool:
    paths = ", ".join(f"'{file.path}'" for file in typer.result.files)
    query = (
        f"SELECT count(*) > count(DISTINCT hash({columns})) FROM read_parquet([{paths}], union_by_name = true)"
        f" WHERE {_hash_condition(columns, share, shares)}"
    )
    row = typer.duck.execute(query).fetchone()
    return bool(row and row[0])


def _drop_in_share(typer: BulkTyper, columns: str, share: int, shares: int) -> bool:
    run = typer.duck.execute
    files = typer.result.files
    run(
        "CREATE OR REPLACE TEMP TABLE repeated AS SELECT _row, first_row FROM ("
        f"SELECT _row, min(_row) OVER (PARTITION BY {columns}) AS first_row FROM ({rows_of(files)})"
        f" WHERE {_hash_condition(columns, share, shares)}) WHERE _row > first_row"
    )
    count = run("SELECT count(*) FROM repeated").fetchone()
    if not count or not count[0]:
        return False
    _reject(typer, files)
    kept = []
    for file in files:
        touched = run(f"SELECT count(*) FROM ({rows_of([file])}) SEMI JOIN repeated USING (_row)").fetchone()
        kept.append(typer.join([file], "_row NOT IN (SELECT _row FROM repeated)") if touched and touched[0] else file)
    typer.result.files = [file for file in kept if file.rows]
    return True


def _reject(typer: BulkTyper, files: Sequence[TypedFile]) -> None:
    checker = RowChecker(typer.contract, typer.stamp.mode, owner=None, is_text=False)
    row = ", ".join(f"{quoted(name)} := {quoted(name)}" for name in typer.wanted.used)
    keys = ", ".join(f"CAST({quoted(name)} AS VARCHAR)" for name in typer.contract.key)
    found = typer.duck.execute(
        f"SELECT _row, first_row, CAST(to_json(struct_pack({row})) AS VARCHAR), {keys}"
        f" FROM ({rows_of(files)}) JOIN repeated USING (_row) ORDER BY _row"
    )
    while rows := found.fetchmany(5_000):
        typer.rejects.add([checker.duplicate(number, first, tuple(key), text) for number, first, text, *key in rows])
