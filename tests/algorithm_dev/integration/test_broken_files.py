"""Files are verified whenever they are read: a damaged one is told precisely and marks its versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.algorithm_dev import models
from tests.algorithm_dev.conftest import People
from tests.algorithm_dev.lab import SQL, Lab, onnx_card, place_of, sql_card


@pytest.fixture
def fragile(tmp_path: Path) -> Iterator[tuple[Lab, People, Path]]:
    """A service of this test alone, with the folder of its objects."""
    lab = Lab(tmp_path)
    yield lab, People(lab), tmp_path / "objects"
    lab.close()


def stored(folder: Path, digest: str) -> Path:
    """The object of a file."""
    return folder / "components" / digest[:2] / digest


def test_a_damaged_file_breaks_its_version_and_restoring_mends_it(fragile: tuple[Lab, People, Path]) -> None:
    """Precise error at the call, state in the registry, audit record; the same bytes brought again mend it."""
    lab, people, folder = fragile
    card = onnx_card()
    lab.publish(card, models.linear(), people.maker, people.analyst)
    path = stored(folder, card["artefacts"][0]["sha256"])
    sound = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    lab.runtime.extras["boxes"].close()

    call = {"inputs": {"x": [[1, 2, 3]]}}
    first = lab.refusal("POST", f"{place_of(card)}/invocations", people.neighbour, json=call)
    assert (first["status"], first["code"], first["path"]) == (503, "version_broken", "model.onnx")
    seen = lab.json("GET", place_of(card), people.neighbour)
    assert seen["broken"]
    assert seen["state"] == "published"
    alias = {"version": "1.0.0", "reason": "首版"}
    refused = lab.refusal("PUT", f"/components/{card['name']}/aliases/production", people.maker, json=alias)
    assert refused["code"] == "alias_invalid"
    assert lab.json("POST", f"{place_of(card)}/verify", people.operator)["broken"]

    lab.upload(models.linear(), people.maker)
    assert lab.json("POST", f"{place_of(card)}/verify", people.operator)["broken"] is None
    assert lab.json("POST", f"{place_of(card)}/invocations", people.neighbour, json=call)["outputs"]["y"] == [[22, 28]]


def test_a_lost_file_is_told_at_submission(fragile: tuple[Lab, People, Path]) -> None:
    """Nothing is published whose file is not there."""
    lab, people, folder = fragile
    card = sql_card()
    lab.draft(card, SQL, people.maker)
    stored(folder, card["artefacts"][0]["sha256"]).unlink()
    refused = lab.refusal("POST", f"{place_of(card)}/submit", people.maker)
    assert (refused["status"], refused["code"]) == (503, "version_broken")
    lab.upload(SQL, people.maker)
    lab.json("POST", f"{place_of(card)}/verify", people.maker)
    assert lab.json("POST", f"{place_of(card)}/submit", people.maker)["state"] == "submitted"


def test_a_file_is_downloaded_by_those_who_see_the_version(fragile: tuple[Lab, People, Path]) -> None:
    """With its digest as entity tag; an unknown path lists what there is."""
    lab, people, _ = fragile
    card = sql_card()
    lab.draft(card, SQL, people.maker)
    reply = lab.call("GET", f"{place_of(card)}/artefacts/component.sql", people.maker)
    assert (reply.content, reply.headers["etag"]) == (SQL, f'"{card["artefacts"][0]["sha256"]}"')
    assert lab.refusal("GET", f"{place_of(card)}/artefacts/component.sql", people.neighbour)["status"] == 404
    refused = lab.refusal("GET", f"{place_of(card)}/artefacts/x.sql", people.maker)
    assert refused["code"] == "artefact_unknown"
    assert "component.sql" in refused["detail"]
