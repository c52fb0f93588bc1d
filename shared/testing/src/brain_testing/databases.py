"""Creating PostgreSQL databases for tests."""

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url


def url_with_database(url: str, database: str) -> str:
    """The same server and role, another database, as libpq understands it."""
    parts = make_url(url).set(drivername="postgresql", database=database)
    return parts.render_as_string(hide_password=False)


def create_database(url: str, *, template: str = "template1") -> str:
    """Create the database a URL names unless it exists; returns the URL.

    template: a database of the same server that it starts as a copy of; nobody may be connected to that one.
    The role of the URL needs the right to create databases.
    """
    name = make_url(url).database
    if not name:
        raise ValueError("the URL names no database")
    with psycopg.connect(url_with_database(url, "postgres"), autocommit=True) as connection:
        try:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return url  # somebody else was first, perhaps at this very moment
    return url
