"""What an agent does to bring data: every break of the way, a wire that lies, a disk that is full. No platform here."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from brain_kit.problems import NotFound, Unavailable
from compute_scheduler.agent.bringing import Bringing
from compute_scheduler.agent.depot import Depot, DepotLimits, Incoming, NoRoom, folder_name, whole_digest
from compute_scheduler.agent.link import Link

FILES = {"a.parquet": bytes(range(256)) * 4000, "b.parquet": b"b" * 300_000}
CHUNK = 64 * 1024


class VersionGone(NotFound):
    """As the platform says it."""

    code = "version_gone"


class Wire(Link):
    """The platform as the agent sees it, with the faults that a test sets; counts what it hands out."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = files if files is not None else FILES
        self.asked: list[tuple[str, int]] = []
        self.sent = 0
        self.rate: int | None = None
        self.fault: Callable[[str, int], None] = lambda name, offset: None
        self.damaged: dict[str, int] = {}  # file to how many times it comes with another first byte

    def transfer_manifest(self, transfer: str) -> dict[str, Any]:
        """Sizes and digests as they should be."""
        files = [
            {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in sorted(self.files.items())
        ]
        whole = {"files": files, "bytes": sum(map(len, self.files.values())), "sha256": whole_digest(files)}
        return whole | {"view": "whole", "rate": self.rate}

    @contextmanager
    def transfer_bytes(self, transfer: str, name: str, offset: int, length: int) -> Iterator[Iterator[bytes]]:
        """The bytes, or the fault."""
        self.asked.append((name, offset))

        def chunks() -> Iterator[bytes]:
            for start in range(offset, min(offset + length, len(self.files[name])), CHUNK):
                self.fault(name, start)
                chunk = self.files[name][start : min(start + CHUNK, offset + length)]
                if start == 0 and self.damaged.get(name, 0):
                    self.damaged[name] -= 1
                    chunk = b"?" + chunk[1:]
                self.sent += len(chunk)
                yield chunk

        yield chunks()


class Place:
    """A depot with its bringing, and how attempts fared."""

    def __init__(self, root: Path, wire: Wire, limits: DepotLimits | None = None) -> None:
        self.root = root
        self.depot = Depot(root / "data", limits or DepotLimits(spare_bytes=0))
        self.changed = threading.Event()
        self.bringing = Bringing(wire, self.depot, self.changed)
        self.bringing.open()
        self.ends: dict[str, dict[str, Any] | None] = {}
        self._told = threading.Condition()

    def want(self, attempt: str, *items: dict[str, Any]) -> None:
        """An attempt wants data."""

        def done(record: dict[str, Any] | None) -> None:
            with self._told:
                self.ends[attempt] = record
                self._told.notify_all()

        self.bringing.want(attempt, list(items), self.root / attempt, done)

    def end(self, attempt: str) -> dict[str, Any] | None:
        """How its data came."""
        with self._told:
            assert self._told.wait_for(lambda: attempt in self.ends, 30)
        return self.ends[attempt]

    def said(self, transfer: str) -> dict[str, Any]:
        """What a report says of a transfer, once it has something to say."""
        deadline = time.monotonic() + 30
        while True:
            for item in self.bringing.say()[0]:
                if item["transfer"] == transfer:
                    return item
            assert time.monotonic() < deadline
            time.sleep(0.01)


def item(dataset: str = "industry.x", transfer: str | None = "trf_1") -> dict[str, Any]:
    """What an order says of a data set."""
    return {"dataset": dataset, "version": "7", "view": "whole", "transfer": transfer}


@pytest.fixture
def wire() -> Wire:
    """A faultless one."""
    return Wire()


@pytest.fixture
def place(tmp_path: Path, wire: Wire) -> Iterator[Place]:
    """An empty depot."""
    made = Place(tmp_path, wire)
    yield made
    made.bringing.close()


def test_a_version_arrives_once_for_all_that_want_it_and_is_read_through_links(place: Place, wire: Wire) -> None:
    """Two attempts, the sum of the sizes on the wire once; the third finds it there and nothing is fetched."""
    place.want("j1", item())
    place.want("j2", item())
    assert (place.end("j1"), place.end("j2")) == (None, None)
    assert wire.sent == sum(map(len, FILES.values()))
    shown = place.root / "j2/brain-data/industry.x"
    assert {path.name: path.read_bytes() for path in shown.iterdir()} == FILES
    assert place.said("trf_1")["state"] == "done"
    place.want("j3", item(transfer=None))
    assert place.end("j3") is None
    assert wire.sent == sum(map(len, FILES.values()))
    assert place.bringing.replicas() == [{"dataset": "industry.x", "version": "7", "view": "whole"}]


def test_what_breaks_off_goes_on_at_the_byte_where_it_stopped(place: Place, wire: Wire) -> None:
    """The wire breaks once in the middle of the second stretch: the next request begins there, no byte twice."""
    broken: list[int] = []

    def fault(name: str, offset: int) -> None:
        if offset == 5 * CHUNK and not broken:
            broken.append(offset)
            raise Unavailable("没有应答")

    wire.fault = fault
    place.want("j1", item())
    assert place.end("j1") is None
    assert wire.asked == [("a.parquet", 0), ("a.parquet", 5 * CHUNK), ("b.parquet", 0)]
    assert wire.sent == sum(map(len, FILES.values()))


def test_another_agent_on_the_same_folder_fetches_only_what_is_missing(tmp_path: Path, wire: Wire) -> None:
    """The first is stopped after three chunks, as a kill would; the second asks from there on."""
    first = Place(tmp_path, wire)
    reached = threading.Event()

    def stop(name: str, offset: int) -> None:
        if offset == 3 * CHUNK:
            reached.set()
            first.bringing.leave("j1")

    wire.fault = stop
    first.want("j1", item())
    assert reached.wait(30)
    first.bringing.close()
    part = tmp_path / "data" / folder_name(item()) / "files/a.parquet.part"
    deadline = time.monotonic() + 30
    while part.stat().st_size != 4 * CHUNK:  # the chunk that was on its way when it was told to stop
        assert time.monotonic() < deadline
        time.sleep(0.01)
    wire.fault = lambda name, offset: None
    second = Place(tmp_path, wire)
    second.want("j1", item(transfer="trf_2"))
    assert second.end("j1") is None
    second.bringing.close()
    assert wire.asked == [("a.parquet", 0), ("a.parquet", 4 * CHUNK), ("b.parquet", 0)]
    assert wire.sent == sum(map(len, FILES.values()))


@pytest.mark.parametrize(("times", "end"), [(1, None), (2, "data_missing")])
def test_a_file_that_is_not_what_it_should_be_is_fetched_once_more(
    place: Place, wire: Wire, times: int, end: str | None
) -> None:
    """Damaged once, it comes whole the second time; damaged twice, the job is told which file, and it is no replica."""
    wire.damaged["a.parquet"] = times
    place.want("j1", item())
    record = place.end("j1")
    assert (record and record["cause"]) == end
    assert [name for name, offset in wire.asked if not offset].count("a.parquet") == 2
    said = place.said("trf_1")
    if record is not None:
        assert "a.parquet" in record["detail"]
        assert not record["again"]
        assert (said["state"], said["code"]) == ("failed", "checksum_mismatch")
        assert place.bringing.replicas() == []
    else:
        assert said["done_bytes"] == sum(map(len, FILES.values()))


def test_a_version_that_is_gone_ends_the_jobs_with_what_the_platform_said(place: Place, wire: Wire) -> None:
    """A refusal is no trouble that passes."""

    def fault(name: str, offset: int) -> None:
        raise VersionGone("版本 7 读不到")

    wire.fault = fault
    place.want("j1", item())
    record = place.end("j1")
    assert record is not None
    assert "版本 7 读不到" in record["detail"]
    assert place.said("trf_1")["code"] == "version_gone"


def test_without_room_nothing_is_fetched_and_the_words_say_how_much_is_missing(tmp_path: Path, wire: Wire) -> None:
    """1.3 MB into 1 MB: 0.3 MB over. With room for one of two, the unused one goes, and is told as dropped."""
    small = Place(tmp_path / "small", wire, DepotLimits(most_bytes=1_000_000, spare_bytes=0))
    small.want("j1", item())
    record = small.end("j1")
    assert record is not None
    assert "超出副本上限 0.3 MB" in record["detail"]
    assert wire.asked == []
    small.bringing.close()
    one = Place(tmp_path / "one", wire, DepotLimits(most_bytes=2_000_000, spare_bytes=0))
    one.want("j1", item())
    assert one.end("j1") is None
    one.want("j2", item("industry.y", "trf_2"))
    refused = one.end("j2")
    assert refused is not None  # the first is in use
    assert one.said("trf_2")["code"] == "no_room"
    one.bringing.leave("j1")
    one.bringing.leave("j2")
    one.bringing.hear([{"transfer": name, "state": "done", "rate": None, "reason": ""} for name in ("trf_1", "trf_2")])
    one.want("j3", item("industry.y", "trf_3"))
    assert one.end("j3") is None
    assert one.bringing.say()[1] == [{"dataset": "industry.x", "version": "7", "view": "whole"}]
    one.bringing.close()


def test_the_longest_unused_goes_first(tmp_path: Path) -> None:
    """Three of one MB each in three; the first was used last, so the second goes for the fourth."""
    import os

    depot = Depot(tmp_path, DepotLimits(most_bytes=3_010_000, spare_bytes=0))
    for number, name in enumerate(("industry.a@1", "industry.b@1", "industry.c@1")):
        files = [{"name": "f", "bytes": 1_000_000, "sha256": hashlib.sha256(bytes(1_000_000)).hexdigest()}]
        manifest = {"files": files, "bytes": 1_000_000, "sha256": whole_digest(files)}
        depot.begin(name, manifest)
        assert depot.make_room(name, 1_000_000, ()) == []
        with Incoming(depot.files(name), files[0]) as incoming:
            incoming.add(bytes(1_000_000))
            assert incoming.close()
        depot.finish(name, manifest)
        os.utime(tmp_path / name / "ready.json", (number, number))
    depot.use("industry.a@1")
    assert depot.make_room("industry.d@1", 1_000_000, ()) == ["industry.b@1"]
    with pytest.raises(NoRoom):
        depot.make_room("industry.e@1", 1_000_000, ("industry.a@1", "industry.c@1"))


def test_a_closed_link_pauses_and_its_rate_is_kept(place: Place, wire: Wire) -> None:
    """At 0 nothing moves; at 1.3 MB/s the whole takes about a second; cancelled by the platform, the job is told."""
    wire.rate = 0
    place.want("j1", item())
    time.sleep(0.5)
    assert wire.sent == 0
    assert place.said("trf_1")["state"] == "moving"
    began = time.monotonic()
    place.bringing.hear([{"transfer": "trf_1", "state": "moving", "rate": 1_300_000, "reason": ""}])
    assert place.end("j1") is None
    assert time.monotonic() - began > 0.8
    wire.rate = 0
    place.want("j2", item("industry.y", "trf_2"))
    place.bringing.hear([{"transfer": "trf_2", "state": "failed", "rate": None, "reason": "链路已取消"}])
    record = place.end("j2")
    assert record == {"cause": "data_missing", "detail": "数据集 industry.y：链路已取消", "again": True}


def test_a_copy_that_is_registered_and_not_there_is_told_and_the_job_queues_again(place: Place) -> None:
    """So that it is brought the next time."""
    place.want("j1", item(transfer=None))
    record = place.end("j1")
    assert record is not None
    assert record["again"]
    assert place.bringing.say()[1] == [{"dataset": "industry.x", "version": "7", "view": "whole"}]


def test_a_disk_that_refuses_is_said_and_not_tried_for_ever(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says that there is no space, though there was when it was looked at."""
    import errno

    def full(self: Incoming, chunk: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Incoming, "add", full)
    place.want("j1", item())
    record = place.end("j1")
    assert record is not None
    assert place.said("trf_1")["code"] == "no_room"
