"""Free loopback ports."""

import socket
from contextlib import ExitStack


def free_ports(count: int) -> tuple[int, ...]:
    """`count` different ports of 127.0.0.1 that nobody listens on now.

    All are bound at the same time before any is freed, so they differ. Somebody else may still take one before
    the caller does: starters try again with new ports.
    """
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return tuple(int(sock.getsockname()[1]) for sock in sockets)


def free_port() -> int:
    """One port of 127.0.0.1 that nobody listens on now."""
    return free_ports(1)[0]


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
