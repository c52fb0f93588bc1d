"""The card of a component: what is accepted, and what is said of what is not."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from algorithm_dev.domain.card import CardInvalid, card_document, card_schema, parse_card, read_yaml
from algorithm_dev.domain.golden import compare_golden
from algorithm_dev.shipped import Shipped
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.algorithm_dev.cards import changed, small_card
from tests.algorithm_dev.running import run_shipped

USCC = "91370300MA3C00002Y"


def findings(document: Any) -> dict[str, str]:
    """What is wrong with a document, by field."""
    with pytest.raises(CardInvalid) as caught:
        parse_card(document)
    return dict(caught.value.findings)


def test_json_and_yaml_of_one_document_are_one_card() -> None:
    """The form of the document does not matter, and a card survives its own document."""
    document = small_card()
    card = parse_card(document)

    assert parse_card(json.dumps(document)) == card
    assert parse_card(json.dumps(document).encode()) == card
    assert parse_card(yaml.safe_dump(document, allow_unicode=True)) == card
    assert parse_card(card_document(card)) == card
    assert parse_card(json.dumps(card_document(card))) == card


def test_the_schema_in_the_package_is_what_the_code_checks() -> None:
    """`card.schema.json` is for other tools; it must not fall behind."""
    kept = json.loads(files("algorithm_dev.domain").joinpath("card.schema.json").read_text(encoding="utf-8"))

    assert kept == card_schema()


def test_the_example_of_the_how_to_is_a_card_that_runs() -> None:
    """Whoever copies it gets a component: the digest is that of the SQL shown, and its golden vector is met."""
    page = (Path(__file__).parents[3] / "docs/how-to/component-card.md").read_text(encoding="utf-8")
    statement = page.split("```sql\n", 1)[1].split("```", 1)[0].encode()
    card = parse_card(page.split("```yaml\n", 1)[1].split("```", 1)[0])
    vector = card.golden[0]

    assert hashlib.sha256(statement).hexdigest() == card.artefact("cost.sql").sha256
    assert len(statement) == card.artefact("cost.sql").size
    assert isinstance(vector.inputs, list)
    assert (
        compare_golden(vector, run_shipped(Shipped(card, {"cost.sql": statement}), vector.inputs, vector.parameters))
        == []
    )


def test_dates_in_yaml_stay_text() -> None:
    """YAML would read 2026-01-01 as a date; the card's rows hold JSON values."""
    text = yaml.safe_dump(small_card(), allow_unicode=True).replace("'2026-01-01'", "2026-01-01")
    card = parse_card(text)

    assert "2026-01-01\n" in text
    assert card.golden[0].inputs[0]["month"] == "2026-01-01"  # type: ignore[index]


def test_yaml_words_and_numbers_are_those_of_json() -> None:
    """`no`, `010`, `1:30` are text; 1e-05 is a number: YAML 1.1 reads all four otherwise."""
    assert read_yaml(b"{a: no, b: 010, c: 1:30, d: 1e-05, e: true, f: ~, g: -7, h: 2026-01-01, i: on}") == {
        "a": "no", "b": "010", "c": "1:30", "d": 1e-05, "e": True, "f": None, "g": -7, "h": "2026-01-01", "i": "on",
    }  # fmt: skip


WRONG = [
    ("name", "Power Cost", "name", "格式不符"),
    ("name", ..., "name", "缺少"),
    ("version", "1.0", "version", "格式不符"),
    ("version", "01.0.0", "version", "格式不符"),
    ("kind", "magic", "kind", "之一"),
    ("title", {"zh": "只有中文"}, "title.en", "缺少"),
    ("licence", "Free-1.0", "licence", "SPDX"),
    ("licence", "apache-2.0", "licence", "Apache-2.0"),
    ("owner", "91370300MA3C00002X", "owner", "校验位"),
    ("owner", "somebody", "owner", "统一社会信用代码"),
    ("colour", "red", "colour", "没有这个字段"),
    ("entry", "other.sql", "entry", "cost.sql"),
    ("artefacts.0.sha256", "abc", "artefacts[0].sha256", "格式不符"),
    ("artefacts.0.bytes", "many", "artefacts[0].bytes", "整数"),
    ("artefacts.0.path", "../cost.sql", "artefacts[0].path", "相对路径"),
    ("artefacts.0.path", "/cost.sql", "artefacts[0].path", "相对路径"),
    ("artefacts.0.path", "c:\\cost.sql", "artefacts[0].path", "相对路径"),
    ("artefacts.0.path", "model.pkl", "artefacts[0].path", "pickle"),
    ("artefacts", [], "artefacts", "至少 1 项"),
    ("signature.inputs.form", "table", "signature.inputs", "rows"),
    ("signature.inputs.schema.properties.kwh.unit", ..., "signature.inputs.schema.properties.kwh.unit", "单位"),
    ("signature.inputs.schema.properties.kwh.typ", 1, "signature.inputs.schema.properties.kwh.typ", "没有这个字段"),
    (
        "signature.inputs.schema.properties.kwh.minimum",
        "0",
        "signature.inputs.schema.properties.kwh.minimum",
        "应为数值",
    ),
    (
        "signature.inputs.schema.properties.kwh.maximum",
        -1,
        "signature.inputs.schema.properties.kwh.minimum",
        "大于上限",
    ),
    (
        "signature.inputs.schema.properties.KWH",
        {"type": ["string", "null"]},
        "signature.inputs.schema.properties",
        "两次",
    ),
    ("signature.inputs.schema.required", ["month", "day"], "signature.inputs.schema.required", "没有列 day"),
    ("signature.inputs.schema.required", [], "signature.inputs.schema.properties.month.type", "可空"),
    ("signature.inputs.order_by", ["day"], "signature.inputs.order_by", "没有列 day"),
    ("signature.inputs.max_rows", 0, "signature.inputs.max_rows", "不小于 1"),
    ("signature.parameters.0.default", 11, "signature.parameters.factor.default", "大于上限"),
    ("signature.parameters.0.default", "x", "signature.parameters.factor.default", "不是数值"),
    ("signature.parameters.0.unit", ..., "signature.parameters[0].unit", "单位"),
    ("signature.parameters.0.name", "kwh", "signature.parameters[0].name", "同名"),
    ("golden.0.inputs.0.kwh", "many", "golden[0].inputs[1].kwh", "不是数值"),
    ("golden.0.inputs.0.kwh", float("nan"), "golden[0].inputs[1].kwh", "NaN"),
    ("golden.0.inputs.0.day", 1, "golden[0].inputs[1].day", "没有这一列"),
    ("golden.0.inputs", [], "golden[0].inputs.rows", "至少要 1 行"),
    ("golden.0.outputs.0.cost", "60", "golden[0].outputs[1].cost", "不是数值"),
    ("golden.0.outputs.0.price", 1, "golden[0].outputs[1].price", "不是输出"),
    ("golden.0.outputs", [], "golden[0].outputs", "没有可比较的值"),
    ("golden.0.outputs", {"cost": [1]}, "golden[0].outputs", "形式"),
    ("golden.0.key", ["cost", "month", "day"], "golden[0].outputs[1].day", "key"),
    ("golden.0.parameters", {"factor": -1}, "golden[0].parameters.factor", "小于下限"),
    ("golden.0.tolerance.absolute", -1, "golden[0].tolerance.absolute", "不小于 0"),
    ("limits.memory_mb", 1, "limits.memory_mb", "不小于 16"),
    ("limits.time_s", float("inf"), "limits.time_s", "有限"),
]


@pytest.mark.parametrize(("place", "value", "field", "words"), WRONG, ids=[f"{w[0]}={w[1]!r:.20}" for w in WRONG])
def test_a_wrong_field_is_named_with_the_reason(place: str, value: Any, field: str, words: str) -> None:
    """The person who wrote the card finds the place and what to do."""
    found = findings(changed(place, value))

    assert field in found
    assert words in found[field]


def test_all_wrong_fields_come_at_once() -> None:
    """One round of mending is enough."""
    document = changed("licence", "Free-1.0")
    document["owner"] = "nobody"
    document["entry"] = "x"

    assert set(findings(document)) == {"licence", "owner", "entry"}


@pytest.mark.parametrize("licence", ["MIT", "MulanPSL-2.0", "Apache-2.0 OR MIT", "LicenseRef-Provincial"])
@pytest.mark.parametrize("owner", ["platform", USCC])
def test_spdx_licences_and_real_owners_are_accepted(licence: str, owner: str) -> None:
    """Single identifiers, expressions and own licences by SPDX."""
    card = parse_card(small_card() | {"licence": licence, "owner": owner})

    assert (card.licence, card.owner) == (licence, owner)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "键值"),
        ("[1, 2]", "键值"),
        ("{", "不是 JSON"),
        ("a: [", "不是 JSON"),
        ("a: &x 1\nb: *x", "别名"),
        ('{"name": "a", "name": "b"}', "两次"),
        ("name: a\nname: b", "两次"),
        ("[" * 100_000, "深"),
        ('{"a":' * 100_000, ""),
        ("{" + "1" * 10_000, "不是 JSON"),
        ('{"a": ' + "9" * 10_000 + "}", "不是 JSON"),
        ("a: " + "x" * (5 << 20), "字节"),
        (b"\xff\xfe\x00", ""),
    ],
)
def test_a_document_that_is_none_is_refused(text: str | bytes, words: str) -> None:
    """Broken, bomb-like and oversized documents end as CardInvalid, never as another error."""
    assert words in " ".join(findings(text).values())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(part: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    items: Any = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    return [path, *(deeper for key, value in items for deeper in places(value, (*path, key)))]


@given(st.sampled_from(places(small_card())), JSON)
@settings(max_examples=150, deadline=None)
def test_any_value_at_any_place_is_accepted_or_named(place: tuple[Any, ...], value: Any) -> None:
    """A card changed anywhere to anything gives a card or CardInvalid with findings that can be written as JSON."""
    document: Any = small_card()
    if place:
        part = document
        for step in place[:-1]:
            part = part[step]
        part[place[-1]] = value
    else:
        document = value if isinstance(value, dict) else {}
    found: list[tuple[str, str]] = []
    try:
        card = parse_card(document)
    except CardInvalid as error:
        found = error.findings or [("nothing", "told")]
    else:
        assert parse_card(card_document(card)) == card
    assert ("nothing", "told") not in found
    assert json.dumps(found, ensure_ascii=False).encode()
