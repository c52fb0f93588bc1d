"""What the object store does when the disk, the process or the server fails."""

import hashlib
import logging
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from brain_kit.objects import (
    ObjectCorrupt,
    ObjectStore,
    S3Store,
    StoreFull,
    StoreUnavailable,
    create_bucket,
    open_store,
)
from brain_kit.objects.s3_calls import parse_address
from brain_testing.faulty import FaultyProxy
from brain_testing.servers import S3

MEBIBYTE = 1024 * 1024

WRITER = """
import itertools, random, sys
from pathlib import Path
from brain_kit.objects import open_store
url, home, seed = sys.argv[1:]
store = open_store(url, Path(home))
for number in itertools.count():
    data = random.Random(f"{seed}{number}").randbytes(1_500_000)
    store.put(f"{seed}/{number:06d}", data, if_absent=True)
    print(number, flush=True)
"""

FULL_DISK = """
import io, resource, sys
from pathlib import Path
from brain_kit.objects import StoreFull, open_store
store = open_store("", Path(sys.argv[1]))
store.put("before", b"kept")
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
attempts = [
    lambda: store.put("k", io.BytesIO(bytes(3_000_000))),
    lambda: store.multipart("k").put_part(1, bytes(3_000_000)),
]
for attempt in attempts:
    try:
        attempt()
    except StoreFull as error:
        print(error.status, error.code, sys.argv[1] in str(error))
left = list(Path(sys.argv[1], "objects/.tmp").iterdir())
print([info.key for info in store.list()], store.get("before"), len(left))
"""


def run(script: str, *arguments: str) -> str:
    """What a Python script prints. It must end well."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    """The operating system refuses to write on: StoreFull (507), no object, no temporary file, old objects stay."""
    lines = run(FULL_DISK, str(tmp_path)).splitlines()

    assert lines == ["507 store_full True", "507 store_full True", "['before'] b'kept' 0"]


def _settled_keys(store: ObjectStore, prefix: str) -> list[str]:
    """The keys once a server has finished what a killed writer had sent it whole."""
    seen: list[str] | None = None
    while seen != (keys := [info.key for info in store.list(prefix)]):
        seen = keys
        time.sleep(0.5)
    return keys


@pytest.mark.fault
@pytest.mark.parametrize("kind", ["folder", pytest.param("s3", marks=pytest.mark.servers)])
def test_killed_writer_leaves_only_whole_objects(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """SIGKILL of a writing process: what it reported is there, whatever is visible is whole, and writing goes on."""
    url = request.getfixturevalue("objects_url") if kind == "s3" else ""
    for seed in ("a", "b", "c"):
        command = [sys.executable, "-c", WRITER, url, str(tmp_path), seed]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(random.Random(seed).uniform(0.05, 0.3))
            process.send_signal(signal.SIGKILL)
            reported = process.stdout.read().split()
        store = open_store(url, tmp_path)
        keys = _settled_keys(store, f"{seed}/")

        assert len(keys) in (len(reported) + 1, len(reported) + 2)  # the first line was read apart
        for number, key in enumerate(keys):
            assert key == f"{seed}/{number:06d}"
            assert store.get(key) == random.Random(f"{seed}{number}").randbytes(1_500_000)
        store.put(f"{seed}/{len(keys):06d}", b"next", if_absent=True)


def test_overwrite_interrupted_at_any_step_keeps_a_verified_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut between the steps of an overwrite leaves the old or the new bytes, each with its own checksum."""
    old, new = b"old" * 1000, b"new" * 999

    class PowerCutError(BaseException):
        pass

    for step in range(1, 30):
        home = tmp_path / str(step)
        open_store("", home).put("k", old)
        done = _cut_after(step, monkeypatch, PowerCutError, home, new)
        store = open_store("", home)
        content = store.get("k")
        info = store.head("k")

        assert content in (old, new)
        assert info is not None
        assert info.sha256 == hashlib.sha256(content).hexdigest()
        (home / "objects/k").write_bytes(content[:-1] + b"!")
        with pytest.raises(ObjectCorrupt):
            store.get("k")
        if done:
            assert content == new
            assert step > 5  # the overwrite has that many steps at least, or nothing was tested
            return
    pytest.fail("the overwrite never ended")


def _cut_after(
    step: int, monkeypatch: pytest.MonkeyPatch, cut: type[BaseException], home: Path, content: bytes
) -> bool:
    """Overwrite "k", losing power at the given call that changes or syncs the disk; whether it ended before."""
    import os

    calls = iter(range(1, 1000))

    def guarded(name: str) -> None:
        real = getattr(os, name)

        def call(*arguments: object, **options: object) -> object:
            if next(calls) >= step:
                raise cut
            return real(*arguments, **options)

        patched.setattr(os, name, call)

    with monkeypatch.context() as patched:
        for name in ("fsync", "replace", "link", "unlink", "rename"):
            guarded(name)
        try:
            open_store("", home).put("k", content)
        except cut:
            return False
    return True


@pytest.fixture
def proxied(s3: S3, objects_url: str, tmp_path: Path) -> Iterator[tuple[FaultyProxy, S3Store]]:
    """A store that reaches its server through a proxy."""
    with FaultyProxy("127.0.0.1", s3.port) as proxy:
        url = objects_url.replace(s3.endpoint, proxy.address)
        yield proxy, S3Store(parse_address(url), tmp_path / "cache")


@pytest.mark.servers
def test_unreachable_server_is_named_without_the_secret(
    proxied: tuple[FaultyProxy, S3Store], s3: S3, caplog: pytest.LogCaptureFixture
) -> None:
    """Reads and writes end in StoreUnavailable (503) with the endpoint; after the fault the same store works."""
    proxy, store = proxied
    store.put("k", b"abc")
    proxy.cut()

    for call in (store.ping, lambda: store.get("k"), lambda: store.put("l", b"x"), lambda: list(store.list())):
        with caplog.at_level(logging.DEBUG), pytest.raises(StoreUnavailable) as caught:
            call()
        assert caught.value.status == 503
        assert proxy.address in str(caught.value)
        told = "".join(traceback.format_exception(caught.value)) + str(caught.value.members) + caplog.text + repr(store)
        assert s3.secret not in told
    proxy.resume()
    store.ping()
    assert store.get("k") == b"abc"


@pytest.mark.servers
def test_hanging_server_does_not_hang_the_readiness_check(proxied: tuple[FaultyProxy, S3Store]) -> None:
    """ping gives up after seconds when nothing answers."""
    proxy, store = proxied
    proxy.stall()
    began = time.monotonic()

    with pytest.raises(StoreUnavailable):
        store.ping()
    assert time.monotonic() - began < 8


@pytest.mark.servers
def test_connection_cut_in_the_middle_gives_no_short_object(proxied: tuple[FaultyProxy, S3Store]) -> None:
    """A download that breaks off is an error, in a stream as well as in a local copy."""
    proxy, store = proxied
    store.put("k", random.Random(1).randbytes(30 * MEBIBYTE))
    with store.open("k") as stream:
        stream.read(MEBIBYTE)
        proxy.cut()
        with pytest.raises(StoreUnavailable):
            stream.read()
    with pytest.raises(StoreUnavailable):
        store.local_path("k")
    proxy.resume()

    assert store.local_path("k").stat().st_size == 30 * MEBIBYTE


@pytest.mark.servers
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://brain:{secret}@{endpoint}/no-such-bucket?secure=false", "no-such-bucket"),
        ("s3://brain:wrong-secret@{endpoint}/{bucket}?secure=false", ""),
        ("s3://stranger:{secret}@{endpoint}/{bucket}?secure=false", ""),
    ],
    ids=["no bucket", "wrong secret", "unknown key"],
)
def test_wrong_bucket_or_credentials_are_unavailable(
    s3: S3, objects_url: str, tmp_path: Path, url: str, words: str
) -> None:
    """A misconfigured store fails its readiness check, every read and every write in the same way."""
    bucket = objects_url.rpartition("/")[2].partition("?")[0]
    store = open_store(url.format(secret=s3.secret, endpoint=s3.endpoint, bucket=bucket), tmp_path)

    for call in (store.ping, lambda: store.get("k"), lambda: store.put("k", b"x")):
        with pytest.raises(StoreUnavailable) as caught:
            call()
        assert s3.endpoint in str(caught.value)
        assert words in str(caught.value)


@pytest.mark.servers
def test_missing_bucket_can_be_made_once(s3: S3, tmp_path: Path) -> None:
    """The first call makes it, the second finds it, and then the store takes a write."""
    url = s3.url("freshly-made")

    assert create_bucket(url) is True
    assert create_bucket(url) is False
    open_store(url, tmp_path).put("k", b"x")
    assert s3.client().bucket_exists("freshly-made")
    assert create_bucket("") is False
    with pytest.raises(StoreUnavailable):
        create_bucket("s3://brain:wrong-secret@" + s3.endpoint + "/another?secure=false")


@pytest.mark.servers
@pytest.mark.fault
def test_server_killed_under_load_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    """SIGKILL of the S3 server: writers fail, then go on; every acknowledged object is whole."""
    with S3() as server:
        url = server.make_bucket("under-load")
        stop = time.monotonic() + 3

        def write(writer: int) -> list[str]:
            store, kept = open_store(url, tmp_path), []
            number = 0
            while time.monotonic() < stop:
                number += 1
                key = f"w{writer}/{number:06d}"
                try:
                    store.put(key, key.encode() * 1000, if_absent=True)
                except StoreUnavailable:
                    continue
                kept.append(key)
            return kept

        with ThreadPoolExecutor(4) as pool:
            writing = [pool.submit(write, writer) for writer in range(4)]
            time.sleep(1)
            server.kill()
            time.sleep(0.3)
            server.restart()
            acknowledged = [key for future in writing for key in future.result()]
        store = open_store(url, tmp_path)

        assert len(acknowledged) > 50
        for key in acknowledged:
            assert store.get(key) == key.encode() * 1000


@pytest.mark.servers
def test_damaged_object_never_enters_the_cache(s3: S3, objects_url: str, tmp_path: Path) -> None:
    """local_path refuses a damaged object and leaves no file; the repaired one is then served."""
    store = open_store(objects_url, tmp_path)
    store.put("a/k.bin", b"abc")
    bucket = objects_url.rpartition("/")[2].partition("?")[0]
    (s3.data / bucket / "a/k.bin").write_bytes(b"abd")

    with pytest.raises(ObjectCorrupt):
        store.local_path("a/k.bin")
    assert [path for path in (tmp_path / "object-cache").rglob("*") if path.is_file() and path.suffix] == []
    store.put("a/k.bin", b"abc")
    assert store.local_path("a/k.bin").read_bytes() == b"abc"


@pytest.mark.parametrize("mode", ["removed", "is a file"])
def test_lost_folder_is_unavailable(tmp_path: Path, mode: str) -> None:
    """A folder that went away fails the readiness check and the next write, and says which one."""
    store = open_store("", tmp_path)
    folder = tmp_path / "objects"
    folder.rename(tmp_path / "elsewhere")
    if mode == "is a file":
        folder.write_text("")

    for call in (store.ping, lambda: store.put("k", b"x")):
        with pytest.raises((StoreUnavailable, StoreFull)) as caught:
            call()
        assert str(folder) in str(caught.value)
