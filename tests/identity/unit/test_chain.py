"""The hash chain, computed by hand and attacked at random."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity.domain.chain import GENESIS, first_broken, record_hash, storable

RECORD: dict[str, Any] = {
    "seq": 1,
    "event_id": "evt_1",
    "at": "2026-01-02T03:04:05.123Z",
    "subject": "usr_1",
    "kind": "user",
    "org": "91370300MA3C00001U",
    "name": "张三",
    "action": "key.add",
    "object": "k1",
    "outcome": "ok",
    "detail": {"rows": 3, "a": [1.5, None, True]},
}
# Written out by hand: keys sorted, no spaces, characters as they are, the hash before as `previous`.
CANONICAL = (
    '{"action":"key.add","at":"2026-01-02T03:04:05.123Z","detail":{"a":[1.5,null,true],"rows":3},"event_id":"evt_1",'
    '"kind":"user","name":"张三","object":"k1","org":"91370300MA3C00001U","outcome":"ok","previous":"' + "0" * 64 + '",'
    '"seq":1,"subject":"usr_1"}'
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def chain(length: int) -> list[dict[str, Any]]:
    """A chain of records as they are stored."""
    records: list[dict[str, Any]] = []
    previous = GENESIS
    for seq in range(1, length + 1):
        record = RECORD | {"seq": seq, "event_id": f"evt_{seq}", "object": f"k{seq}"}
        record |= {"previous_hash": previous, "hash": record_hash(record, previous)}
        previous = record["hash"]
        records.append(record)
    return records


def test_the_hash_is_sha256_of_the_canonical_record() -> None:
    """So that anybody can verify an exported chain with standard tools."""
    assert record_hash(RECORD, GENESIS) == hashlib.sha256(CANONICAL.encode()).hexdigest()


def test_an_untouched_chain_holds() -> None:
    """Of any length, also of none."""
    for length in (0, 1, 7):
        assert first_broken(chain(length)) is None


@given(
    seq=st.integers(1, 6),
    field=st.sampled_from([*RECORD, "previous_hash", "hash"]),
    value=JSON,
)
def test_any_change_of_any_field_is_found_where_it_was_made(seq: int, field: str, value: Any) -> None:
    """No field is left out of the hash."""
    records = chain(6)
    was = records[seq - 1][field]
    records[seq - 1] = records[seq - 1] | {field: value}

    # 1 and True, or 1 and 1.0, are equal in Python but not in JSON.
    same = was == value and repr(was) == repr(value)
    assert first_broken(records) == (None if same else seq)


@given(st.permutations(range(5)))
def test_any_other_order_is_found(order: list[int]) -> None:
    """At the first record that is not in its place."""
    records = chain(5)
    moved = next((place for place, index in enumerate(order) if place != index), None)

    assert first_broken([records[index] for index in order]) == (None if moved is None else moved + 1)


def test_a_forger_must_rewrite_everything_behind() -> None:
    """A record changed together with its own hash breaks the next one: the head kept elsewhere betrays the rest."""
    records = chain(4)
    forged = records[1] | {"outcome": "refused"}
    forged["hash"] = record_hash(forged, forged["previous_hash"])

    assert first_broken([records[0], forged, *records[2:]]) == 3


@given(
    name=st.text(max_size=500), detail=st.dictionaries(st.text(max_size=3), st.lists(st.text(max_size=3)), max_size=3)
)
def test_what_is_stored_can_be_stored_anywhere(name: str, detail: dict[str, Any]) -> None:
    """No NUL and no lone surrogate is left, texts are cut, ordinary texts stay."""
    kept = storable(RECORD | {"name": name, "detail": detail})

    assert "\x00" not in repr(kept).replace("\\x00", "\x00")
    assert len(kept["name"]) <= 200
    kept["name"].encode()
    if "\x00" not in name and len(name) <= 200:
        assert kept["name"] == name
    if "\x00" not in repr(detail).replace("\\x00", "\x00"):
        assert kept["detail"] == detail


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
def test_refused_characters_leave_a_mark(text: str) -> None:
    """The reader sees that something stood there."""
    assert storable(RECORD | {"object": text})["object"] == "a\N{REPLACEMENT CHARACTER}b"
