"""Checks of databases and of the object store, by the settings of this environment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa
from brain_kit.database import Database
from brain_kit.database.migration import migrations_folder, newest_revision, stored_revisions
from brain_kit.objects import open_store
from brain_kit.problems import Problem
from brain_kit.settings import PlatformSettings

from industry_brain.doctor.finding import Finding, fine, wrong
from industry_brain.wiring import SERVICES

CLOCK_SKEW_S = 5.0


def store_findings(home: Path) -> Iterator[Finding]:
    """Whether each database answers and is at the newest schema, the database server's clock, rights on the objects."""
    settings = PlatformSettings(home=home)
    if not settings.database_url and not (home / "identity.db").exists():
        yield fine("databases", "尚未建立，首次启动时建立 are made at the first start")
        return
    for name, package in SERVICES.items():
        yield _database(name, package, settings)
    if settings.database_url:
        yield _server_clock(settings)
    yield _objects(settings)


def _database(name: str, package: str, settings: PlatformSettings) -> Finding:
    database = Database(settings.database_url_of(name), name=name)
    check = f"database {name}"
    try:
        database.ping()
        with database.engine.connect() as connection:
            found = stored_revisions(connection)
    except Problem as problem:
        return wrong(
            check, problem.detail, "检查数据库服务、地址和口令 look at the server, BRAIN_DATABASE_URL and the password"
        )
    finally:
        database.close()
    newest = newest_revision(migrations_folder(package))
    if found == {newest}:
        return fine(check, newest)
    seen = f"{', '.join(sorted(found)) or '空 empty'}, newest {newest}"
    return wrong(check, seen, f"brain migrate --home {settings.home}（新版本也会在启动时升级 a start does it too）")


def _server_clock(settings: PlatformSettings) -> Finding:
    database = Database(settings.database_url_of("identity"), name="identity")
    try:
        with database.engine.connect() as connection:
            began = time.time()
            theirs = float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
            skew_s = theirs - (began + time.time()) / 2
    except (Problem, sa.exc.SQLAlchemyError):
        return wrong("database clock", "不可读 cannot be read", "先修好数据库 mend the database first")
    finally:
        database.close()
    if abs(skew_s) <= CLOCK_SKEW_S:
        return fine("database clock", f"{skew_s:+.2f} s")
    return wrong(
        "database clock", f"{skew_s:+.1f} s", "两台机器都校时 set both clocks by NTP: timedatectl set-ntp true"
    )


def _objects(settings: PlatformSettings) -> Finding:
    key = f"doctor/{uuid4().hex}"
    place = "s3" if settings.objects_url.startswith("s3:") else settings.objects_url or str(settings.home / "objects")
    try:
        store = open_store(settings.objects_url, settings.home)
        store.ping()
        store.put(key, b"doctor")
        is_same = store.get(key) == b"doctor" and any(item.key == key for item in store.list("doctor/"))
        store.delete(key)
    except (Problem, ValueError, OSError) as problem:
        seen = getattr(problem, "detail", None) or str(problem)
        return wrong(
            "object store",
            f"{place}: {seen}",
            "密钥需要读、写、列出、删除的权限 the key needs to read, write, list and delete",
        )
    if not is_same:
        return wrong(
            "object store",
            f"{place}: 写入后读不到 what was written is not read back",
            "检查代理和一致性设置 look at proxies in between",
        )
    return fine("object store", f"{place}: 可读写、列出、删除 read, write, list, delete")
