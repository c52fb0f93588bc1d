"""Checks of the machine and the home folder; nothing needs to run."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from industry_brain.doctor.finding import Finding, fine, wrong

FREE_DISK_BYTES = 2 << 30
OLDEST_PYTHON = (3, 11)
OLDEST_SQLITE = (3, 35)
# Before this nothing of the platform was written: a clock behind it was never set.
OLDEST_TIME = 1_790_000_000
SECRETS = ("first-credentials.json", "service-secret", "demo-keys.json")


def machine_findings(home: Path) -> Iterator[Finding]:
    """Versions, browser assets, disk, clock, rights of the home folder and of the files with secrets."""
    yield from _versions()
    yield _assets()
    yield _disk(home)
    yield _clock()
    yield _home_rights(home)
    for name in SECRETS:
        if (home / name).exists():
            mode = (home / name).stat().st_mode & 0o777
            advice = f"chmod 600 {home / name}"
            yield fine(name, f"mode {mode:o}") if mode == 0o600 else wrong(name, f"mode {mode:o}", advice)


def port_finding(url: str, is_answering: bool) -> Finding:
    """Whether the platform's port is the platform's or free. is_answering: whether the platform answers at the URL."""
    address = urlsplit(url)
    host, port = address.hostname or "127.0.0.1", address.port or (443 if address.scheme == "https" else 80)
    if is_answering:
        return fine("port", f"{host}:{port} 由平台使用 used by the platform")
    with socket.socket() as probe:
        probe.settimeout(2)
        if probe.connect_ex((host, port)) != 0:
            return fine("port", f"{host}:{port} 空闲 free")
    return wrong(
        "port",
        f"{host}:{port} 被别的程序占用 used by another program",
        f"换端口 brain up --port N，或找出它 or find it: ss -ltnp 'sport = :{port}'",
    )


def _versions() -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= OLDEST_PYTHON:
        yield fine("python", found)
    else:
        yield wrong("python", found, "安装 install Python 3.11+, then make clean setup")
    if sqlite3.sqlite_version_info >= OLDEST_SQLITE:
        yield fine("sqlite", sqlite3.sqlite_version)
    else:
        yield wrong("sqlite", sqlite3.sqlite_version, "升级 Python 所带的 SQLite 到 upgrade Python's SQLite to 3.35+")
    yield fine("version", f"industry-brain {version('industry-brain')}, duckdb {version('duckdb')}")


def _assets() -> Finding:
    import service_portal

    vendor = Path(str(service_portal.__file__)).parent / "portal" / "static" / "vendor"
    if vendor.is_dir():
        return fine("browser assets", f"{sum(1 for _ in vendor.rglob('*'))} files")
    return wrong("browser assets", "缺少 missing", "make setup")


def _disk(home: Path) -> Finding:
    folder = home if home.exists() else home.absolute().parent
    usage = shutil.disk_usage(folder)
    seen = f"{usage.free / (1 << 30):.1f} GiB free of {usage.total / (1 << 30):.0f} at {folder}"
    if usage.free > FREE_DISK_BYTES:
        return fine("disk", seen)
    return wrong(
        "disk", seen, "腾出空间，或把数据目录移到更大的磁盘 free some space, or move the home folder to a larger disk"
    )


def _clock() -> Finding:
    now = time.time()
    seen = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    if now < OLDEST_TIME:
        return wrong("clock", seen, "时钟早于软件本身，请校时 set the clock: timedatectl set-ntp true")
    return fine("clock", seen)


def _home_rights(home: Path) -> Finding:
    if not home.exists():
        return fine("home", f"{home} 尚未建立，首次启动时建立 is made at the first start")
    probe = home / ".doctor.part"
    try:
        probe.write_bytes(b"1")
        probe.unlink()
    except OSError as error:
        return wrong("home", f"{home}: {error.strerror}", f"chown -R $(id -un) {home}")
    return fine("home", f"{home} 可写 writable")
