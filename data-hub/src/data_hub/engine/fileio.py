"""Iceberg's file access through the platform's object store.

Everything goes through the object store, so tables have its durability, checksums and errors on a folder and on S3
alike. Small files that Iceberg writes in one commit (manifest, manifest list, table metadata) are stored at the same
time by a few threads: one after the other each waits for the disk three times, together they share the waiting.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

from brain_kit.objects import ObjectInfo, ObjectStore
from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile, OutputStream

WRITERS = 4
CACHED_BYTES = 16 << 20
CACHED_FILE_BYTES = 2 << 20


class _Input(InputFile):
    def __init__(self, location: str, files: StoreFileIO) -> None:
        super().__init__(location)
        self._files = files

    def __len__(self) -> int:
        return self._files.size(self.location)

    def exists(self) -> bool:
        """Whether the object is there."""
        return self._files.exists(self.location)

    def open(self, seekable: bool = True) -> InputStream:
        """A readable, seekable stream. Raises ObjectNotFound."""
        del seekable
        return self._files.open(self.location)


class _Buffer(io.BytesIO):
    """What is written becomes an object when the stream is closed."""

    def __init__(self, location: str, files: StoreFileIO) -> None:
        super().__init__()
        self._location = location
        self._files = files

    def close(self) -> None:
        """Hands the bytes over."""
        if not self.closed:
            self._files.store(self._location, self.getvalue())
        super().close()


class _Output(OutputFile):
    def __init__(self, location: str, files: StoreFileIO) -> None:
        super().__init__(location)
        self._files = files

    def __len__(self) -> int:
        return self._files.size(self.location)

    def exists(self) -> bool:
        """Whether the object is there."""
        return self._files.exists(self.location)

    def to_input_file(self) -> InputFile:
        """The same file for reading."""
        return _Input(self.location, self._files)

    def create(self, overwrite: bool = False) -> OutputStream:
        """A stream whose bytes are stored when it is closed; names are unique, so nothing is overwritten."""
        del overwrite
        return _Buffer(self.location, self._files)


class StoreFileIO(FileIO):
    """Files of all tables. What was written is certain to be stored only after `flush`."""

    def __init__(self, objects: ObjectStore) -> None:
        super().__init__()
        self._objects = objects
        self._pool = ThreadPoolExecutor(WRITERS, thread_name_prefix="iceberg-write")
        self._pending: dict[int, list[Future[ObjectInfo]]] = {}
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached = 0
        self._lock = threading.Lock()

    def new_input(self, location: str) -> InputFile:
        """A file for reading."""
        return _Input(location, self)

    def new_output(self, location: str) -> OutputFile:
        """A file for writing."""
        return _Output(location, self)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Removes a file."""
        text = location if isinstance(location, str) else location.location
        self._objects.delete(self._objects.key_of(text))

    def store(self, location: str, data: bytes) -> None:
        """Stores bytes in the background; `flush` of the same thread waits for it."""
        self._remember(location, data)
        future = self._pool.submit(self._objects.put, self._objects.key_of(location), data)
        self._pending.setdefault(threading.get_ident(), []).append(future)

    def flush(self) -> None:
        """Waits until all that this thread wrote is stored. Raises what storing raised."""
        for future in self._pending.pop(threading.get_ident(), []):
            future.result()

    def open(self, location: str) -> BinaryIO:
        """A stream over a whole file, from memory when it is small and was read lately."""
        data = self._cached_bytes(location)
        if data is None:
            data = self._objects.get(self._objects.key_of(location))
            self._remember(location, data)
        return io.BytesIO(data)

    def size(self, location: str) -> int:
        """Bytes of a file."""
        data = self._cached_bytes(location)
        if data is not None:
            return len(data)
        info = self._objects.head(self._objects.key_of(location))
        return 0 if info is None else info.size

    def exists(self, location: str) -> bool:
        """Whether a file is there."""
        if self._cached_bytes(location) is not None:
            return True
        return self._objects.head(self._objects.key_of(location)) is not None

    def close(self) -> None:
        """Ends the writing threads."""
        self._pool.shutdown(wait=False)

    def _cached_bytes(self, location: str) -> bytes | None:
        with self._lock:
            data = self._cache.get(location)
            if data is not None:
                self._cache.move_to_end(location)
            return data

    def _remember(self, location: str, data: bytes) -> None:
        if len(data) > CACHED_FILE_BYTES:
            return
        with self._lock:
            if location not in self._cache:
                self._cache[location] = data
                self._cached += len(data)
            while self._cached > CACHED_BYTES:
                _, dropped = self._cache.popitem(last=False)
                self._cached -= len(dropped)
