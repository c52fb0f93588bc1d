"""One contract, two stores: every test here runs on a folder and on a real S3 server."""

import hashlib
import io
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from brain_kit.objects import (
    ChecksumMismatch,
    InvalidKey,
    KeyInUse,
    ObjectCorrupt,
    ObjectExists,
    ObjectNotFound,
    ObjectStore,
    open_store,
)
from brain_kit.objects.uploads import MIN_PART_BYTES
from brain_kit.problems import InvalidInput
from brain_testing.servers import S3
from pyiceberg.catalog.sql import SqlCatalog

# FIPS 180-2, appendix B.1
ABC_SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
LARGE = random.Random(7).randbytes(11 * 1024 * 1024 + 17)  # more than one part of an S3 upload


@dataclass
class Place:
    """A store, how another process opens it, and where its bytes can be damaged."""

    store: ObjectStore
    url: str
    home: Path
    data: Path

    def again(self) -> ObjectStore:
        """The same store as another process would open it."""
        return open_store(self.url, self.home)


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.servers)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty store of either kind."""
    if request.param == "folder":
        return Place(open_store("", tmp_path), "", tmp_path, tmp_path / "objects")
    server: S3 = request.getfixturevalue("s3")
    url: str = request.getfixturevalue("objects_url")
    bucket = url.rpartition("/")[2].partition("?")[0]
    return Place(open_store(url, tmp_path), url, tmp_path, server.data / bucket)


@pytest.fixture
def store(place: Place) -> ObjectStore:
    """An empty store of either kind."""
    return place.store


class ShortReads(io.RawIOBase):
    """A stream that gives a few bytes at a time, as a socket does."""

    def __init__(self, data: bytes) -> None:
        self._rest = io.BytesIO(data)

    def readable(self) -> bool:
        """Always true."""
        return True

    def read(self, size: int = -1) -> bytes:
        """A little of what is left."""
        return self._rest.read(min(size, 70_001) if size >= 0 else 70_001)


class TestWriting:
    def test_object_reads_back_with_its_checksum(self, store: ObjectStore) -> None:
        """What put, head and get say agrees with the published digest."""
        written = store.put("a/b.txt", b"abc")

        assert (written.key, written.size, written.sha256) == ("a/b.txt", 3, ABC_SHA256)
        assert store.get("a/b.txt") == b"abc"
        found = store.head("a/b.txt")
        assert found is not None
        assert (found.size, found.sha256, found.etag) == (3, ABC_SHA256, written.etag)
        assert abs(found.modified_at - datetime.now(UTC)) < timedelta(minutes=1)

    @pytest.mark.parametrize("size", [0, 1, 8 * 1024 * 1024, len(LARGE)])
    @pytest.mark.parametrize("kind", ["bytes", "stream", "short reads", "file"])
    def test_every_source_and_size_arrives_whole(
        self, store: ObjectStore, tmp_path: Path, kind: str, size: int
    ) -> None:
        """Bytes, streams and files, empty ones and ones of exactly one part too."""
        data = LARGE[:size]
        path = tmp_path / "source"
        path.write_bytes(data)
        sources = {"bytes": data, "stream": io.BytesIO(data), "short reads": ShortReads(data), "file": path}

        written = store.put("k", sources[kind])  # type: ignore[arg-type]

        assert (written.size, written.sha256) == (size, hashlib.sha256(data).hexdigest())
        assert store.get("k") == data

    @pytest.mark.parametrize("data", [b"abc", LARGE], ids=["small", "large"])
    def test_wrong_declared_checksum_stores_nothing(self, store: ObjectStore, data: bytes) -> None:
        """Bytes that are not those declared never become visible."""
        with pytest.raises(ChecksumMismatch):
            store.put("k", io.BytesIO(data), sha256="0" * 64)

        assert store.head("k") is None
        assert list(store.list()) == []

    @pytest.mark.parametrize("size", [100, len(LARGE)], ids=["small", "large"])
    def test_one_of_eight_simultaneous_creators_wins(self, place: Place, size: int) -> None:
        """if_absent lets exactly one writer through, and its bytes stay."""
        contents = [bytes([number]) * size for number in range(8)]
        stores = [place.again() for _ in contents]

        def create(number: int) -> int | None:
            try:
                stores[number].put("k", io.BytesIO(contents[number]), if_absent=True)
            except ObjectExists:
                return None
            return number

        with ThreadPoolExecutor(8) as pool:
            winners = [number for number in pool.map(create, range(8)) if number is not None]

        assert len(winners) == 1
        assert place.store.get("k") == contents[winners[0]]

    def test_overwrite_is_seen_whole_or_not_at_all(self, place: Place) -> None:
        """A reader beside a writer gets one of the versions, never a mixture nor a checksum error."""
        versions = [bytes([number]) * 300_000 for number in range(4)]
        place.store.put("k", versions[0])
        readers = [place.again() for _ in range(3)]

        def write() -> None:
            for number in range(40):
                place.store.put("k", versions[number % 4])

        def read(reader: ObjectStore) -> set[bytes]:
            return {reader.get("k") for _ in range(40)}

        with ThreadPoolExecutor(4) as pool:
            writing = pool.submit(write)
            seen = set[bytes]().union(*pool.map(read, readers))
            writing.result()

        assert seen <= set(versions)

    def test_failed_source_leaves_nothing(self, place: Place) -> None:
        """A stream that breaks in the middle stores nothing and leaves no temporary file."""

        class Broken(ShortReads):
            def read(self, size: int = -1) -> bytes:
                if self._rest.tell() > 500_000:
                    raise ConnectionResetError("client went away")
                return super().read(size)

        with pytest.raises(ConnectionResetError):
            place.store.put("k", Broken(LARGE))  # type: ignore[arg-type]

        assert place.store.head("k") is None
        assert [
            path for folder in ("objects/.tmp", "object-cache/tmp") for path in (place.home / folder).glob("*")
        ] == []


class TestReading:
    def test_range_gives_exactly_those_bytes(self, store: ObjectStore) -> None:
        """Offsets and lengths mean what slices mean, also behind the end."""
        data = LARGE[:100_000]
        store.put("k", data)

        for offset, length in [(0, 10), (5, 0), (99_990, 100), (100_000, 5), (200_000, 5), (0, 100_000)]:
            with store.open("k", offset=offset, length=length) as stream:
                assert stream.read() == data[offset : offset + length]
        for offset in (1, 50_000, 100_000, 100_001):
            with store.open("k", offset=offset) as stream:
                assert stream.read() == data[offset:]

    def test_missing_object_is_named(self, store: ObjectStore) -> None:
        """Every way of reading says which key does not exist."""
        ways: list[Callable[[], object]] = [
            lambda: store.get("no/such"),
            lambda: store.open("no/such", offset=3),
            lambda: store.open("no/such", length=0),
            lambda: store.local_path("no/such"),
            lambda: store.sync("no/such"),
        ]
        for read in ways:
            with pytest.raises(ObjectNotFound) as caught:
                read()
            assert caught.value.members["key"] == "no/such"
        assert store.head("no/such") is None

    @pytest.mark.parametrize("damage", ["flipped", "truncated", "longer"])
    def test_damaged_bytes_are_never_given_as_good(self, place: Place, damage: str) -> None:
        """Whole reads of an object changed behind our back end in ObjectCorrupt."""
        data = bytearray(LARGE[:200_000])
        place.store.put("a/k.bin", bytes(data))
        if damage == "flipped":
            data[123_456] ^= 1
        (place.data / "a/k.bin").write_bytes({"truncated": data[:-1], "longer": data + b"x"}.get(damage, data))

        with pytest.raises(ObjectCorrupt) as caught:
            place.store.get("a/k.bin")
        assert caught.value.members["key"] == "a/k.bin"
        with place.store.open("a/k.bin") as stream, pytest.raises(ObjectCorrupt):
            list(iter(lambda: stream.read(50_000), b""))

    def test_local_path_holds_the_bytes_under_the_same_suffix(self, store: ObjectStore) -> None:
        """A program that wants a file gets one."""
        store.put("x/part-0.parquet", LARGE)

        path = store.local_path("x/part-0.parquet")

        assert path.read_bytes() == LARGE
        assert path.suffix == ".parquet"
        assert store.local_path("x/part-0.parquet") == path


class TestKeys:
    @pytest.mark.parametrize(
        "key",
        [
            "",
            "/a",
            "a/",
            "a//b",
            "a/../b",
            "./a",
            "..",
            ".uploads/x",
            "a\\b",
            "a?b",
            "a#b",
            "a\nb",
            "x" * 241,
            "a/" * 460 + "a",
        ],
    )
    def test_unusable_keys_are_refused(self, store: ObjectStore, key: str) -> None:
        """Keys that would leave the folder, hide, or be cut as a URL never reach the store."""
        with pytest.raises(InvalidKey):
            store.put(key, b"x")
        with pytest.raises(InvalidKey):
            store.head(key)

    @pytest.mark.parametrize("key", ["产业链/节点.json", "a b/c=d/é%20+&.txt", "x" * 240, "a/.hidden", "UPPER/lower"])
    def test_unusual_keys_are_kept_as_they_are(self, store: ObjectStore, key: str) -> None:
        """Chinese text, spaces and signs come back unchanged."""
        store.put(key, b"x")

        assert store.get(key) == b"x"
        assert [info.key for info in store.list()] == [key]
        assert store.key_of(store.location(key)) == key

    def test_key_is_never_the_parent_of_another(self, store: ObjectStore) -> None:
        """Both directions are refused; the first key stays."""
        store.put("a/b", b"1")

        with pytest.raises(KeyInUse):
            store.put("a/b/c", b"2")
        with pytest.raises(KeyInUse):
            store.put("a", b"3")
        with pytest.raises(KeyInUse):
            store.put("a", b"3", if_absent=True)
        assert store.head("a/b/c") is None
        assert store.head("a") is None
        assert store.get("a/b") == b"1"

    def test_deleted_key_frees_its_parent(self, store: ObjectStore) -> None:
        """After a delete, which may be repeated, nothing of the key is left."""
        store.put("a/b/c", b"1")

        store.delete("a/b/c")
        store.delete("a/b/c")

        assert store.head("a/b/c") is None
        store.put("a", b"2")
        assert store.get("a") == b"2"

    def test_list_is_in_byte_order_by_prefix_and_start(self, store: ObjectStore) -> None:
        """Order, prefix, start and limit agree with sorting the keys' bytes."""
        keys = ["a-b", "a.b", "a/b", "a/b-", "a0", "ab/c", "ab/c1/d", "B", "b/产业", "b/Z", "b/~", "é"]
        for key in keys:
            store.put(key, key.encode())
        ordered = sorted(keys, key=str.encode)

        assert [info.key for info in store.list()] == ordered
        for prefix in ("", "a", "a/", "ab/c", "b/", "zz"):
            for start in ("", "a/b", "a0", "ab/c1", "b/Z"):
                expected = [key for key in ordered if key.startswith(prefix) and key.encode() > start.encode()]
                assert [info.key for info in store.list(prefix, start)] == expected, (prefix, start)
        assert [info.key for info in store.list("", "a.b", 2)] == ["a/b", "a/b-"]
        assert [info.size for info in store.list(limit=3)] == [len(key.encode()) for key in ordered[:3]]

    def test_location_of_another_store_is_refused(self, store: ObjectStore) -> None:
        """key_of never guesses."""
        for location in ("s3://other-bucket/a", "file:///etc/passwd", "a", store.location("a") + "/../../x"):
            with pytest.raises(InvalidKey):
                store.key_of(location)


RESUME = """
import sys
from pathlib import Path
from brain_kit.objects import open_store
url, home, upload, part = sys.argv[1:]
upload = open_store(url, Path(home)).resume("up/whole.bin", upload)
upload.put_part(2, Path(part))
print(upload.complete().sha256)
"""


class TestUploads:
    def test_upload_goes_on_in_another_process(self, place: Place, tmp_path: Path) -> None:
        """Parts in any order, one sent twice; another process sends the last and completes."""
        begun = place.store.multipart("up/whole.bin", sha256=hashlib.sha256(LARGE).hexdigest())
        begun.put_part(3, LARGE[-500:])
        begun.put_part(1, b"to be replaced")
        begun.put_part(1, LARGE[:MIN_PART_BYTES])
        rest = tmp_path / "rest"
        rest.write_bytes(LARGE[MIN_PART_BYTES:-500])
        assert [(part.number, part.size) for part in begun.parts()] == [(1, MIN_PART_BYTES), (3, 500)]
        assert place.store.head("up/whole.bin") is None
        assert list(place.store.list()) == []
        arguments = [place.url, str(place.home), begun.id, str(rest)]

        done = subprocess.run(
            [sys.executable, "-c", RESUME, *arguments], capture_output=True, text=True, timeout=60, check=False
        )

        assert done.stdout.strip() == hashlib.sha256(LARGE).hexdigest(), done.stderr
        assert place.store.get("up/whole.bin") == LARGE
        assert [info.key for info in place.store.list()] == ["up/whole.bin"]
        with pytest.raises(ObjectNotFound):
            place.store.resume("up/whole.bin", begun.id)

    def test_incomplete_upload_says_what_is_missing_and_goes_on(self, store: ObjectStore) -> None:
        """A gap, a small part and a wrong whole are refused; the upload stays usable."""
        upload = store.multipart("k", sha256=hashlib.sha256(LARGE).hexdigest())
        with pytest.raises(InvalidInput) as nothing:
            upload.complete()
        assert nothing.value.members["missing"] == [1]
        upload.put_part(1, b"short")
        upload.put_part(3, b"x")
        with pytest.raises(InvalidInput) as gap:
            upload.complete()
        assert gap.value.members["missing"] == [2]
        upload.put_part(2, b"y")
        with pytest.raises(InvalidInput) as short:
            upload.complete()
        assert short.value.members["too_small"] == [1, 2]
        upload.put_part(1, LARGE[:MIN_PART_BYTES])
        upload.put_part(2, LARGE[:MIN_PART_BYTES])
        with pytest.raises(ChecksumMismatch):
            upload.complete()

        assert store.head("k") is None
        assert len(store.resume("k", upload.id).parts()) == 3

    def test_wrong_part_is_refused(self, store: ObjectStore) -> None:
        """A part must have the declared digest and a number from 1 to 10,000."""
        upload = store.multipart("k")

        with pytest.raises(ChecksumMismatch):
            upload.put_part(1, b"abc", sha256="0" * 64)
        for number in (0, 10_001):
            with pytest.raises(InvalidInput):
                upload.put_part(number, b"abc")
        assert upload.put_part(1, b"abc", sha256=ABC_SHA256).sha256 == ABC_SHA256
        assert [part.number for part in upload.parts()] == [1]

    def test_damaged_part_is_found_before_the_object_appears(self, place: Place) -> None:
        """complete reads every byte back."""
        upload = place.store.multipart("k")
        upload.put_part(1, b"abc")
        (found,) = place.data.glob(f".uploads/{upload.id}/00001")
        found.write_bytes(b"abd")

        with pytest.raises(ObjectCorrupt):
            upload.complete()
        assert place.store.head("k") is None

    def test_resume_needs_the_right_key_and_id(self, store: ObjectStore) -> None:
        """An id of another key, an ended upload and an id that is a path are all unknown."""
        upload = store.multipart("k")
        ended = store.multipart("k")
        ended.put_part(1, b"abc")
        ended.abort()
        ended.abort()

        for key, upload_id in [("other", upload.id), ("k", ended.id), ("k", "../../etc"), ("k", "upl_unknown00")]:
            with pytest.raises(ObjectNotFound):
                store.resume(key, upload_id)
        assert store.resume("k", upload.id).parts() == []

    def test_forgotten_uploads_can_be_discarded(self, store: ObjectStore) -> None:
        """Only uploads that received nothing since the given moment go."""
        upload = store.multipart("k")
        upload.put_part(1, b"abc")

        assert store.discard_uploads(datetime.now(UTC) - timedelta(hours=1)) == 0
        assert len(upload.parts()) == 1
        assert store.discard_uploads(datetime.now(UTC) + timedelta(minutes=1)) == 1
        with pytest.raises(ObjectNotFound):
            store.resume("k", upload.id)


class TestIceberg:
    @pytest.fixture
    def catalog(self, place: Place, tmp_path: Path) -> Iterator[SqlCatalog]:
        """A catalogue whose warehouse is the store."""
        warehouse = place.store.location("warehouse")
        uri = f"sqlite:///{tmp_path / 'catalog.db'}"
        catalog = SqlCatalog("brain", uri=uri, warehouse=warehouse, **place.store.iceberg_properties())
        yield catalog
        catalog.engine.dispose()

    def test_iceberg_tables_live_in_the_store(self, place: Place, catalog: SqlCatalog) -> None:
        """pyiceberg writes and reads at our locations; its files are objects like any other."""
        rows = pa.table({"uscc": ["91370300MA3C000009", "91370300MA3C000017"], "revenue": [1.5, 2.5]})
        catalog.create_namespace("public")
        table = catalog.create_table("public.enterprise", schema=rows.schema)
        table.append(rows)

        assert catalog.load_table("public.enterprise").scan().to_arrow().to_pydict() == rows.to_pydict()
        (data_file,) = (task.file.file_path for task in table.scan().plan_files())
        key = place.store.key_of(data_file)
        found = place.store.head(key)
        assert found is not None
        assert found.sha256 is None
        assert found.size == len(place.store.get(key))
        place.store.sync(key)
        assert pq.read_table(place.store.local_path(key)).to_pydict() == rows.to_pydict()
        assert key in {info.key for info in place.store.list("warehouse/")}
