"""Renders templates: one Jinja environment per language, formats as filters, static addresses, inline drawings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined
from jinja2.utils import missing
from markupsafe import Markup

from service_portal.portal import drawings, formats, vocabulary
from service_portal.portal.files import StaticFiles
from service_portal.portal.translations import LOCALES, Translations, load

TEMPLATES = Path(__file__).resolve().parent / "templates"
EXTENSIONS = ["jinja2.ext.i18n", "jinja2.ext.do"]


class Absent(Undefined):
    """A member that an API left out is empty; a name that a template misspells still raises."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Undefined:  # type: ignore[misc]
        """Strict for names, lenient for members of an object."""
        owner = kwargs.get("obj", args[1] if len(args) > 1 else missing)
        return StrictUndefined(*args, **kwargs) if owner is missing else super().__new__(cls)


class Pages:
    """The templates in every language."""

    def __init__(self, files: StaticFiles) -> None:
        self.translations: dict[str, Translations] = {locale: load(locale) for locale in LOCALES}
        self._environments = {locale: self._environment(locale, files) for locale in LOCALES}

    def _environment(self, locale: str, files: StaticFiles) -> Environment:
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            extensions=EXTENSIONS,
            autoescape=True,
            undefined=Absent,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        translations = self.translations[locale]
        environment.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
        environment.globals.update(
            static=files.url, locale=locale, draw=drawings, words=vocabulary, release=files.release
        )
        environment.filters.update(
            number=formats.number,
            count=lambda value, unit="": formats.count(value, unit, locale),
            money=lambda value: formats.money(value, locale),
            percent=formats.percent,
            size=formats.size,
            time=formats.time,
            ago=lambda value, now: formats.ago(value, now, locale),
            missing=formats.is_missing,
            island=island,
            t=translations.gettext,
        )
        return environment

    def render(self, locale: str, template: str, **context: Any) -> str:
        """The page as text. A name that the template needs and does not get raises UndefinedError."""
        return self._environments[locale].get_template(template).render(**context)


def island(value: Any) -> Markup:
    """JSON for a `<script type="application/json">`: the text cannot end the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704
