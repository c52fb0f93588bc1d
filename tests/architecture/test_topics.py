"""Every event type is consumed, or the list of events says who outside the platform it is for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from brain_contracts.events import REGISTRY

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/events.md").read_text(encoding="utf-8")


def sources() -> Iterator[str]:
    """Source texts of services."""
    for pattern in ("compute-scheduler", "data-hub", "algorithm-dev", "service-portal", "services/*", "shared/kit"):
        for folder in ROOT.glob(f"{pattern}/src"):
            for path in folder.rglob("*.py"):
                yield path.read_text(encoding="utf-8")


@pytest.mark.parametrize("topic", sorted(REGISTRY))
def test_every_topic_is_documented_emitted_and_consumed(topic: str) -> None:
    """The document has one row a topic; a topic without a consumer is declared external there."""
    row = re.search(rf"^\|\s*`?{re.escape(topic)}`?\s*\|(.*)$", DOCUMENT, re.MULTILINE)
    name = REGISTRY[topic].__name__
    texts = list(sources())

    assert row is not None, f"{topic} is not in docs/events.md"
    assert any(re.search(rf"\b{name}\(", text) for text in texts), f"nothing emits {name}"
    consumed = any(f"{name}.topic" in text for text in texts)
    assert consumed or "external" in row[1].lower(), f"nothing consumes {topic}; declare it external"
