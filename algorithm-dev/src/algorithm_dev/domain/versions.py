"""Versions by Semantic Versioning 2.0.0, the digest that identifies one, and names of aliases."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import orjson

from algorithm_dev.domain.card import Card, card_document

ALIAS = re.compile(r"[a-z][a-z0-9-]{0,39}")


def precedence(version: str) -> tuple[Any, ...]:
    """A key that sorts versions as semver.org section 11 says; build metadata do not count."""
    core, _, pre = version.partition("+")[0].partition("-")
    numbers = tuple(int(part) for part in core.split("."))
    if not pre:
        return (numbers, 1, ())
    parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split("."))
    return (numbers, 0, parts)


def content_digest(card: Card) -> str:
    """SHA-256 over the canonical JSON of a card, which names the digest of every file: the identity of a version."""
    document = card_document(card)
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def is_alias(text: str) -> bool:
    """Whether a text is the name of an alias and not of a version: versions begin with a digit."""
    return ALIAS.fullmatch(text) is not None


def search_text(card: Card) -> str:
    """What the market's search looks through: names, titles, descriptions, columns, sources, in lower case."""
    signature = card.signature
    words = [card.name, card.title.zh, card.title.en, card.description.zh, card.description.en, card.kind]
    words += [card.runtime, card.licence]
    for side in (signature.inputs, signature.outputs):
        named = side.columns.items() if side.form == "rows" else ((item.name, item) for item in side.tensors)
        for name, item in named:
            words += [name, item.title or "", item.title_en or ""]
    words += [reference.title for reference in card.references]
    return " ".join(words).casefold()


def matches(text: str, query: str) -> bool:
    """Whether every word of the query stands in the text; Chinese needs no word borders."""
    return all(word in text for word in query.casefold().split())


def rank(card_title: str, name: str, query: str) -> int:
    """Order of a hit: 0 when the name or title holds the whole query, else 1."""
    wanted = query.casefold().strip()
    return 0 if wanted in name or wanted in card_title.casefold() else 1
