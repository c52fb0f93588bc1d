"""Languages, numbers and times: what a reader sees."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from service_portal.portal import formats, translations

PORTAL = Path(translations.__file__).parent
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def _texts_in_use() -> set[str]:
    found = set()
    for pattern, method in (("**.py", "python"), ("templates/**.html", "jinja2.ext:babel_extract")):
        options = {pattern: {"newstyle_gettext": "true", "trim_blocks": "true", "lstrip_blocks": "true"}}
        options[pattern]["extensions"] = "jinja2.ext.do"
        keywords = {"_": None, "mark": None}
        for entry in extract_from_dir(str(PORTAL), [(pattern, method)], options, keywords):
            message = entry[2][0] if isinstance(entry[2], tuple) else entry[2]
            if message and CHINESE.search(message):
                found.add(message)
    return found


def _catalogue() -> dict[str, str]:
    with translations.catalogue_path("en").open("rb") as file:
        return {str(entry.id): str(entry.string) for entry in read_po(file, locale="en") if entry.id}


def test_every_text_has_its_english_and_none_is_left_over() -> None:
    """The catalogue holds exactly the texts that templates and code use, each translated."""
    used, known = _texts_in_use(), _catalogue()
    assert len(used) > 300
    assert used - known.keys() == set()
    assert known.keys() - used == set()
    assert [text for text, english in known.items() if not english or CHINESE.search(english)] == []


def test_no_text_is_translated_twice() -> None:
    """Of two entries for one text readers would see either."""
    entries = re.findall(r'^msgid "(.+)"$', translations.catalogue_path("en").read_text(encoding="utf-8"), flags=re.M)
    assert sorted(text for text, times in Counter(entries).items() if times > 1) == []


def test_translations_keep_the_places_of_values() -> None:
    """A value that the Chinese text names is named in the English text too."""
    places = re.compile(r"%\((\w+)\)s")
    for text, english in _catalogue().items():
        assert set(places.findall(text)) == set(places.findall(english)), text


def test_no_chinese_stands_in_a_template_outside_a_translated_text() -> None:
    """Taking out the translated texts leaves no Chinese; language names and comments aside."""
    for template in (PORTAL / "templates").glob("*.html"):
        text = re.sub(r"""_\((["']).*?\1""", "", template.read_text(), flags=re.S).replace("中文", "")
        units = {"万元"}
        assert set(re.findall(r"[\u4e00-\u9fff]+", text)) <= units, template.name


@pytest.mark.parametrize(
    ("value", "locale", "shown"),
    [
        (12_864_000, "zh", ("1,286.4", "亿元")),
        (9_999, "zh", ("9,999", "万元")),
        (12_864_000, "en", ("128.64", "CNY bn")),
        (5_000, "en", ("50.0", "CNY m")),
        (-25_000, "zh", ("−2.5", "亿元")),
        (None, "zh", ("—", "亿元")),
    ],
)
def test_money_scales_with_its_unit(value: float | None, locale: str, shown: tuple[str, str]) -> None:
    """Amounts come in 万元: 12,864,000 万元 are 1,286.4 亿元 or 128.64 billion yuan."""
    assert tuple(formats.money(value, locale)) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(4_126_000, ("412.6", "万行")), (2_000, ("2,000", "行")), (0, ("0", "行")), (None, ("—", "行"))],
)
def test_counts_scale_to_wan(value: int | None, shown: tuple[str, str]) -> None:
    """412.6 万 as the visual rules write it; nothing is 0 only when it was counted."""
    assert tuple(formats.count(value, "行")) == shown


def test_units_of_columns_are_told_in_english() -> None:
    """A unit that has no English name here is shown as it is."""
    assert tuple(formats.count(6_100_000_000, "千瓦时", "en")) == ("6.1", "bn kWh")
    assert tuple(formats.count(5, "枚", "en")) == ("5", "枚")


def test_missing_is_a_dash_never_zero() -> None:
    """None, an empty text and NaN all show as missing."""
    for value in (None, "", float("nan")):
        assert formats.number(value) == "—"
        assert formats.percent(value) == "—"
        assert formats.size(value) == "—"
    assert formats.time(None) == "—"
    assert formats.number(0) == "0"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0000312, "0.000031"),
        (0.004, "0.0040"),
        (0.0123, "0.012"),
        (0.5, "0.500"),
        (3.14159, "3.14"),
        (1234.56, "1,234.6"),
    ],
)
def test_a_small_figure_does_not_look_like_zero(value: float, shown: str) -> None:
    """31 MB in TB keep two digits."""
    assert formats.number(value) == shown


def test_times_are_shown_in_china() -> None:
    """16:30 UTC on New Year's Eve is half past midnight in the new year."""
    assert formats.time("2025-12-31T16:30:00Z") == "2026-01-01 00:30"


def test_percent_changes_carry_their_sign() -> None:
    """A gain has a plus, a loss a minus sign."""
    assert formats.percent(0.072, signed=True) == "+7.2%"
    assert formats.percent(-0.041, signed=True) == "−4.1%"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(30, "刚刚"), (61, "1 分钟前"), (7_200, "2 小时前"), (200_000, "2 天前")]
)
def test_age_uses_the_largest_unit_that_fits(seconds: int, shown: str) -> None:
    """An hour is not sixty minutes ago."""
    now = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
    assert formats.ago(datetime.fromtimestamp(now.timestamp() - seconds, UTC), now) == shown


@pytest.mark.parametrize(("value", "shown"), [(999, "999 B"), (1_500, "1.5 KB"), (169_166_000, "169 MB")])
def test_sizes_use_decimal_units(value: int, shown: str) -> None:
    """One KB is 1,000 bytes."""
    assert formats.size(value) == shown
