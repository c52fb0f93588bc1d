"""The document of a service: errors read from the code, schemas that follow from examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from brain_kit.auth import CredentialsMissing
from brain_kit.openapi import takes
from brain_kit.openapi.examples import schema_of
from brain_kit.openapi.raised import Reader
from brain_kit.problems import Conflict, InvalidInput, NotFound


class Gone(NotFound):
    """There is no such thing."""

    code = "gone"


class Busy(Conflict):
    """Somebody else works on it."""

    code = "busy"


class Odd(InvalidInput):
    """The code is given when it is raised."""

    code = "odd"

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Never(InvalidInput):
    """Only caught, never made."""

    code = "never"


class Keeper:
    """Keeps things."""

    def find(self, name: str) -> str:
        """Raises Gone."""
        if not name:
            raise Gone(f"没有 {name}，共 {len(name)} 个")
        return self._checked(name)

    def _checked(self, name: str) -> str:
        if name == "odd":
            raise Odd("odd_name", "名字不对，请换一个")
        return name


def _held(busy: bool) -> Busy:
    return Busy("正被他人修改")


def route(keeper: Keeper) -> Callable[[str], str]:
    """An endpoint as services make them: a closure over its parts."""

    def endpoint(name: str) -> str:
        try:
            found = keeper.find(name)
        except Never:
            return ""
        if found == "held":
            raise _held(True)
        return found

    return endpoint


def test_errors_are_found_through_closures_methods_and_functions() -> None:
    """What is made anywhere on the way is named with status and sentence; what is only caught is not."""
    found = Reader().raised_by([route(Keeper())])

    assert {code: (item.status, item.detail) for code, item in found.items()} == {
        "busy": (409, "正被他人修改"),
        "gone": (404, "没有 {name}，共 {…} 个"),
        "odd": (422, "名字不对，请换一个"),
    }


def test_a_parameter_hides_a_global_and_its_annotation_speaks() -> None:
    """A parameter annotated with a class is followed as an object of it."""

    def endpoint(store: Keeper, Gone: str) -> str:  # noqa: N803 - hides the class on purpose
        return store._checked(Gone)

    assert list(Reader().raised_by([endpoint])) == ["odd"]


def test_errors_of_credentials_come_from_the_dependency() -> None:
    """The dependencies of a route are read like the route itself."""
    from brain_kit.auth import current_principal

    found = Reader().raised_by([route(Keeper()), current_principal])
    assert found[CredentialsMissing.code].status == 401


@pytest.mark.parametrize(
    ("examples", "schema"),
    [
        ([{"answer": {"n": 1}}], {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}),
        (
            [{"answer": [1, 2.5]}, {"answer": []}],
            {"type": "array", "items": {"type": "number"}},
        ),
        (
            [{"answer": {"a": "x", "b": None}}, {"answer": {"a": None}}],
            {"type": "object", "required": ["a"], "properties": {"a": {"type": ["string", "null"]}, "b": {}}},
        ),
        (
            [{"answer": {"items": [{"k": 1}], "next": "2"}, "free": ["items[]"]}],
            {
                "type": "object",
                "required": ["items", "next"],
                "properties": {
                    "items": {"type": "array", "items": {"type": "object", "additionalProperties": True}},
                    "next": {"type": ["string", "null"]},
                },
            },
        ),
        (
            [{"answer": {"v": 1}}, {"answer": {"v": "1"}}],
            {"type": "object", "required": ["v"], "properties": {"v": {}}},
        ),
    ],
)
def test_schemas_say_what_all_examples_have(examples: list[dict[str, Any]], schema: dict[str, Any]) -> None:
    """Required is what none lacks, null is what one showed, free is what the data decide."""
    assert schema_of(examples) == schema


def test_a_raw_body_names_its_content_types() -> None:
    """JSON is any value, texts are strings, the rest is binary."""
    content = takes("application/json", "text/csv", "application/pdf")["requestBody"]["content"]

    assert [item["schema"] for item in content.values()] == [
        {},
        {"type": "string"},
        {"type": "string", "format": "binary"},
    ]
