"""A language that nobody speaks: every text of the catalogues between brackets, so that one which is in none shows."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from django.utils.translation import trans_real

from scripts.messages import gathered

LANGUAGE = "xx"
OPEN, SHUT = "⟦", "⟧"
# What comes from outside or is written in no language: ids, names, what somebody typed, code, keys, full times.
DATA = frozenset({"bdi", "code", "pre", "kbd", "script", "style", "svg"})
VOID = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})
SPOKEN = frozenset({"aria-label", "placeholder", "alt", "data-label"})
# Names, units that are the same everywhere, and amounts.
NO_WORDS = re.compile(r"AssetPay Admin|SHA-256|HTTP|UTC|\S+@\S+|English|&\w+;")
LETTER = re.compile(r"[^\W\d_]")


def write_catalogue(folder: Path) -> None:
    """The catalogue of this language, compiled, as a folder of LOCALE_PATHS."""
    place = folder / LANGUAGE / "LC_MESSAGES"
    place.mkdir(parents=True)
    catalogue = Catalog(charset="utf-8", fuzzy=False)
    for message in gathered():
        if message.id:
            one_or_more = message.id if isinstance(message.id, tuple) else (message.id,)
            marked = tuple(marked_text(text) for text in one_or_more)
            catalogue.add(message.id, marked if isinstance(message.id, tuple) else marked[0], flags=message.flags)
    with (place / "django.mo").open("wb") as target:
        write_mo(target, catalogue)


def marked_text(text: str) -> str:
    """A text of the catalogue in this language."""
    return f"{OPEN}{text}{SHUT}"


def mark_libraries() -> None:
    """What Django and the libraries say has catalogues of its own; whatever German has counts as translated."""
    ours = trans_real.translation(LANGUAGE)._catalog
    known = {}
    for catalogue in trans_real.translation("de")._catalog._catalogs:
        for key in catalogue:
            text = key[0] if isinstance(key, tuple) else key
            known[key] = marked_text(text.rpartition("\x04")[2]) if text else ""
    ours._catalogs.append(known)
    ours._plurals.append(ours._plurals[0])


class Reader(HTMLParser):
    """Reads a page as a person does, and keeps every word that stands outside the brackets."""

    def __init__(self, data: frozenset[str] = frozenset()) -> None:
        super().__init__(convert_charrefs=True)
        self.data = data
        self.path: list[tuple[str, bool]] = []
        self.depth = 0
        self.untranslated: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """What is read out, or stands in a field, is text too."""
        given = dict(attrs)
        for name in SPOKEN & given.keys():
            self.untranslated += left_of(str(given[name] or ""), self.data, where=f"{name}=")
        if tag not in VOID:
            is_full_time = tag == "time" and "data-relative" not in given and "data-cancellable-from" not in given
            self.path.append((tag, tag in DATA or is_full_time))

    def handle_endtag(self, tag: str) -> None:
        """An element that its parent closes has ended with it."""
        while self.path:
            if self.path.pop()[0] == tag:
                break

    def handle_data(self, text: str) -> None:
        """A text may hold elements, so its brackets may open and shut in different ones."""
        outside = ""
        for sign in text:
            self.depth += (sign == OPEN) - (sign == SHUT)
            if not self.depth and sign != SHUT:
                outside += sign
        if not any(is_data for _tag, is_data in self.path):
            self.untranslated += left_of(outside, self.data, where=f"<{self.path[-1][0] if self.path else ''}> ")


def left_of(text: str, data: frozenset[str], *, where: str) -> Iterator[str]:
    """The text, with its place, where it holds words that are in no language's catalogue."""
    bare = re.sub(f"{OPEN}[^{OPEN}{SHUT}]*{SHUT}", "", text)
    while bare != text:
        text, bare = bare, re.sub(f"{OPEN}[^{OPEN}{SHUT}]*{SHUT}", "", bare)
    for known in sorted(data, key=len, reverse=True):
        bare = bare.replace(known, "")
    if LETTER.search(NO_WORDS.sub("", bare)):
        yield f"{where}{' '.join(text.split())[:200]}"


def untranslated(page: str, data: frozenset[str] = frozenset()) -> list[str]:
    """Every text of a page that is not translated and is no data."""
    reader = Reader(data)
    reader.feed(page)
    assert reader.depth == 0, "a text was cut in two"
    return reader.untranslated
