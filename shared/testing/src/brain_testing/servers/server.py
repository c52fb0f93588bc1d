"""What all real servers have in common: ports, start, readiness, faults, stop."""

import os
import shutil
import signal
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from brain_testing.ports import free_ports
from brain_testing.servers.child import Child

_START_ATTEMPTS = 3
_POLL_S = 0.02


class ServerFailed(RuntimeError):
    """A server did not become ready; the text ends with what it printed."""


class Server(ABC):
    """One real server on loopback, data in its own folder.

    A restart keeps ports and data, so clients reconnect. Use it as a context manager, or call start and stop.

    folder: where its data live; a new temporary one (removed by stop) when None.
    ports: fixed ports; free ones when None.
    detached: let it outlive this process.
    """

    name: ClassVar[str]
    port_count: ClassVar[int] = 1
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    ready_timeout_s: ClassVar[float] = 60
    # What a start says that fails for a passing reason (small letters): it is tried again.
    passing: ClassVar[tuple[str, ...]] = ("address already in use", "address in use")

    def __init__(
        self, folder: Path | None = None, *, ports: tuple[int, ...] | None = None, detached: bool = False
    ) -> None:
        self._owns_folder = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix=f"brain-{self.name}-")) if folder is None else folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._ports_are_fixed = ports is not None
        self.ports = ports or ()
        self._detached = detached
        self.child: Child | None = None
        self.start_s = 0.0

    @property
    def port(self) -> int:
        """The port clients use."""
        return self.ports[0]

    @property
    def is_running(self) -> bool:
        """Whether the process lives (it may be frozen)."""
        return self.child is not None and self.child.exit_code is None

    def start(self) -> Self:
        """Start and wait for the first real client call to succeed. Raises ServerFailed, MissingServer.

        `start_s` tells how long it took.
        """
        began = time.monotonic()
        for attempt in range(1, _START_ATTEMPTS + 1):
            if not self._ports_are_fixed:
                self.ports = free_ports(self.port_count)
            try:
                self._start_once()
                break
            except ServerFailed as error:
                is_passing = any(words in str(error).lower() for words in self.passing)
                if self._ports_are_fixed or not is_passing or attempt == _START_ATTEMPTS:
                    raise
        self._ports_are_fixed = True
        self.start_s = time.monotonic() - began
        return self

    def stop(self) -> None:
        """Planned end; removes the folder when it was a temporary one."""
        self._end_child()
        if self._owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """Crash: SIGKILL to the server and its workers."""
        if self.child is not None:
            self.child.kill()
            self.child = None

    def freeze(self) -> None:
        """Hang: the server keeps its connections and answers nothing."""
        if self.child is not None:
            self.child.freeze()

    def thaw(self) -> None:
        """End of `freeze`."""
        if self.child is not None:
            self.child.thaw()

    def restart(self) -> Self:
        """Planned restart, or the start after `kill`, on the same ports and data."""
        self._end_child()
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @abstractmethod
    def prepare(self) -> None:
        """Bring the folder into the state a first start needs; called before every start."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command line."""

    @abstractmethod
    def probe(self) -> None:
        """One real client call; any exception means not ready yet."""

    def environment(self) -> dict[str, str]:
        """The environment of the process."""
        return dict(os.environ)

    def _start_once(self) -> None:
        self.prepare()
        child = Child(
            self.command(),
            folder=self.folder,
            log=self.folder / f"{self.name}.log",
            env=self.environment(),
            die_with_parent=not self._detached,
        )
        try:
            self._await_ready(child)
        except BaseException:
            child.kill()
            raise
        self.child = child

    def _await_ready(self, child: Child) -> None:
        deadline = time.monotonic() + self.ready_timeout_s
        while True:
            if child.exit_code is not None:
                raise ServerFailed(f"{self.name} ended with {child.exit_code} before it was ready:\n{child.output()}")
            try:
                self.probe()
                return
            except Exception as error:
                if time.monotonic() > deadline:
                    raise ServerFailed(
                        f"{self.name} was not ready after {self.ready_timeout_s:g} s ({error}):\n{child.output()}"
                    ) from error
            time.sleep(_POLL_S)

    def _end_child(self) -> None:
        if self.child is not None:
            self.child.stop(self.stop_signal)
            self.child = None
