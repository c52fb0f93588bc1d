"""The merged document is whole, and what its examples say is what the platform does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from brain_kit.openapi.examples import load_examples
from industry_brain.client.generate import document_of_code
from industry_brain.wiring import SERVICES
from jsonschema import Draft202012Validator

from tests.e2e.played import Stage

JSON = "application/json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The merged document of the code, without a server."""
    return document_of_code()


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every operation."""
    for of in document["paths"].values():
        yield from of.values()


def is_file(media: str) -> bool:
    """Whether a content type is one that a document cannot show."""
    return media not in (JSON, "application/yaml", "application/sql", "application/x-ndjson") and "text/" not in media


def test_operation_ids_are_short_and_unique(document: dict[str, Any]) -> None:
    """`service.function`, so that a client's method is named by what it does."""
    ids = [operation["operationId"] for operation in operations(document)]

    assert len(ids) > 70
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if name.count(".") != 1 or len(name) > 50] == []


def test_every_operation_shows_its_request_and_each_success(document: dict[str, Any]) -> None:
    """Names the operations that examples.json of their service does not show: add them, then `make examples`."""
    missing = []
    for operation in operations(document):
        name = operation["operationId"]
        body = operation.get("requestBody", {}).get("content", {})
        if not all(map(is_file, body)) and not any("examples" in item for item in body.values()):
            missing.append(f"{name}: request body")
        if not operation.get("x-examples"):
            missing.append(f"{name}: any example")
        for status, response in operation["responses"].items():
            content = {media: item for media, item in response.get("content", {}).items() if not is_file(media)}
            if status[0] == "2" and content and not any(item.get("examples") for item in content.values()):
                missing.append(f"{name}: answer {status}")

    assert missing == []


def test_every_example_belongs_to_an_operation(document: dict[str, Any]) -> None:
    """An example whose operation was renamed would vanish from the document without a word."""
    there = {operation["operationId"] for operation in operations(document)}
    packages = [name.replace("-", "_") for name in SERVICES]
    named = {f"{package}.{item['operation']}" for package in packages for item in load_examples(package)["examples"]}

    assert named - there == set()


def test_every_parameter_and_operation_is_described(document: dict[str, Any]) -> None:
    """A reader knows what to put in."""
    silent = []
    for operation in operations(document):
        if not operation.get("summary") or not operation.get("description"):
            silent.append(operation["operationId"])
        silent += [
            f"{operation['operationId']} {parameter['name']}"
            for parameter in operation.get("parameters", ())
            if not parameter.get("description")
        ]

    assert silent == []


def test_every_error_is_listed_with_an_example_problem(document: dict[str, Any]) -> None:
    """Each status from 400 has its codes, each code a problem with that status; the gateway's own are everywhere."""
    wrong = []
    for operation in operations(document):
        responses = operation["responses"]
        wanted = {"502", "503", "504", "500", "400"} | ({"401", "429"} if operation["security"] else set())
        wanted |= {"413"} if "requestBody" in operation else set()
        wrong += [f"{operation['operationId']} lacks {status}" for status in sorted(wanted - responses.keys())]
        for status, response in responses.items():
            if status[0] in "45":
                shown = response["content"]["application/problem+json"]["examples"]
                assert sorted(shown) == sorted(response["x-codes"])
                for code, reference in shown.items():
                    problem = document["components"]["examples"][reference["$ref"].rpartition("/")[2]]["value"]
                    if (problem["code"], str(problem["status"])) != (code, status):
                        wrong.append(f"{operation['operationId']} {status} {code} shows {problem['status']}")

    assert wrong == []


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """No schema or example is named that is not there."""

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    missing = set()
    for reference in references(document):
        _, _, section, name = reference.split("/")
        if name not in document["components"][section]:
            missing.add(reference)

    assert missing == set()


def test_every_example_succeeds_and_its_answer_has_the_documented_shape(stage: Stage) -> None:
    """Played on a running platform: status and content type as written, every member known, every type right."""
    wrong = []
    document = stage.document()
    for item in dict.fromkeys(map(id, stage.played.values())):
        played = next(one for one in stage.played.values() if id(one) == item)
        name, example, answer = f"{played.operation}:{played.name}", played.example, played.answer
        media = answer.media if answer.content else None
        if (answer.status, media) != (example["status"], example.get("media")):
            wrong.append(f"{name}: {answer.status} {answer.media} {answer.content[:300].decode('utf-8', 'replace')}")
        elif example.get("media") == JSON:
            method, path = stage.addresses()[played.operation]
            response = document["paths"][path][method.lower()]["responses"][str(answer.status)]
            schema = response["content"][JSON]["schema"]
            wrong += [f"{name}: {fault}" for fault in faults(answer.json(), schema, document)]
        elif example.get("media"):
            assert answer.content, name

    assert wrong == []


def faults(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """Where a value differs from its schema, members that the schema does not know included."""
    whole = {**schema, "components": document["components"]}
    found = [f"{error.json_path} {error.message[:120]}" for error in Draft202012Validator(whole).iter_errors(value)]
    return found + list(unknown(value, schema, document, "$"))


def unknown(value: Any, schema: dict[str, Any], document: dict[str, Any], path: str) -> Iterator[str]:
    """Members of objects that their schemas do not name."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    known = schema.get("properties")
    if isinstance(value, dict) and known is not None:
        for name, item in value.items():
            if name not in known:
                yield f"{path}.{name} is not documented"
            else:
                yield from unknown(item, known[name], document, f"{path}.{name}")
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            yield from unknown(item, schema["items"], document, f"{path}[{number}]")


def test_a_changed_answer_is_noticed() -> None:
    """What the comparison is worth: a member gone, one more, another type, null where it never was."""
    schema = {
        "type": "object",
        "required": ["id", "rows"],
        "properties": {"id": {"type": "string"}, "rows": {"type": "array", "items": {"type": "integer"}}},
    }
    document: dict[str, Any] = {"components": {"schemas": {}}}

    assert faults({"id": "a", "rows": [1]}, schema, document) == []
    for changed in ({"id": "a"}, {"id": "a", "rows": [], "more": 1}, {"id": 1, "rows": []}, {"id": None, "rows": []}):
        assert faults(changed, schema, document) != []
