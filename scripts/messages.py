"""The catalogue of texts: gathers them into locale/django.pot, brings each language up to it, and compiles it.

    python scripts/messages.py            writes
    python scripts/messages.py --check    says what is not as it should be, and changes nothing

A new language is a folder: `mkdir -p locale/pt/LC_MESSAGES`, then this, then its django.po is filled in. Babel does
it all, so that no machine needs GNU gettext.
"""

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

PROJECT = Path(__file__).resolve().parent.parent
LOCALE = PROJECT / "locale"
TEMPLATE = LOCALE / "django.pot"
# With its comma: the plural's second text stands behind the first.
KEYWORDS = {
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "_": None,
}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w*\}")


def texts() -> Iterator[tuple[str | tuple[str, ...], str]]:
    """Every text that is marked for translation, with the file that it stands in."""
    for path in sorted((PROJECT / "withdrawals").rglob("*.py")):
        yield from _marked(path.read_text(), path)
    for path in sorted((PROJECT / "templates").rglob("*.html")):
        # What is no text becomes a row of X; its indentation would confuse a reader of Python.
        python = templatize(path.read_text(), origin=str(path))
        yield from _marked("\n".join(line.strip() for line in python.splitlines()), path)


def _marked(source: str, path: Path) -> Iterator[tuple[str | tuple[str, ...], str]]:
    for _line, message, _comments, _context in extract("python", io.BytesIO(source.encode()), keywords=KEYWORDS):
        yield message, str(path.relative_to(PROJECT))


def gathered() -> Catalog:
    """The catalogue as the sources have it, in the order of the texts, without places that every change would move."""
    found = Catalog(project="AssetPay Admin", charset="utf-8", fuzzy=False)
    for message, _place in sorted(texts(), key=str):
        found.add(message)
    return found


def text_of(catalogue: Catalog) -> bytes:
    """A catalogue as it is written."""
    target = io.BytesIO()
    write_po(target, catalogue, width=120, no_location=True, omit_header=catalogue.locale is None, sort_output=True)
    return target.getvalue()


def problems_of(catalogue: Catalog) -> Iterator[str]:
    """What a language lacks, and what would break a page: a text that does not fill in what the source fills in."""
    for message in catalogue:
        if not message.id:
            continue
        sources = message.id if isinstance(message.id, tuple) else (message.id,)
        written = message.string if isinstance(message.string, tuple) else (message.string,)
        if message.fuzzy or not all(written):
            yield f"not translated: {sources[0]}"
        # The singular may do without its number.
        elif any(set(PLACEHOLDER.findall(text)) - set(PLACEHOLDER.findall(sources[-1])) for text in written):
            yield f"fills in what is not there: {sources[0]}"
        elif set(PLACEHOLDER.findall(written[-1])) != set(PLACEHOLDER.findall(sources[-1])):
            yield f"leaves something out: {sources[0]}"


def main(arguments: list[str]) -> int:
    """0 where all is well or was written."""
    only_checks = "--check" in arguments
    source = gathered()
    files = {TEMPLATE: text_of(source)}
    problems = []
    for folder in sorted(LOCALE.glob("*/LC_MESSAGES")):
        place = folder / "django.po"
        known = place.read_bytes() if place.exists() else b""
        catalogue = read_po(io.BytesIO(known), locale=folder.parent.name)
        catalogue.update(source, no_fuzzy_matching=True)
        catalogue.obsolete.clear()
        compiled = io.BytesIO()
        write_mo(compiled, catalogue)
        files |= {place: text_of(catalogue), folder / "django.mo": compiled.getvalue()}
        problems += [f"{place.relative_to(PROJECT)}: {problem}" for problem in problems_of(catalogue)]
    for place, content in files.items():
        if only_checks and (not place.exists() or place.read_bytes() != content):
            problems.append(f"{place.relative_to(PROJECT)} is not what the sources say: run scripts/messages.py")
        elif not only_checks:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
