"""Cutting a body into stretches that begin and end with a row, while it is still coming in."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from data_hub.domain.push import Columns
from data_hub.domain.refusals import ContentRefused
from data_hub.engine.duck import disk_errors
from data_hub.engine.readers import BOM, MAX_ROW_BYTES, Header, parse_header

OnSegment = Callable[[Path], None]
DECIDED_BY_BYTES = 64 << 10


class LineSegments:
    """NDJSON: a stretch ends at a line end.

    Files that were given back are written over: to fill a file's old pages takes a third of the time of new ones.
    """

    def __init__(self, folder: Path, size: int, on_segment: OnSegment) -> None:
        self._folder = folder
        self._size = size
        self._on_segment = on_segment
        self._number = 0
        self._held = bytearray()
        self._written = 0
        self._free: deque[Path] = deque()
        self._file, self._out = self._open()
        self._begun = False

    def write(self, pieces: Sequence[bytes]) -> None:
        """Takes the next pieces of the body; they are not put together, since copying costs as much as writing."""
        if not self._begun:
            pieces, self._begun = [pieces[0].removeprefix(BOM), *pieces[1:]], True
        place, end = len(pieces), -1
        while place and end < 0:
            place -= 1
            end = self._cut(pieces[place])
        if end < 0:
            self._hold(b"".join(pieces))
            return
        last = memoryview(pieces[place])
        self._put(self._held, *pieces[:place], last[: end + 1])
        self._held = bytearray().join([last[end + 1 :], *pieces[place + 1 :]])
        # The first stretch is short, so that typing begins early.
        if self._written >= (self._size if self._number > 1 else self._size // 4):
            self._finish_segment()
            self._file, self._out = self._open()

    def give_back(self, path: Path) -> None:
        """Takes the file of a stretch that nobody reads any more; may be called from another thread."""
        self._free.append(path)

    def close(self) -> None:
        """Takes what is left as the last row."""
        if self._held:
            self._put(self._held, b"\n")
            self._held = bytearray()
        self._finish_segment()

    def _cut(self, data: bytes) -> int:
        """Where the last whole row of the piece ends; -1 when none does."""
        return data.rfind(b"\n")

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > 2 * MAX_ROW_BYTES:
            raise ContentRefused(
                "row_too_large", f"一行超过 {MAX_ROW_BYTES >> 20} MiB；请检查是否每行一个对象，或改用 Parquet"
            )

    def _open(self) -> tuple[Path, BinaryIO]:
        self._number += 1
        self._written = 0
        with disk_errors():
            if self._free:
                path = self._free.popleft()
                return path, path.open("r+b")
            path = self._folder / f"segment-{self._number:05d}.txt"
            return path, path.open("xb")

    def _put(self, *pieces: bytes | bytearray | memoryview) -> None:
        with disk_errors():
            for piece in pieces:
                self._out.write(piece)
                self._written += len(piece)

    def _finish_segment(self) -> None:
        with disk_errors():
            self._out.truncate(self._written)
            self._out.close()
        if self._written:
            self._on_segment(self._file)


class CsvSegments(LineSegments):
    """CSV: a stretch ends at a line end outside quotes; the header is read and left out, text becomes UTF-8.

    Without a charset the stretch from the first byte that is not ASCII decides: UTF-8 when it is valid, else GB18030.
    """

    def __init__(self, folder: Path, size: int, on_segment: OnSegment, wanted: Columns, charset: str | None) -> None:
        super().__init__(folder, size, on_segment)
        self.header: Header | None = None
        self._wanted = wanted
        self._charset = charset or ""
        self._decoder = codecs.getincrementaldecoder(charset)() if charset else None
        # From the first byte that is not ASCII, until there is enough to tell the charset by.
        self._undecided = b""
        self._head = b""
        self._in_quotes = False

    def write(self, pieces: Sequence[bytes]) -> None:
        """Takes the next pieces of the body."""
        data = b"".join(pieces)
        if not self._begun:
            data = data.removeprefix(BOM)
        self._pass_on(self._utf8(data))

    def close(self) -> None:
        """Takes what is left as the last row. Raises ContentRefused when there was not even a header."""
        self._pass_on(self._utf8(b"", final=True))
        if self.header is None:
            self._take_header(b"\n")
        super().close()

    def _pass_on(self, data: bytes) -> None:
        if self.header is None:
            data = self._take_header(data)
        if data:
            self._begun = True
            super().write([data])

    def _utf8(self, data: bytes, *, final: bool = False) -> bytes:
        if self._decoder is None:
            data, self._undecided = self._undecided + data, b""
            if data.isascii() and not final:
                return data
            if len(data) < DECIDED_BY_BYTES and not final:
                self._undecided = data
                return b""
            self._charset = "utf-8" if _is_utf8(data, final=final) else "gb18030"
            self._decoder = codecs.getincrementaldecoder(self._charset)()
        try:
            return self._decoder.decode(data, final).encode()
        except UnicodeDecodeError as error:
            raise ContentRefused(
                "charset_unknown", f"内容不是合法的 {self._charset}；请注明 charset=utf-8 或 gb18030"
            ) from error

    def _take_header(self, data: bytes) -> bytes:
        """Reads the header once its line is complete; gives back what follows it."""
        self._head += data
        if len(self._head) > MAX_ROW_BYTES and b"\n" not in self._head[:MAX_ROW_BYTES]:
            raise ContentRefused("row_too_large", f"表头超过 {MAX_ROW_BYTES >> 20} MiB；请检查换行")
        line, found, rest = self._head.partition(b"\n")
        if not found:
            return b""
        if not line.strip():
            raise ContentRefused("empty_body", "内容是空的；请至少提供表头和一行数据")
        self.header = parse_header(line.decode().rstrip("\r"), self._wanted)
        self._head = b""
        return rest

    def _cut(self, data: bytes) -> int:
        """The last line end outside quotes. A doubled quote inside quotes leaves and enters again, which is equal."""
        was_in_quotes = self._in_quotes
        if data.count(b'"') % 2:
            self._in_quotes = not was_in_quotes
        end = data.rfind(b"\n")
        while end >= 0:
            quotes_after = data.count(b'"', end)
            if (quotes_after % 2 == 1) == self._in_quotes:
                return end
            end = data.rfind(b"\n", 0, end)
        return -1


def _is_utf8(data: bytes, *, final: bool) -> bool:
    """Whether bytes are UTF-8; a character may be cut off at the end unless that is final."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, final)
    except UnicodeDecodeError:
        return False
    return True


class WholeBody:
    """Formats that are read as one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, pieces: Sequence[bytes]) -> None:
        """Takes the next pieces of the body."""
        with disk_errors(), self.path.open("ab") as out:
            for piece in pieces:
                out.write(piece)

    def close(self) -> None:
        """The body has come in whole."""


def line_pieces(path: Path, size: int, *, quotes: bool) -> Iterator[bytes]:
    """A stretch in smaller pieces that begin and end with a row."""
    held = b""
    with path.open("rb") as source:
        while chunk := source.read(size):
            data = held + chunk
            end = data.rfind(b"\n")
            while quotes and end >= 0 and data.count(b'"', 0, end) % 2:
                end = data.rfind(b"\n", 0, end)
            if end < 0:
                held = data
                continue
            yield data[: end + 1]
            held = data[end + 1 :]
    if held:
        yield held
