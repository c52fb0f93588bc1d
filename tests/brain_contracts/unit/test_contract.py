"""Contracts: reading documents of the standard, precise errors, round trip, and what a new version breaks."""

from __future__ import annotations

import re
import string
import time
from dataclasses import replace
from typing import Any

import pytest
import yaml
from brain_contracts.contract import (
    DUCKDB_TYPES,
    Column,
    ContractInvalid,
    DatasetContract,
    compare,
    contract_dict,
    contract_from,
    validated,
)
from brain_contracts.odcs import canonical_contracts, document_of, load_contract, to_yaml
from brain_contracts.rows import row_errors
from hypothesis import given, settings
from hypothesis import strategies as st

DOCUMENT = """
apiVersion: v3.1.0
kind: DataContract
id: enterprise.furnace
name: enterprise.furnace
version: 1.0.0
status: active
description: {purpose: Heats of electric furnaces.}
customProperties:
  - {property: warehouse, value: enterprise}
  - {property: library, value: scene}
  - {property: classification, value: 一般-3}
  - {property: access, value: owner}
  - {property: ownerColumn, value: uscc}
  - {property: titleZh, value: 电炉炉次}
  - {property: titleEn, value: furnace heats}
  - property: example
    value: {uscc: '914403001922038216', heat_no: H-0001, poured_on: 2026-10-01, steel_t: 61.5, grade: 优}
schema:
  - name: furnace
    logicalType: object
    properties:
      - name: heat_no
        logicalType: string
        primaryKey: true
        primaryKeyPosition: 2
        required: true
        logicalTypeOptions: {pattern: "H-[0-9]{4,8}", maxLength: 10}
      - name: uscc
        logicalType: string
        primaryKey: true
        primaryKeyPosition: 1
        required: true
        customProperties: [{property: codeType, value: uscc}, {property: titleZh, value: 统一社会信用代码}]
      - {name: poured_on, logicalType: date, required: true}
      - name: steel_t
        logicalType: number
        logicalTypeOptions: {minimum: 0, maximum: 400}
        customProperties: [{property: unit, value: 吨}]
      - name: grade
        logicalType: string
        customProperties: [{property: enum, value: [优, 良, 合格]}]
"""


def broken(old: str, new: str) -> list[tuple[str, str]]:
    """The errors that a document gets when one piece of it is replaced."""
    assert old in DOCUMENT
    with pytest.raises(ContractInvalid) as caught:
        load_contract(DOCUMENT.replace(old, new, 1))
    return caught.value.errors


def test_a_document_of_the_standard_becomes_a_contract() -> None:
    """Every part that the platform uses is read: key in its positions, rules, policy, example in JSON's forms."""
    contract = load_contract(DOCUMENT)

    assert (contract.name, contract.warehouse, contract.table) == ("enterprise.furnace", "enterprise", "furnace")
    assert (contract.access, contract.owner_column, contract.library) == ("owner", "uscc", "scene")
    assert contract.key == ("uscc", "heat_no")
    assert contract.column_names == ("heat_no", "uscc", "poured_on", "steel_t", "grade")
    assert contract.column("heat_no").pattern == "H-[0-9]{4,8}"
    assert contract.column("steel_t") == Column("steel_t", "number", unit="吨", minimum=0, maximum=400)
    assert contract.column("grade").enum == ("优", "良", "合格")
    assert contract.column("poured_on").duckdb_type == "DATE"
    assert contract.example["poured_on"] == "2026-10-01"


def test_the_enumeration_of_newer_editions_of_the_standard_is_read() -> None:
    """ODCS 3.2 gives properties an `enum` of their own."""
    text = DOCUMENT.replace(
        "customProperties: [{property: enum, value: [优, 良, 合格]}]", "enum: [{value: 优}, {value: 良}]"
    )

    assert load_contract(text).column("grade").enum == ("优", "良")


@pytest.mark.parametrize(
    ("old", "new", "field", "said"),
    [
        ("version: 1.0.0", "version: 1.0", "version", "加引号"),
        ("version: 1.0.0", "version: 'one'", "version", "主.次.修订"),
        ("apiVersion: v3.1.0", "apiVersion: v2.2.2", "apiVersion", "v3.1.0"),
        ("kind: DataContract", "kind: Table", "kind", "DataContract"),
        ("status: active", "statsu: active", "statsu", "标准中没有这个字段"),
        ("name: enterprise.furnace\nversion", "name: Furnace\nversion", "name", "<warehouse>.<dataset>"),
        ("value: enterprise}", "value: public}", "customProperties.warehouse", "前半一致"),
        ("value: 一般-3", "value: 机密", "customProperties.classification", "一般-1"),
        ("access, value: owner", "access, value: everyone", "customProperties.access", "open"),
        ("ownerColumn, value: uscc", "ownerColumn, value: owner", "customProperties.ownerColumn", "不在列中"),
        ("ownerColumn, value: uscc", "ownerColumn, value: heat_no", "customProperties.ownerColumn", "codeType uscc"),
        ("value: 电炉炉次", "value: 7", "customProperties.titleZh", "应为文本"),
        ("{name: poured_on, logicalType: date", "{logicalType: date", "schema.properties.2.name", "缺少列名"),
        ("poured_on, logicalType: date", "poured_on, logicalType: day", "schema.properties.poured_on", "date"),
        ("name: poured_on", "name: STEEL_T", "schema.properties.steel_t", "重复"),
        ("name: poured_on", "name: 浇注日期", "schema.properties.浇注日期", "字母"),
        ("minimum: 0, maximum: 400", "minimum: 500, maximum: 400", "schema.properties.steel_t", "大于 maximum"),
        ("minimum: 0, maximum: 400", "minimum: .inf", "schema.properties.steel_t.logicalTypeOptions.minimum", "应为数"),
        ("minimum: 0, maximum: 400", "minimum: zero", "schema.properties.steel_t.logicalTypeOptions.minimum", "应为数"),
        ("minimum: 0, maximum: 400", "maxLength: 4", "schema.properties.steel_t", "只用于 string"),
        ("value: uscc}, {prop", "value: passport}, {prop", "schema.properties.uscc", "codeType"),
        ("[优, 良, 合格]", "[优, 良, 1]", "schema.properties.grade.customProperties.enum", "加引号"),
        ("[优, 良, 合格]", "[优, 优]", "schema.properties.grade", "重复"),
        ("H-[0-9]{4,8}", "(?=H)", "schema.properties.heat_no", "RE2"),
        ("H-[0-9]{4,8}", "H-[", "schema.properties.heat_no", "RE2"),
        ("heat_no: H-0001", "heat_no: X", "customProperties.example.heat_no", "应符合"),
        ("steel_t: 61.5", "steel_t: 900", "customProperties.example.steel_t", "不应大于 400"),
        ("steel_t: 61.5", "steel_t: hot", "customProperties.example.steel_t", "应为 number"),
        ("grade: 优}", "grade: 差}", "customProperties.example.grade", "优、良、合格"),
        ("grade: 优}", "colour: red}", "customProperties.example.colour", "没有这一列"),
        ("poured_on: 2026-10-01, ", "", "customProperties.example.poured_on", "必填"),
        ("'914403001922038216'", "'914403001922038217'", "customProperties.example.uscc", "末位应为 6"),
    ],
)  # fmt: skip
def test_a_wrong_document_is_answered_with_the_field_and_what_to_do(old: str, new: str, field: str, said: str) -> None:
    """Each error names the field and the remedy; the error is the right one, not a consequence of it."""
    errors = broken(old, new)

    assert field in [name for name, _ in errors], errors
    assert said in dict(errors)[field]


def test_all_errors_are_told_at_once() -> None:
    """A person repairs a document in one go."""
    text = DOCUMENT.replace("value: 一般-3", "value: 机密").replace("access, value: owner", "access, value: all")
    with pytest.raises(ContractInvalid) as caught:
        load_contract(text)

    assert {"customProperties.classification", "customProperties.access"} <= {name for name, _ in caught.value.errors}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [",
        "- 1",
        "\0",
        b"\xff\xfe\x00",
        "!!python/object/apply:os.system [id]",
        "a: &x [1]\nb: *x",
        "a: " + "[" * 5000,
        "a: " + "{b: " * 60 + "1" + "}" * 60,
        "[" + "1," * 200_000 + "]",
        "x" * (1 << 21),
        DOCUMENT.replace("properties:", "properties: []\n    junk:", 1),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_documents_that_are_no_contract_are_refused_quickly(text: str | bytes) -> None:
    """Broken, hostile and huge documents end in ContractInvalid, in well under a few seconds."""
    started = time.monotonic()
    with pytest.raises(ContractInvalid):
        load_contract(text)
    assert time.monotonic() - started < 5


def test_a_billion_laughs_document_is_refused_before_it_unfolds() -> None:
    """Aliases are refused as such."""
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    with pytest.raises(ContractInvalid, match="别名"):
        load_contract("\n".join(lines))


def test_a_pattern_that_would_explode_by_backtracking_costs_nothing() -> None:
    """Patterns run in linear time: (a+)+$ against a long text that does not match."""
    text = DOCUMENT.replace("H-[0-9]{4,8}", "(a+)+b").replace("heat_no: H-0001", f"heat_no: {'a' * 40}")
    started = time.monotonic()
    with pytest.raises(ContractInvalid, match="应符合"):
        load_contract(text)
    assert time.monotonic() - started < 5


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "name",
                        "schema",
                        "properties",
                        "property",
                        "value",
                        "customProperties",
                        "enum",
                        "required",
                        "logicalTypeOptions",
                        "minimum",
                        "example",
                        "version",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ),
    st.data(),
)
@settings(max_examples=150, deadline=None)
def test_any_damage_to_a_document_is_a_contract_error(junk: Any, data: st.DataObject) -> None:
    """Whatever value stands in whatever place: a contract or ContractInvalid, never another error."""
    body = yaml.safe_load(DOCUMENT)
    place: Any = body
    for _ in range(data.draw(st.integers(1, 5))):
        inside = place.values() if isinstance(place, dict) else place
        nested = [item for item in inside if isinstance(item, dict | list) and item]
        if not nested:
            break
        place = data.draw(st.sampled_from(nested))
    place[data.draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))] = junk
    text = yaml.dump(body, Dumper=type("Plain", (yaml.SafeDumper,), {"ignore_aliases": lambda self, value: True}))
    try:
        contract = load_contract(text)
    except ContractInvalid:
        return
    assert load_contract(to_yaml(contract)) == contract


WORDS = st.text(string.ascii_letters + "中文数据 '\"-:#", max_size=12)
NAMES = st.from_regex(r"\A[a-z][a-z0-9_]{0,20}\Z")


@st.composite
def columns(draw: st.DrawFn) -> Column:
    """A column without a rule that an example would have to meet."""
    kind = draw(st.sampled_from(sorted(DUCKDB_TYPES)))
    limits = (
        draw(st.tuples(st.none() | st.integers(-9, 0), st.none() | st.integers(1, 9)))
        if kind in ("integer", "number")
        else (None, None)
    )
    return Column(
        name=draw(NAMES), logical_type=kind, title_zh=draw(WORDS), title_en=draw(WORDS), unit=draw(WORDS),
        description=draw(WORDS), enum=tuple(draw(st.sets(WORDS, max_size=3))) if kind == "string" else (),
        minimum=limits[0], maximum=limits[1],
        max_length=draw(st.none() | st.integers(1, 99)) if kind == "string" else None,
        classification=draw(st.none() | st.sampled_from(["一般-2", "重要"])),
    )  # fmt: skip


@st.composite
def contracts(draw: st.DrawFn) -> DatasetContract:
    """A sound contract: a key column that the example fills, and others."""
    others = draw(st.lists(columns(), max_size=6, unique_by=lambda column: column.name))
    key = Column("the_key", "string", required=True)
    warehouse = draw(st.sampled_from(["public", "industry", "enterprise"]))
    contract = DatasetContract(
        name=f"{warehouse}.{draw(NAMES)}", version="1.2.3", title_zh="数据 " + draw(WORDS), title_en=draw(WORDS),
        description=draw(WORDS), warehouse=warehouse, library="base", classification="一般-2",
        access=draw(st.sampled_from(["open", "government", "owner"])),
        columns=(key, *(column for column in others if column.name != "the_key")),
        key=("the_key",), owner=draw(WORDS), example={"the_key": "x"},
    )  # fmt: skip
    return validated(contract)


@given(contracts())
@settings(max_examples=60, deadline=None)
def test_a_contract_survives_being_written_and_read(contract: DatasetContract) -> None:
    """As YAML of the standard and as the plain data that a store keeps."""
    assert load_contract(to_yaml(contract)) == contract
    assert contract_from(yaml.safe_load(yaml.safe_dump(contract_dict(contract)))) == contract


@given(contracts(), contracts())
@settings(max_examples=60, deadline=None)
def test_rows_of_a_compatible_predecessor_are_still_valid(old: DatasetContract, new: DatasetContract) -> None:
    """What `compatible` promises to writers, on rows drawn from the old contract's example."""
    change = compare(old, new)

    assert change.compatible == all(item.compatible for item in change.changes)
    assert compare(old, old).changes == ()
    if change.compatible:
        assert row_errors(new, old.example) == []


def with_column(**changes: Any) -> DatasetContract:
    """The document's contract with its steel_t column changed."""
    contract = load_contract(DOCUMENT)
    columns = tuple(replace(item, **changes) if item.name == "steel_t" else item for item in contract.columns)
    return replace(contract, columns=columns)


@pytest.mark.parametrize(
    ("before", "after", "code", "compatible"),
    [
        ({"logical_type": "integer"}, {"logical_type": "number"}, "type_changed", False),
        ({"logical_type": "number"}, {"logical_type": "integer"}, "type_changed", False),
        ({"logical_type": "number"}, {"logical_type": "string"}, "type_changed", False),
        ({"required": True}, {"required": False}, "required_changed", True),
        ({"required": False}, {"required": True}, "required_changed", False),
        ({"minimum": 0}, {"minimum": -1}, "minimum_changed", True),
        ({"minimum": 0}, {"minimum": None}, "minimum_changed", True),
        ({"minimum": 0}, {"minimum": 1}, "minimum_changed", False),
        ({"minimum": None}, {"minimum": 0}, "minimum_changed", False),
        ({"maximum": 400}, {"maximum": 500}, "maximum_changed", True),
        ({"maximum": 400}, {"maximum": 300}, "maximum_changed", False),
        ({"enum": ("a",)}, {"enum": ("a", "b")}, "enum_widened", True),
        ({"enum": ("a",)}, {"enum": ()}, "enum_widened", True),
        ({"enum": ("a", "b")}, {"enum": ("b", "c")}, "enum_narrowed", False),
        ({"enum": ()}, {"enum": ("a",)}, "enum_narrowed", False),
        ({"pattern": "a"}, {"pattern": None}, "pattern_changed", True),
        ({"pattern": "a"}, {"pattern": "b"}, "pattern_changed", False),
        ({"max_length": 5}, {"max_length": 9}, "max_length_changed", True),
        ({"max_length": 5}, {"max_length": 4}, "max_length_changed", False),
        ({"unit": "吨"}, {"unit": "千克"}, "unit_changed", False),
        ({"title_zh": "钢"}, {"title_zh": "钢水"}, "text_changed", True),
    ],
)
def test_a_changed_column_is_told_compatible_or_breaking(
    before: dict[str, Any], after: dict[str, Any], code: str, compatible: bool
) -> None:
    """One change, its stable code, and whether readers and writers of the old version still work."""
    change = compare(with_column(**before), with_column(**after))

    assert [(item.code, item.compatible) for item in change.changes] == [(code, compatible)]
    assert "steel_t" in change.changes[0].text


@pytest.mark.parametrize(
    ("changes", "code", "compatible"),
    [
        ({"access": "open"}, "access_widened", False),
        ({"classification": "重要"}, "classification_raised", True),
        ({"classification": "一般-1"}, "classification_lowered", False),
        ({"key": ("uscc",)}, "key_changed", False),
        ({"owner_column": None}, "owner_column_changed", False),
        ({"title_zh": "炉次"}, "text_changed", True),
    ],
)
def test_a_changed_policy_is_told_compatible_or_breaking(changes: dict[str, Any], code: str, compatible: bool) -> None:
    """Making rows visible to more people is never a detail."""
    contract = load_contract(DOCUMENT)
    change = compare(contract, replace(contract, **changes))

    assert [(item.code, item.compatible) for item in change.changes] == [(code, compatible)]


def test_added_and_removed_columns_are_told_apart() -> None:
    """Optional new columns are fine; required ones and removals break; a rename is a removal and an addition."""
    contract = load_contract(DOCUMENT)
    optional = replace(contract, columns=(*contract.columns, Column("furnace_no", "string")))
    required = replace(contract, columns=(*contract.columns, Column("furnace_no", "string", required=True)))
    renamed = replace(
        contract, columns=tuple(replace(c, name="steel_kg") if c.name == "steel_t" else c for c in contract.columns)
    )

    assert compare(contract, optional).compatible
    assert not compare(contract, required).compatible
    assert [item.code for item in compare(contract, renamed).changes] == ["column_removed", "column_added"]
    assert not compare(contract, renamed).compatible


@pytest.mark.parametrize("name", sorted(canonical_contracts()))
def test_canonical_contracts_follow_the_standard_and_their_own_rules(name: str) -> None:
    """The shipped documents pass what an operator's document must pass, and are written as we write them."""
    contract = canonical_contracts()[name]

    assert load_contract(to_yaml(contract)) == contract
    assert contract.key
    assert contract.title_en
    assert contract.description
    assert contract.owner
    assert all(column.title_zh and column.title_en for column in contract.columns)
    assert set(contract.key) <= set(contract.example)
    assert document_of(contract)["id"] == name


def test_canonical_contracts_say_what_they_hold_in_both_languages() -> None:
    """Chinese pages show the one, English pages the other."""
    for name, contract in canonical_contracts().items():
        assert re.search(r"[\u4e00-\u9fff]", contract.description), name
        assert contract.description_en, name
        assert "\u3002" not in contract.description_en, name


def test_canonical_contracts_cover_the_industry_model() -> None:
    """The data sets that the first journey and the indicators of requirement D11 need."""
    named = [
        "enterprise.enterprise_monthly", "enterprise.meter_15min", "industry.chain_edge", "industry.chain_node",
        "industry.financing", "industry.platform_scene", "industry.product", "public.cdo_pilot", "public.dcmm_level",
        "public.energy_monthly", "public.enterprise", "public.holding", "public.honour", "public.listed_firm",
        "public.park", "public.patent", "public.project", "public.rd_platform", "public.region_yearly",
        "public.registration_change", "public.standard_participation", "public.talent",
    ]  # fmt: skip

    assert sorted(canonical_contracts()) == named
    assert canonical_contracts()["enterprise.enterprise_monthly"].key == ("uscc", "month")


def test_rows_of_enterprises_are_never_open() -> None:
    """What an enterprise pushes of itself is its own; only data without business figures is open to everybody."""
    found = canonical_contracts()
    open_sets = {name for name, contract in found.items() if contract.access == "open"}

    assert open_sets == {
        "industry.chain_node", "industry.chain_edge", "public.park", "industry.platform_scene",
        "public.standard_participation", "public.region_yearly",
    }  # fmt: skip
    for name, contract in found.items():
        if name.startswith("enterprise."):
            assert (contract.access, contract.owner_column) == ("owner", "uscc")
