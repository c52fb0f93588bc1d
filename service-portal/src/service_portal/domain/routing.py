"""From a public path to a service and its own path."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

API = "/api/"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
COMPUTES = "/invocations"
# Encoded separators and dots can mean one path to the gateway and another to a service.
FORBIDDEN = re.compile(rb"%2f|%5c|%00|%2e|\\|//|/\.\./|/\./|\x00|#", re.IGNORECASE)
REMEMBERED_PATHS, REMEMBERED_BYTES = 4096, 200


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: `path` is decoded, `raw_path` as it came."""

    service: str
    path: str
    raw_path: bytes


# (service, method, path) that need no credentials, with the reason.
PUBLIC_ROUTES = {
    ("identity", "POST", "/v1/sessions"): "signing in is how one gets credentials",
    ("identity", "POST", "/v1/sessions/refresh"): "the refresh token is the credential",
    ("identity", "POST", "/v1/sessions/revoke"): "the refresh token is the credential",
    ("identity", "GET", "/.well-known/jwks.json"): "public keys by which everybody may verify tokens",
}
SIGN_IN = ("identity", "POST", "/v1/sessions")


class PathRefused(ValueError):
    """The path could be read in two ways."""


def target_of(raw_path: bytes) -> Target | None:
    """The target of `/api/<service>/...`, None for any other path. Raises PathRefused.

    Only `/v1/...` and the key set are exposed; what services have beside these is for the platform itself.
    """
    # Short paths come again and again; long ones would let a caller fill the memory.
    return _remembered(raw_path) if len(raw_path) <= REMEMBERED_BYTES else _read(raw_path)


@functools.lru_cache(maxsize=REMEMBERED_PATHS)
def _remembered(raw_path: bytes) -> Target | None:
    return _read(raw_path)


def _read(raw_path: bytes) -> Target | None:
    if FORBIDDEN.search(raw_path) or raw_path.endswith((b"/..", b"/.")):
        raise PathRefused(raw_path.decode("latin-1"))
    parts = raw_path.split(b"/", 3)
    if len(parts) < 4 or parts[1] != b"api":
        return None
    rest = b"/" + parts[3]
    if not (rest.startswith(b"/v1/") or rest == b"/.well-known/jwks.json"):
        return None
    try:
        return Target(parts[2].decode("ascii"), unquote_to_bytes(rest).decode("utf-8"), rest)
    except UnicodeDecodeError as error:
        raise PathRefused(raw_path.decode("latin-1")) from error


FILES = frozenset({("compute-scheduler", "/v1/files"), ("algorithm-dev", "/v1/artefacts")})


def is_write(target: Target | None, method: str) -> bool:
    """Whether a request may change something, and is audited. A call of a component only computes, and is metered."""
    computes = target is not None and target.service == "algorithm-dev" and target.path.endswith(COMPUTES)
    return method in WRITES and not computes


def may_be_large(target: Target, method: str) -> bool:
    """Whether a request carries a file, which its service bounds: rows, files of jobs, files of components."""
    if method == "POST":
        return target.service == "data-hub" and target.path.endswith("/pushes")
    return method == "PUT" and (target.service, target.path) in FILES
