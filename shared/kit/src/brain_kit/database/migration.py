"""Schema migrations: numbered Alembic scripts of a package, run under a lock, skipped when nothing is new."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import sqlalchemy as sa

_REVISION = re.compile(r"""^revision(?:\s*:\s*[^=]+)?\s*=\s*["']([^"']+)["']""", re.MULTILINE)


def migrations_folder(package: str) -> Path:
    """The folder `<package>/migrations`, found without importing the package's modules.

    Raises LookupError when the package has no numbered script in `migrations/versions`.
    """
    spec = importlib.util.find_spec(package)
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location) / "migrations"
        if any((folder / "versions").glob("[0-9]*.py")):
            return folder
    raise LookupError(f"{package} has no migrations/versions/NNNN_*.py")


def newest_revision(folder: Path) -> str:
    """The revision of the script with the highest number. Raises LookupError when it declares none."""
    newest = max((folder / "versions").glob("[0-9]*.py"), key=lambda path: path.name)
    found = _REVISION.search(newest.read_text(encoding="utf-8"))
    if found is None:
        raise LookupError(f"{newest} declares no revision")
    return found.group(1)


def stored_revisions(connection: sa.Connection) -> set[str]:
    """The revisions that the database is at; empty for a new one."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return set()
    return set(connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars())


def upgrade(connection: sa.Connection, folder: Path) -> None:
    """Run the missing scripts on the connection, all in its open transaction. The caller holds the lock and commits."""
    # Alembic costs a third of a second to import: only a database that has something to do pays for it.
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(folder), version_locations=[str(folder / "versions")])
    context = MigrationContext.configure(
        connection, opts={"fn": lambda revision, _: scripts._upgrade_revs("head", revision)}
    )
    with Operations.context(context):
        context.run_migrations()
