"""The hash chain of audit records: each hash covers the record and the hash before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

GENESIS = "0" * 64
COVERED = ("seq", "event_id", "at", "subject", "kind", "org", "name", "action", "object", "outcome", "detail")


def record_hash(record: Mapping[str, Any], previous: str) -> str:
    """SHA-256 over the canonical JSON of the covered fields and the previous hash; `at` is its RFC 3339 text."""
    body = {name: record[name] for name in COVERED} | {"previous": previous}
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def first_broken(records: Iterable[Mapping[str, Any]], previous: str = GENESIS, seq: int = 0) -> int | None:
    """The sequence number of the first record that was altered, removed or put in; None when the chain holds."""
    for record in records:
        seq += 1
        if (
            record["seq"] != seq
            or record["previous_hash"] != previous
            or record["hash"] != record_hash(record, previous)
        ):
            return seq
        previous = record["hash"]
    return None
