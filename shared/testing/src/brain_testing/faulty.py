"""A TCP proxy that can be cut, stalled or slowed: a server that becomes unreachable without being touched."""

import socket
import struct
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

_CHUNK_BYTES = 65536
_RESET = struct.pack("ii", 1, 0)


class FaultyProxy:
    """Forwards 127.0.0.1:`port` to a server; threads end with `close`.

    cut(): connections are reset and new ones refused. stall(): connections stay open and nothing passes.
    delay(seconds): each piece of data waits. resume(): all faults end, on the same port.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        self._target = (target_host, target_port)
        self._flowing = threading.Event()
        self._flowing.set()
        self._delay_s = 0.0
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._guard = threading.Lock()
        self._listener: socket.socket | None = None
        self.port = 0
        self._listen()

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Reset all connections and refuse new ones."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
            listener.close()
        with self._guard:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for sock in pair:
                _reset(sock)

    def stall(self) -> None:
        """Keep connections, take new ones, pass nothing on."""
        self._flowing.clear()

    def delay(self, seconds: float) -> None:
        """Hold every piece of data that long."""
        self._delay_s = seconds

    def resume(self) -> None:
        """Work as if nothing had been."""
        self._delay_s = 0.0
        self._flowing.set()
        if self._listener is None:
            self._listen()

    def close(self) -> None:
        """End for good."""
        self.cut()
        self._flowing.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        self.port = int(listener.getsockname()[1])
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="faulty-accept", daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target, timeout=5)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            pair = (client, server)
            with self._guard:
                self._pairs.add(pair)
            if self._listener is not listener:
                self._drop(pair)  # cut meanwhile
                return
            for source, sink in (pair, pair[::-1]):
                threading.Thread(target=self._pump, args=(pair, source, sink), name="faulty-pump", daemon=True).start()

    def _pump(self, pair: tuple[socket.socket, socket.socket], source: socket.socket, sink: socket.socket) -> None:
        try:
            while chunk := source.recv(_CHUNK_BYTES):
                self._flowing.wait()
                if self._delay_s:
                    time.sleep(self._delay_s)
                sink.sendall(chunk)
            self._flowing.wait()
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(pair)

    def _drop(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._guard:
            self._pairs.discard(pair)
        for sock in pair:
            _reset(sock)


def _reset(sock: socket.socket) -> None:
    """Close with RST instead of FIN; wakes whoever waits on the socket."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RD)
    with suppress(OSError):
        sock.close()
