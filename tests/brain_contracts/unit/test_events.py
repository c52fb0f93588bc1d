"""Event messages: frozen schemas, golden examples, keys, and reading messages of newer emitters."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from brain_contracts.events import REGISTRY
from brain_contracts.reference import schema_text
from brain_kit.events.event import from_cloudevent
from pydantic import ValidationError

PACKAGE = files("brain_contracts")


def golden(topic: str) -> dict[str, Any]:
    """A message as it stood on the wire when the topic was made."""
    body: dict[str, Any] = json.loads(PACKAGE.joinpath("examples", f"{topic}.json").read_text(encoding="utf-8"))
    return body


@pytest.mark.parametrize("topic", sorted(REGISTRY))
def test_schemas_are_frozen(topic: str) -> None:
    """A field may be added with a default (write the schema anew); anything else is a new topic ...v2."""
    committed = PACKAGE.joinpath("schemas", f"{topic}.json").read_text(encoding="utf-8")

    assert schema_text(REGISTRY[topic]) == committed


@pytest.mark.parametrize("folder", ["schemas", "examples"])
def test_every_topic_has_a_schema_and_an_example_and_no_other_stands_there(folder: str) -> None:
    """A topic that is gone leaves no file behind."""
    names = {item.name.removesuffix(".json") for item in PACKAGE.joinpath(folder).iterdir()}

    assert names == set(REGISTRY)


@pytest.mark.parametrize("topic", sorted(REGISTRY))
def test_golden_examples_are_read_and_written_back_unchanged(topic: str) -> None:
    """Old messages stay readable: outbox rows, dead letters and brokers keep them for weeks."""
    message = golden(topic)
    event = from_cloudevent(message)
    payload = event.payload(REGISTRY[topic])

    assert event.topic == topic
    assert payload.model_dump(mode="json") == message["data"]
    assert payload.key() == event.key == message["partitionkey"]


@pytest.mark.parametrize("topic", sorted(REGISTRY))
def test_fields_of_newer_emitters_are_ignored_and_missing_ones_refused(topic: str) -> None:
    """Services are upgraded one by one; a message without a needed field is a poison message, not a guess."""
    data, model = golden(topic)["data"], REGISTRY[topic]
    required = json.loads(schema_text(model))["required"]

    assert model.model_validate(data | {"added_later": 1}) == model.model_validate(data)
    for name in set(required) - {field for field, info in model.model_fields.items() if not info.is_required()}:
        with pytest.raises(ValidationError, match=name):
            model.model_validate({field: value for field, value in data.items() if field != name})


@pytest.mark.parametrize("topic", sorted(REGISTRY))
def test_messages_cannot_be_changed(topic: str) -> None:
    """A message is a fact."""
    payload = REGISTRY[topic].model_validate(golden(topic)["data"])
    with pytest.raises(ValidationError, match="frozen"):
        setattr(payload, next(iter(type(payload).model_fields)), "other")


@pytest.mark.parametrize("topic", ["brain.warehouse.commit.v1", "brain.warehouse.push.v1"])
def test_warehouse_messages_have_no_place_for_row_values(topic: str) -> None:
    """Whoever reads events must not read rows: every field is a name, an id, a count, a time or a state."""
    allowed = {
        "push_id", "dataset", "owner", "state", "accepted", "rejected", "snapshot", "sequence", "mode_counts", "pushes",
        "mode", "rows_added", "rows_removed", "total_rows", "committed_at",
    }  # fmt: skip
    schema = json.loads(schema_text(REGISTRY[topic]))
    nested = list(schema.get("$defs", {}).values())

    assert {name for part in [schema, *nested] for name in part["properties"]} <= allowed
