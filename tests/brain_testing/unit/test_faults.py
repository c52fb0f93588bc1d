"""The tools of fault tests: proxy, platform process, ports, missing programs."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from brain_testing.faulty import FaultyProxy
from brain_testing.ports import free_ports, is_free
from brain_testing.process import PlatformFailed, PlatformProcess
from brain_testing.servers import MissingServer
from brain_testing.servers.debian import install_packages
from brain_testing.servers.packages import ensure_kafka, ensure_versitygw


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that answers what it hears."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
            except OSError:
                return

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield int(listener.getsockname()[1])
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def say(connection: socket.socket, data: bytes) -> bytes:
    """Send and wait for as many bytes."""
    connection.sendall(data)
    heard = b""
    while len(heard) < len(data) and (chunk := connection.recv(65536)):
        heard += chunk
    return heard


def ended(connection: socket.socket) -> bool:
    """Whether the other side has ended the connection, by reset or in order."""
    try:
        return connection.recv(10) == b""
    except ConnectionError:
        return True


def test_proxy_passes_everything_on(echo: int) -> None:
    """A megabyte there and back, over several connections."""
    with FaultyProxy("127.0.0.1", echo) as proxy:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
                sender = threading.Thread(target=client.sendall, args=(bytes(1_000_000),))
                sender.start()
                heard = 0
                while heard < 1_000_000:
                    heard += len(client.recv(65536))
                sender.join()


def test_cut_resets_and_refuses_until_resumed_on_the_same_port(echo: int) -> None:
    """An open connection ends, a new one is refused, later both work again."""
    with FaultyProxy("127.0.0.1", echo) as proxy:
        port = proxy.port
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            assert say(client, b"before") == b"before"
            proxy.cut()
            assert ended(client)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        proxy.resume()

        assert proxy.port == port
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            assert say(client, b"after") == b"after"


def test_stall_holds_data_back_and_delay_slows_it(echo: int) -> None:
    """Nothing is lost: what was held arrives after resume."""
    with FaultyProxy("127.0.0.1", echo) as proxy, socket.create_connection(("127.0.0.1", proxy.port)) as client:
        client.settimeout(0.3)
        proxy.stall()
        client.sendall(b"held")
        with pytest.raises(TimeoutError):
            client.recv(10)
        proxy.resume()
        client.settimeout(5)
        assert client.recv(10) == b"held"

        proxy.delay(0.2)
        began = time.monotonic()
        assert say(client, b"slow") == b"slow"
        assert time.monotonic() - began >= 0.4  # there and back


def test_ports_are_free_and_differ() -> None:
    """Fifty at once; one that is taken is not free."""
    ports = free_ports(50)

    assert len(set(ports)) == 50
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not is_free(listener.getsockname()[1])


SERVING = """
import os, signal, sys, time
print("starting", flush=True)
print("not ready yet http://nowhere", flush=True)
with open("starts", "a") as starts: starts.write(os.environ["MARK"])
print("ready http://127.0.0.1:" + sys.argv[1], flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
time.sleep(60)
"""


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[PlatformProcess]:
    """A small program that behaves as the platform does."""
    home = tmp_path / "home"
    process = PlatformProcess(home, 4321, {"MARK": "x"}, line=[sys.executable, "-c", SERVING, "4321"])
    with process:
        yield process


def test_platform_process_is_ready_when_it_says_so(platform: PlatformProcess) -> None:
    """Address and time come from the line `ready URL` at the start of a line, not from others."""
    assert platform.url == "http://127.0.0.1:4321"
    assert 0 < platform.ready_s < 20
    assert platform.output().startswith("starting\n")


def test_platform_process_is_killed_stopped_and_started_again(platform: PlatformProcess) -> None:
    """kill9 gives no chance, stop does; every restart waits for a new ready line."""
    first = platform.pid
    platform.kill9()
    assert not platform.is_running
    platform.restart()
    assert platform.pid != first
    assert platform.stop() == 7
    platform.restart().restart()

    assert (platform.home / "starts").read_text() == "xxxx"


def test_frozen_platform_stands_still_and_can_be_stopped(platform: PlatformProcess) -> None:
    """freeze returns when the process stands; stop does not wait for its timeout."""
    platform.freeze()
    assert "T (stopped)" in Path(f"/proc/{platform.pid}/status").read_text()
    began = time.monotonic()

    assert platform.stop(timeout_s=20) == 7
    assert time.monotonic() - began < 10


def test_platform_that_fails_says_why(tmp_path: Path) -> None:
    """The end of its output is part of the error, for a crash and for a hang."""
    crash = PlatformProcess(tmp_path, line=[sys.executable, "-c", "raise SystemExit('no database')"])
    with pytest.raises(PlatformFailed, match="ended with 1 before it was ready:\nno database"):
        crash.start()
    hang = PlatformProcess(
        tmp_path, line=[sys.executable, "-c", "print('waiting'); import time; time.sleep(60)"], ready_timeout_s=0.5
    )
    with pytest.raises(PlatformFailed, match=r"not ready after 0.5 s:\nwaiting"):
        hang.start()
    assert not hang.is_running


@pytest.mark.parametrize(
    ("ensure", "words"), [(ensure_kafka, "openjdk"), (ensure_versitygw, "Go 1.25")], ids=["kafka", "s3"]
)
def test_missing_program_is_an_error_that_says_what_to_install(
    ensure: Callable[[], Path], words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Never a skip."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BRAIN_CACHE", str(tmp_path / "cache"))

    with pytest.raises(MissingServer, match=words):
        ensure()


def test_without_apt_the_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that is no Debian hears what to look for."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingServer, match="no apt-get here: install what Debian calls chromium fonts-noto-cjk"):
        install_packages("Chromium", ["chromium", "fonts-noto-cjk"])


def test_somebody_who_is_not_root_is_told_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """apt-get is there, but may not be used."""
    (tmp_path / "apt-get").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MissingServer, match="not root: run `sudo apt-get install postgresql`"):
        install_packages("PostgreSQL", ["postgresql"])


def test_packages_that_cannot_be_fetched_are_an_error_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The end of apt-get's own output is told."""
    (tmp_path / "apt-get").write_text("#!/bin/sh\necho 'E: no network'\nexit 100\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(MissingServer, match="`apt-get install maven` failed: apt-get ended with 100:\nE: no network"):
        install_packages("Maven", ["maven"])
