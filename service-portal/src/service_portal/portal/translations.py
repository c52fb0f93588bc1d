"""Languages of the portal. Chinese is the source; English comes from the catalogue in locale/.

The .po file is read at start: no compile step can be forgotten.
"""

from __future__ import annotations

import gettext
from collections.abc import Callable
from pathlib import Path

LOCALES = ("zh", "en")
LOCALE_FOLDER = Path(__file__).resolve().parent / "locale"


class Translations(gettext.NullTranslations):
    """Looks texts up in a catalogue; a text without translation shows in Chinese."""

    def __init__(self, texts: dict[str, str]) -> None:
        super().__init__()
        self._texts = texts

    def gettext(self, message: str) -> str:
        """The text in this language."""
        return self._texts.get(message) or message

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """The text in this language; the portal's texts avoid plural forms."""
        return self.gettext(msgid1 if n == 1 else msgid2)


def catalogue_path(locale: str) -> Path:
    """Where the catalogue of a language lies."""
    return LOCALE_FOLDER / locale / "LC_MESSAGES" / "portal.po"


def load(locale: str) -> Translations:
    """The translations of a language of LOCALES; Chinese needs no catalogue."""
    path = catalogue_path(locale)
    if locale == "zh" or not path.exists():
        return Translations({})
    from babel.messages.pofile import read_po

    with path.open("rb") as file:
        catalogue = read_po(file, locale=locale)
    return Translations({str(entry.id): str(entry.string) for entry in catalogue if entry.id and entry.string})


def mark(text: str) -> str:
    """Mark a Chinese text for the catalogue where it is written but translated later."""
    return text


Translate = Callable[[str], str]
