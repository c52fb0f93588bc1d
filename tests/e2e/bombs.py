"""Bodies that are larger, deeper or shorter than they look."""

from __future__ import annotations

import io
import socket
import struct
import zipfile
import zlib
from urllib.parse import urlsplit

BLOCK = b" " * (1 << 20)


def xlsx_bomb(unpacked_bytes: int) -> bytes:
    """A small XLSX whose first sheet unpacks to so many bytes.

    A full flush makes a deflate block independent of what came before, so one compressed block can be repeated.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(BLOCK) + packer.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    data = block * (unpacked_bytes // len(BLOCK)) + end
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return _with_member(out.getvalue(), b"xl/worksheets/sheet1.xml", data, unpacked_bytes)


def _with_member(archive: bytes, name: bytes, data: bytes, size: int) -> bytes:
    """The archive with one more, already compressed member in front of its directory; its size is declared small."""
    directory_at = archive.index(b"PK\x01\x02")
    end_at = archive.index(b"PK\x05\x06")
    declared = min(size, 1000)
    fields = (20, 0, 8, 0, 0, 0, len(data), declared, len(name), 0)
    local = b"PK\x03\x04" + struct.pack("<5H3I2H", *fields) + name + data
    entry = b"PK\x01\x02" + struct.pack(
        "<6H3I5H2I", 20, 20, 0, 8, 0, 0, 0, len(data), declared, len(name), 0, 0, 0, 0, 0, directory_at
    )
    entry += name
    count = struct.unpack("<H", archive[end_at + 10 : end_at + 12])[0] + 1
    directory = archive[directory_at:end_at] + entry
    end = b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, count, count, len(directory), directory_at + len(local), 0)
    return archive[:directory_at] + local + directory + end


def send_raw(url: str, path: str, headers: dict[str, str], body: bytes, *, close_after: bool) -> bytes:
    """Sends a request by hand; what the platform answers, empty when the connection is closed on our side first."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=20) as line:
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: {parts.netloc}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        line.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        if close_after:
            return b""
        line.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := line.recv(65536):
            answer += chunk
        return answer
