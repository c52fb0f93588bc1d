"""Code types: the rules of the standards, and the same answer from Python and from SQL."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import pytest
from brain_contracts.codes import (
    CHECKS,
    LARGEST_SERIAL,
    SQL_CHECKS,
    USCC_ALPHABET,
    CodeInvalid,
    IndustryClassCode,
    RegionCode,
    Uscc,
    check_industry_class,
    check_month,
    check_region,
    check_uscc,
    industry_codes,
    industry_name,
    industry_path,
    make_uscc,
    organisation_check_holds,
    region_name,
    region_path,
    regions,
    uscc_check_digit,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

# Public codes of well-known companies, as they print them in their own notices.
REAL_USCCS = (
    "914403001922038216",
    "9144030071526726XG",
    "91330100799655058B",
    "91110000802100433B",
    "91110000710925462X",
    "91110108551385082Q",
    "91440400192548256N",
    "91440300192317458F",
    "91440606722473344C",
    "91440300100012316L",
    "91370200264574251E",
    "91310000132260250X",
    "91110000600037341L",
)


def accepts(check: Callable[[str], str], text: str) -> bool:
    """What the Python check says."""
    try:
        return check(text) == text
    except CodeInvalid:
        return False


def sql_accepts(kind: str, texts: list[str]) -> list[bool | None]:
    """What the SQL form says, as the push path asks it: over a column of many values."""
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE given AS SELECT unnest(?::VARCHAR[]) AS v, unnest(range(?)) AS n", [texts, len(texts)]
        )
        rows = connection.execute(f"SELECT {SQL_CHECKS[kind]('v')} FROM given ORDER BY n").fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize("uscc", REAL_USCCS)
def test_codes_of_real_companies_are_valid(uscc: str) -> None:
    """The check digit of GB 32100 holds for codes in use, and so does the organisation code in them."""
    assert check_uscc(uscc) == uscc
    assert organisation_check_holds(uscc)


@pytest.mark.parametrize("position", range(18))
def test_every_single_wrong_character_is_found(position: int) -> None:
    """Modulo 31 with weights that are no multiples of 31 finds each single substitution."""
    for uscc in REAL_USCCS:
        for character in set(USCC_ALPHABET) - {uscc[position]}:
            assert not accepts(check_uscc, uscc[:position] + character + uscc[position + 1 :])


def test_swapped_neighbours_are_found() -> None:
    """Neighbouring weights differ by a factor of three, so a swap of two different characters is found."""
    for uscc in REAL_USCCS:
        for position in range(8, 16):
            if uscc[position] != uscc[position + 1]:
                swapped = uscc[:position] + uscc[position + 1] + uscc[position] + uscc[position + 2 :]
                assert not accepts(check_uscc, swapped)


@pytest.mark.parametrize(
    ("text", "rule", "said"),
    [
        ("91440300192203821", "uscc_length", "现为 17 位"),
        ("91440300192203821I", "uscc_check_digit", "末位应为 6"),
        ("9144030019220382 6", "uscc_character", "第 17 位"),
        ("9144030O1922038216", "uscc_character", "'O'"),
        ("91440a001922038216", "uscc_character", "大写"),
        ("91４40300192203821６", "uscc_character", "第 3 位"),
    ],
)
def test_a_wrong_uscc_is_answered_with_the_rule_and_the_place(text: str, rule: str, said: str) -> None:
    """The error names the broken rule and says where."""
    with pytest.raises(CodeInvalid, match=said) as caught:
        check_uscc(text)
    assert caught.value.code == rule


def test_letters_in_the_region_part_are_refused_even_with_a_right_check_digit() -> None:
    """Characters 3 to 8 are the registering region, digits only."""
    first17 = "91A40300192203821"
    with pytest.raises(CodeInvalid) as caught:
        check_uscc(first17 + uscc_check_digit(first17))
    assert caught.value.code == "uscc_region"


@given(st.sampled_from(sorted(regions())), st.integers(0, LARGEST_SERIAL), st.sampled_from(["91", "11", "12", "93"]))
def test_made_codes_are_valid_in_both_check_digits(region: str, serial: int, registrar: str) -> None:
    """Generated organisations carry codes that any outside checker accepts."""
    uscc = make_uscc(region, serial, registrar=registrar)

    assert check_uscc(uscc).startswith(registrar + region)
    assert organisation_check_holds(uscc)


@given(st.sets(st.integers(0, LARGEST_SERIAL), min_size=2, max_size=50))
def test_different_serials_make_different_codes(serials: set[int]) -> None:
    """A serial is recoverable from its code, so no two serials collide."""
    assert len({make_uscc("370300", serial) for serial in serials}) == len(serials)


@pytest.mark.parametrize("serial", [-1, LARGEST_SERIAL + 1])
def test_a_serial_out_of_range_is_refused(serial: int) -> None:
    """Eight characters of thirty-one values each."""
    with pytest.raises(ValueError, match="serial must be"):
        make_uscc("370300", serial)


def test_regions_have_names_and_parents() -> None:
    """Counts of the standard: 16 cities and 136 counties in Shandong; names as published."""
    shandong = [entry.level for code, entry in regions().items() if code.startswith("37")]

    assert (shandong.count("city"), shandong.count("county")) == (16, 136)
    assert region_name("370302") == "淄川区"
    assert region_path("370302") == ["370000", "370300", "370302"]
    assert region_name("999999") == "999999"
    assert region_path("999999") == []


def test_an_unknown_region_is_answered_with_the_wider_one() -> None:
    """A county of another province is not in the list; its city is offered."""
    with pytest.raises(CodeInvalid, match="可写作 440300（深圳市）") as caught:
        check_region("440305")
    assert caught.value.code == "region_unknown"


def test_industry_classes_have_names_and_parents() -> None:
    """GB/T 4754-2017: 20 sections, 97 divisions, 473 groups; with and without the letter."""
    assert industry_name("C3421") == industry_name("3421") == "金属切削机床制造"
    assert industry_path("C3421") == ["C", "34", "342", "3421"]
    assert sum(len(code) == 1 for code in industry_codes()) == 20
    assert sum(len(code) == 2 for code in industry_codes()) == 97
    assert sum(len(code) == 3 and code.isdigit() for code in industry_codes()) == 473


def test_a_wrong_section_letter_is_answered_with_the_right_code() -> None:
    """3421 belongs to C 制造业."""
    with pytest.raises(CodeInvalid, match="应为 C3421") as caught:
        check_industry_class("A3421")
    assert caught.value.code == "industry_section"


def test_annotated_types_report_the_rule_in_words() -> None:
    """A pydantic model names field, words and rule."""

    class Firm(BaseModel):
        uscc: Uscc
        region: RegionCode
        industry: IndustryClassCode

    assert Firm(uscc=REAL_USCCS[0], region="370302", industry="C34").region == "370302"
    with pytest.raises(ValidationError) as caught:
        Firm(uscc="91", region="370302", industry="C34")
    (error,) = caught.value.errors()
    assert (error["loc"], error["ctx"]["rule"]) == (("uscc",), "uscc_length")
    assert "18 位" in error["msg"]


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-1", "2026-00", "0226-10", "2026-10\n", " 2026-10", "２０２６-10", "202610"]
)
def test_a_wrong_month_is_refused(text: str) -> None:
    """Only YYYY-MM with ASCII digits."""
    assert not accepts(check_month, text)
    assert sql_accepts("month", [text]) == [False]


SAMPLES = {
    "uscc": st.one_of(
        st.sampled_from(REAL_USCCS),
        st.builds(make_uscc, st.sampled_from(sorted(regions())), st.integers(0, LARGEST_SERIAL)),
        st.text(alphabet=USCC_ALPHABET, min_size=17, max_size=19),
        st.text(alphabet="0123456789", min_size=18, max_size=18),
    ),
    "region": st.one_of(
        st.sampled_from(sorted(regions())),
        st.integers(-99999, 999_999).map("{:06}".format),
        st.integers(370_000, 372_000).map(str),
    ),
    "industry_class": st.one_of(
        st.sampled_from(sorted(industry_codes())),
        st.builds("{}{}".format, st.sampled_from("ABCDEFGHIJKLMNOPQRSTUZ"), st.integers(0, 99_999)),
        st.integers(0, 9_999).map("{:04}".format),
        st.integers(0, 999).map("{:03}".format),
    ),
    "month": st.builds("{:04}-{:02}".format, st.integers(1800, 2300), st.integers(0, 14)),
}


@pytest.mark.parametrize("kind", sorted(CHECKS))
def test_python_and_sql_agree(kind: str) -> None:
    """The SQL form accepts exactly what the Python check accepts, over well-formed, nearly right and odd text."""
    samples = st.one_of(SAMPLES[kind], st.tuples(SAMPLES[kind], st.text(max_size=2)).map("".join), st.text(max_size=20))

    @settings(max_examples=40, deadline=None)
    @given(st.lists(samples, min_size=20, max_size=200))
    def agree(texts: list[str]) -> None:
        texts = [text for text in texts if "\0" not in text]
        assert sql_accepts(kind, texts) == [accepts(CHECKS[kind], text) for text in texts]

    agree()


@pytest.mark.parametrize("kind", sorted(CHECKS))
def test_every_known_code_is_accepted_in_sql(kind: str) -> None:
    """No entry of the lists is lost in the SQL form, and null is no code."""
    known = {
        "uscc": REAL_USCCS,
        "region": regions(),
        "industry_class": industry_codes(),
        "month": ["1900-01", "2199-12"],
    }

    assert sql_accepts(kind, sorted(known[kind])) == [True] * len(known[kind])
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {SQL_CHECKS[kind]('(NULL::VARCHAR)')} IS TRUE").fetchall() == [(False,)]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("region", "-70302"),
        ("region", "1e5000"),
        ("region", "99999999999999999999"),
        ("industry_class", "C99999999999999999"),
        ("industry_class", "34²"),
        ("industry_class", "CC34"),
        ("industry_class", ""),
        ("uscc", "😀" * 18),
    ],
)
def test_odd_text_is_refused_and_raises_nothing_in_sql(kind: str, text: str) -> None:
    """A push may hold anything; the check says no and the query lives."""
    assert sql_accepts(kind, [text]) == [False]
