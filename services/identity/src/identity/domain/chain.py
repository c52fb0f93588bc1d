"""The hash chain of audit records: each hash covers the record and the hash before it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

GENESIS = "0" * 64
# Characters that every store keeps of the texts of a record.
LENGTHS = {"subject": 60, "kind": 20, "org": 18, "name": 200, "action": 80, "object": 400, "outcome": 20}
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
COVERED = ("seq", "event_id", "at", "subject", "kind", "org", "name", "action", "object", "outcome", "detail")


def storable(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with texts cut to what is kept, and NUL and lone surrogates, which PostgreSQL refuses, replaced.

    Whoever can make a record fail to be stored could act unseen.
    """
    kept = dict(record)
    for name, length in LENGTHS.items():
        kept[name] = UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", str(record[name]))[:length]
    kept["detail"] = _storable_value(record["detail"])
    return kept


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


def _storable_value(value: Any) -> Any:
    if isinstance(value, str):
        return UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, Mapping):
        return {_storable_value(str(name)): _storable_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable_value(item) for item in value]
    return value
