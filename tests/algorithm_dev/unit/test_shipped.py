"""The components that come with the platform reproduce published values and describe themselves whole."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from algorithm_dev.domain.card import KINDS, GoldenVector
from algorithm_dev.domain.check import check_signature
from algorithm_dev.domain.golden import compare_golden
from algorithm_dev.domain.signature import Rows
from algorithm_dev.shipped import Shipped, shipped_components

from tests.algorithm_dev.running import run

COMPONENTS = {item.card.name: item for item in shipped_components()}
VECTORS = [(name, vector) for name, item in COMPONENTS.items() for vector in item.card.golden]


def test_the_six_components_are_there() -> None:
    """Two of them as ONNX models, the rest as SQL; every kind of the six is one of the official seven."""
    runtimes = {name: item.card.runtime for name, item in COMPONENTS.items()}

    assert runtimes == {
        "carbon-accounting": "sql",
        "demand-forecast": "onnx",
        "energy-anomaly": "sql",
        "energy-baseline": "sql",
        "oee": "onnx",
        "spc-xbar-r": "sql",
    }
    assert {item.card.kind for item in COMPONENTS.values()} <= set(KINDS)


@pytest.mark.parametrize(("name", "vector"), VECTORS, ids=[f"{name}:{vector.name}" for name, vector in VECTORS])
def test_published_values_are_reproduced(name: str, vector: GoldenVector) -> None:
    """Within the digits that the source prints; the result also fits the component's own signature."""
    got = run(name, vector.inputs, **vector.parameters)  # type: ignore[arg-type]

    assert [item.told for item in compare_golden(vector, got)] == []
    assert check_signature(COMPONENTS[name].card.signature.outputs, got) == []


@pytest.mark.parametrize(("name", "vector"), VECTORS, ids=[f"{name}:{vector.name}" for name, vector in VECTORS])
def test_golden_vectors_notice_a_wrong_result(name: str, vector: GoldenVector) -> None:
    """A comparison that always passes would prove nothing: a change of one part in a hundred is seen."""
    got = run(name, vector.inputs, **vector.parameters)  # type: ignore[arg-type]
    wrong = [
        {key: value * 1.01 + 0.01 if isinstance(value, float) and value else value for key, value in row.items()}
        for row in got
    ]

    assert compare_golden(vector, wrong)


@pytest.mark.parametrize("item", COMPONENTS.values(), ids=COMPONENTS.keys())
def test_a_card_tells_everything(item: Shipped) -> None:
    """Title, unit and meaning of every column in both languages, sources, and the digests of the files."""
    card = item.card
    for side in (card.signature.inputs, card.signature.outputs):
        assert isinstance(side, Rows)
        for name, column in side.columns.items():
            assert column.title, name
            assert column.title_en, name
            assert column.unit or column.scalar not in ("number", "integer"), name
            assert column.enum is None or not column.enum_titles or set(column.enum_titles) == set(column.enum)
    assert all(parameter.title and parameter.title_en for parameter in card.signature.parameters)
    assert card.references
    assert all(vector.source.title for vector in card.golden)
    for artefact in card.artefacts:
        content = item.files[artefact.path]
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (artefact.sha256, artefact.size)


def test_models_are_the_same_bytes_in_every_process() -> None:
    """A digest that changed from start to start would make each start a new version."""
    code = "from algorithm_dev.shipped import shipped_components as s; print([c.card.artefacts[0].sha256 for c in s()])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )

    assert done.stdout.strip() == str([item.card.artefacts[0].sha256 for item in COMPONENTS.values()])


def test_cards_are_read_without_heavy_libraries() -> None:
    """The service reads them at start, which must stay quick: neither DuckDB's nor ONNX' runtime is loaded."""
    code = (
        "import sys; from algorithm_dev.shipped import shipped_components; shipped_components(); "
        "print({'onnxruntime', 'pandas', 'sqlalchemy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
