"""PostgreSQL."""

import os
import pwd
import signal
from pathlib import Path
from shutil import chown
from typing import ClassVar

import psycopg

from brain_testing.databases import url_with_database
from brain_testing.servers.debian import MissingServer, run_quietly
from brain_testing.servers.packages import ensure_postgresql
from brain_testing.servers.server import Server

ROLE = "brain"
_ACCOUNT = "postgres"


class Postgres(Server):
    """A PostgreSQL cluster whose superuser `brain` needs no password.

    durable=False switches fsync off: safe against killed processes, not against a power cut.
    As root it runs as the user `postgres`, who must be able to reach the folder.
    """

    name: ClassVar[str] = "postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(
        self,
        folder: Path | None = None,
        *,
        ports: tuple[int, ...] | None = None,
        detached: bool = False,
        durable: bool = False,
    ) -> None:
        super().__init__(folder, ports=ports, detached=detached)
        self._durable = durable
        self._data = self.folder / "data"

    @property
    def url(self) -> str:
        """The administrative database."""
        return self.database_url("postgres")

    def database_url(self, database: str) -> str:
        """postgresql://brain@127.0.0.1:PORT/DATABASE; the database need not exist, "{service}" is fine."""
        return f"postgresql://{ROLE}@127.0.0.1:{self.port}/{database}"

    def drop_databases(self, prefix: str) -> None:
        """Drop every database whose name starts with `prefix`, with its connections."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
            for (name,) in connection.execute(query, (prefix,)).fetchall():
                statement = psycopg.sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                connection.execute(statement.format(psycopg.sql.Identifier(name)))

    def prepare(self) -> None:
        """See Server."""
        programs = ensure_postgresql()
        self._give_away()
        if (self._data / "PG_VERSION").exists():
            return
        options = ["-U", ROLE, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"]
        run_quietly(
            [*self._as_account(), str(programs / "initdb"), "-D", str(self._data), *options, "--no-sync"],
            cwd=self.folder,
        )

    def command(self) -> list[str]:
        """See Server."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "shared_buffers": "64MB",
            "max_connections": "200",
        }
        if not self._durable:
            # synchronous_commit stays on: without it a killed server loses the commits of its last half second.
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [*self._as_account(), str(ensure_postgresql() / "postgres"), "-D", str(self._data), *options]

    def probe(self) -> None:
        """See Server."""
        with psycopg.connect(url_with_database(self.url, "postgres"), connect_timeout=2) as connection:
            connection.execute("SELECT 1")

    @staticmethod
    def _as_account() -> list[str]:
        if os.geteuid() != 0:
            return []
        return ["setpriv", f"--reuid={_ACCOUNT}", f"--regid={_ACCOUNT}", "--clear-groups", "--"]

    def _give_away(self) -> None:
        if os.geteuid() != 0:
            return
        try:
            pwd.getpwnam(_ACCOUNT)
        except KeyError:
            raise MissingServer(f"PostgreSQL refuses to run as root and there is no user {_ACCOUNT}") from None
        closed = [path for path in self.folder.parents if not path.stat().st_mode & 0o001]
        if closed:
            raise MissingServer(f"user {_ACCOUNT} cannot reach {self.folder}: {closed[0]} is closed to other users")
        self.folder.chmod(0o755)
        chown(self.folder, _ACCOUNT, _ACCOUNT)
