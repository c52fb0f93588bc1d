"""Components that come with the platform: cards, SQL, data and models that are built here, each with golden values."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from algorithm_dev.domain.card import Card, parse_card, read_yaml
from algorithm_dev.domain.signature import Text
from algorithm_dev.shipped.demand_forecast import demand_forecast_model
from algorithm_dev.shipped.oee import oee_model

MODELS: dict[str, Callable[[], bytes]] = {"oee": oee_model, "demand-forecast": demand_forecast_model}
TABLE = re.compile(r"/\*VALUES (\S+) ([^*]+)\*/")
MEDIA_TYPES = {"sql": "application/sql", "onnx": "application/onnx"}


@dataclass(frozen=True)
class Shipped:
    """A component of the platform: its card and the bytes of the files that the card names."""

    card: Card
    files: dict[str, bytes]


@dataclass(frozen=True)
class Example:
    """A query over canonical data sets whose rows are input of a shipped component."""

    component: str
    title: Text
    datasets: tuple[str, ...]
    sql: str
    parameters: dict[str, Any]


@cache
def shipped_examples() -> tuple[Example, ...]:
    """The examples that a run can start from."""
    return tuple(
        Example(item["component"], Text(**item["title"]), tuple(item["datasets"]), item["sql"], item["parameters"])
        for item in read_yaml(files(__package__).joinpath("examples.yaml").read_bytes())
    )


@cache
def shipped_components() -> tuple[Shipped, ...]:
    """Every shipped component, by name. Models are built on the first call; the bytes are the same everywhere."""
    folder = files(__package__).joinpath("cards")
    names = sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))
    return tuple(_component(folder, name) for name in names if not name.endswith(".golden"))


def _component(folder: Traversable, name: str) -> Shipped:
    document: dict[str, Any] = read_yaml(folder.joinpath(f"{name}.yaml").read_bytes())
    document["golden"] = read_yaml(folder.joinpath(f"{name}.golden.yaml").read_bytes())
    content = MODELS[name]() if name in MODELS else _statement(folder, name).encode()
    path = f"{name}.{document['runtime']}"
    document |= {"entry": path, "artefacts": [_artefact(path, content, MEDIA_TYPES[document["runtime"]])]}
    return Shipped(parse_card(document), {path: content})


def _artefact(path: str, content: bytes, media_type: str) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return {"path": path, "sha256": digest, "bytes": len(content), "media_type": media_type}


def _statement(folder: Traversable, name: str) -> str:
    """The statement with the component's data files written into it, so that one file with one digest is the whole."""
    text = folder.joinpath(f"{name}.sql").read_text(encoding="utf-8")
    return TABLE.sub(lambda found: _values(found[1], found[2].split()), text)


def _values(file: str, columns: list[str]) -> str:
    rows = csv.DictReader(io.StringIO(files(__package__).joinpath("data", file).read_text(encoding="utf-8")))
    return ",\n    ".join(f"({', '.join(_literal(row, column) for column in columns)})" for row in rows)


def _literal(row: dict[str, str], column: str) -> str:
    name, _, kind = column.partition(":")
    text = row[name]
    if kind:
        return f"{float(text) if kind == 'DOUBLE' else int(text)}::{kind}" if text else f"NULL::{kind}"
    return "'" + text.replace("'", "''") + "'"
