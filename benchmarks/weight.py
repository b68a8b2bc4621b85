"""What a page weighs on the line: with all that it names on a first visit, and when it asks for itself again."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

from django.contrib.staticfiles import finders
from django.test import Client

FILE = re.compile(r'(?:href|src)="/static/([^"?]+)"')
IMPORT = re.compile(r"from '\./([\w.]+)'")
FIRST_VISIT_KB, REFRESH_KB = 150, 12


def first_visit_kb(client: Client, address: str) -> float:
    """The page and every file that it names, each packed by itself."""
    body = client.get(address).content
    files = {name for found in FILE.findall(body.decode()) for name in _with_imports(found)}
    return _packed_kb(body) + sum(_packed_kb(_read(name)) for name in files)


def refresh_kb(client: Client, address: str) -> float:
    """The page as it comes when it asks for itself and something changed: all its rows, and the counts around them."""
    return _packed_kb(client.get(address, headers={"X-Live": ""}).content)


def _with_imports(name: str) -> Iterator[str]:
    yield name
    if name.endswith(".js"):
        yield from (f"js/{other}" for other in IMPORT.findall(_read(name).decode()))


def _read(name: str) -> bytes:
    path = finders.find(name)
    if path is None:
        raise RuntimeError(f"{name} is named and not there")
    return Path(path).read_bytes()


def _packed_kb(body: bytes) -> float:
    return len(gzip.compress(body, 6)) / 1_000
