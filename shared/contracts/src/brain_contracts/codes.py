"""Codes of the field as validated types, in Python and as DuckDB SQL.

USCC 统一社会信用代码: GB 32100-2015, 18 characters, weighted check digit modulo 31.
Region 行政区划: GB/T 2260, six digits. Industry class 国民经济行业分类: GB/T 4754-2017, a section letter or 2-4 digits.
The SQL forms are expressions over a column; they are true for a valid value and never raise.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import AfterValidator

USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
MONTH = re.compile(r"^[0-9]{4}-(0[1-9]|1[0-2])$")
INDUSTRY_CLASS = re.compile(r"^[A-T]?[0-9]{2,4}$|^[A-T]$")


class CodeInvalid(ValueError):
    """A code does not follow its standard; the text says how."""


def uscc_check_digit(first17: str) -> str:
    """The 18th character of a USCC. Raises CodeInvalid on a character outside the alphabet."""
    total = 0
    for character, weight in zip(first17, USCC_WEIGHTS, strict=True):
        value = USCC_ALPHABET.find(character)
        if value < 0:
            raise CodeInvalid(f"统一社会信用代码不含字符 {character!r}（不用 I O S V Z 和小写）")
        total += value * weight
    return USCC_ALPHABET[(31 - total % 31) % 31]


def check_uscc(text: str) -> str:
    """The same text when it is a valid USCC. Raises CodeInvalid saying what is wrong."""
    if len(text) != 18:
        raise CodeInvalid(f"统一社会信用代码应为 18 位，现为 {len(text)} 位")
    if not text[2:8].isdigit():
        raise CodeInvalid("统一社会信用代码第 3 至 8 位应为行政区划数字")
    expected = uscc_check_digit(text[:17])
    if text[17] != expected:
        raise CodeInvalid(f"统一社会信用代码校验位不对：末位应为 {expected}，现为 {text[17]}")
    return text


def make_uscc(region: str, serial: int, *, registrar: str = "91") -> str:
    """A well-formed USCC for generated organisations.

    registrar: department and kind, such as 91 for enterprises. serial: 0 to 36**8 - 1, becomes digits 9 to 16.
    """
    if not 0 <= serial < len(USCC_ALPHABET) ** 8:
        raise ValueError("serial out of range")
    digits = ""
    for _ in range(8):
        serial, rest = divmod(serial, len(USCC_ALPHABET))
        digits = USCC_ALPHABET[rest] + digits
    subject = digits + _organisation_check(digits)
    first17 = f"{registrar}{region}{subject}"
    return first17 + uscc_check_digit(first17)


def _organisation_check(digits: str) -> str:
    """The check character of an organisation code (GB 11714-1997), characters 9 to 17 of a USCC.

    An X stands for ten there, which the USCC's own alphabet holds as well.
    """
    values = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    total = sum(
        values.index(character) * weight for character, weight in zip(digits, (3, 7, 9, 10, 5, 8, 4, 2), strict=True)
    )
    rest = 11 - total % 11
    return "X" if rest == 10 else "0" if rest == 11 else str(rest)


def check_region(text: str) -> str:
    """The same text when it is a six-digit GB/T 2260 code of a known province. Raises CodeInvalid."""
    if not re.fullmatch(r"[0-9]{6}", text):
        raise CodeInvalid("行政区划代码应为 6 位数字（GB/T 2260），如 370303")
    if text not in regions():
        raise CodeInvalid(f"行政区划代码 {text} 不在 GB/T 2260 中（省、市，山东到县）")
    return text


def check_industry_class(text: str) -> str:
    """The same text when it is a GB/T 4754-2017 code. Raises CodeInvalid."""
    if text not in industry_codes():
        raise CodeInvalid(f"行业代码 {text} 不在 GB/T 4754-2017 中，如 C、34、345、3451 或 C3451")
    return text


def check_month(text: str) -> str:
    """The same text when it is a month YYYY-MM. Raises CodeInvalid."""
    if not MONTH.match(text):
        raise CodeInvalid("月份应写作 YYYY-MM，如 2026-10")
    return text


Uscc = Annotated[str, AfterValidator(check_uscc)]
RegionCode = Annotated[str, AfterValidator(check_region)]
IndustryClassCode = Annotated[str, AfterValidator(check_industry_class)]
Month = Annotated[str, AfterValidator(check_month)]
CHECKS: dict[str, Callable[[str], str]] = {
    "uscc": check_uscc,
    "region": check_region,
    "industry_class": check_industry_class,
    "month": check_month,
}


def regions() -> dict[str, tuple[str, str, str]]:
    """Code to (name, level, parent): all provinces and cities, Shandong's counties."""
    return _table("gbt2260_cn_province_city.csv") | _table("gbt2260_shandong.csv")


def region_name(code: str) -> str:
    """The name of a region, the code itself when it is not known."""
    return regions().get(code, (code,))[0]


def industry_classes() -> dict[str, tuple[str, str, str]]:
    """Code to (name, level, parent) of GB/T 4754-2017."""
    return _table("gbt4754_2017.csv")


def industry_name(code: str) -> str:
    """The name of an industry class with or without its section letter, the code itself when it is not known."""
    known = industry_classes()
    return known.get(code, known.get(code[1:], (code,)))[0]


@cache
def industry_codes() -> frozenset[str]:
    """Every way to write an industry class: `C`, `34`, `345`, `3451`, and with the section letter before digits."""
    known = industry_classes()
    return frozenset(known) | {f"{_section(code, known)}{code}" for code in known if code.isdigit()}


def _section(code: str, known: dict[str, tuple[str, str, str]]) -> str:
    while code in known and not code.isalpha():
        code = known[code][2]
    return code


@cache
def _table(name: str) -> dict[str, tuple[str, str, str]]:
    text = files("brain_contracts").joinpath("data", name).read_text(encoding="utf-8-sig")
    return {row["code"]: (row["name"], row["level"], row["parent"]) for row in csv.DictReader(text.splitlines())}


def uscc_sql(column: str) -> str:
    """A DuckDB expression: the column holds a valid USCC. Pure arithmetic, so that a million rows cost little."""
    total = " + ".join(
        f"(strpos('{USCC_ALPHABET}', {column}[{position}]) - 1) * {weight}"
        for position, weight in enumerate(USCC_WEIGHTS, 1)
    )
    last = f"'{USCC_ALPHABET}'[1 + (31 - ({total}) % 31) % 31]"
    shape = f"regexp_full_match({column}, '[{USCC_ALPHABET}]{{2}}[0-9]{{6}}[{USCC_ALPHABET}]{{10}}')"
    return f"({shape} AND {column}[18] = {last})"


def region_sql(column: str) -> str:
    """A DuckDB expression: the column holds a known region."""
    return _member_sql(column, regions())


def industry_class_sql(column: str) -> str:
    """A DuckDB expression: the column holds a known industry class."""
    return _member_sql(column, industry_codes())


def month_sql(column: str) -> str:
    """A DuckDB expression: the column holds a month YYYY-MM."""
    return f"regexp_full_match({column}, '[0-9]{{4}}-(0[1-9]|1[0-2])')"


SQL_CHECKS: dict[str, Callable[[str], str]] = {
    "uscc": uscc_sql,
    "region": region_sql,
    "industry_class": industry_class_sql,
    "month": month_sql,
}


def _member_sql(column: str, codes: Iterable[str]) -> str:
    # Codes are letters and digits of our own package data, so they need no escaping.
    return f"{column} IN ({', '.join(repr(code) for code in sorted(codes))})"
