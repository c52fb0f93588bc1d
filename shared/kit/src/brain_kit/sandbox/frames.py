"""What the platform and a sandbox process say to each other: frames of one kind byte, a length and a payload."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

CHECK, RUN = b"C", b"R"
READY, TREE, SCHEMA, BATCH, DONE, ERROR = b"H", b"T", b"S", b"B", b"D", b"E"
FINAL = frozenset({TREE, DONE, ERROR})
"""Frames that end an answer."""

_HEAD = struct.Struct(">cQ")
_CHUNK = 1 << 18


class Hangup(ConnectionError):
    """The other side is gone."""


def send_json(line: socket.socket, kind: bytes, value: object) -> None:
    """Send one frame with a JSON value; waits while the other side does not read. Raises OSError when it is gone."""
    payload = json.dumps(value, ensure_ascii=False).encode()
    line.sendall(_HEAD.pack(kind, len(payload)) + payload)


class FrameWriter:
    """Writes frames to a socket, small ones together: every send wakes the other side."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._buffer = bytearray()

    def write(self, kind: bytes, payload: bytes) -> None:
        """Add a frame; the last one of an answer sends all. Raises OSError when the other side is gone."""
        self._buffer += _HEAD.pack(kind, len(payload))
        self._buffer += payload
        if kind in FINAL or len(self._buffer) >= _CHUNK:
            self._line.sendall(self._buffer)
            self._buffer.clear()

    def write_json(self, kind: bytes, value: object) -> None:
        """`write` of a JSON value."""
        self.write(kind, json.dumps(value, ensure_ascii=False).encode())


class FrameReader:
    """Reads frames from a socket; a frame that has only partly come waits in the buffer for the next call."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._buffer = bytearray()

    def read(self, timeout_s: float | None = None) -> tuple[bytes, bytes] | None:
        """The next frame, or None when nothing came for `timeout_s` seconds. Raises Hangup at the end."""
        self._line.settimeout(timeout_s)
        while (frame := self._take()) is None:
            try:
                received = self._line.recv(_CHUNK)
            except TimeoutError:
                return None
            except ConnectionError as error:
                raise Hangup("the other side is gone") from error
            if not received:
                raise Hangup("the other side is gone")
            self._buffer += received
        return frame

    def _take(self) -> tuple[bytes, bytes] | None:
        if len(self._buffer) < _HEAD.size:
            return None
        kind, length = _HEAD.unpack_from(self._buffer)
        end = _HEAD.size + length
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[_HEAD.size : end])
        del self._buffer[:end]
        return kind, payload


def parse(payload: bytes) -> dict[str, Any]:
    """The JSON object in a payload."""
    value: dict[str, Any] = json.loads(payload)
    return value
