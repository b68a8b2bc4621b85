"""Writes docs/licences.md, the licences of every library in production; `--check` only says whether it is right.

A licence that was not agreed to stops it: a copyleft one would bind whoever passes the desk on.
"""

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

FILE = Path("docs/licences.md")
AGREED = ("MIT", "BSD", "Apache", "ISC", "PSF", "Python Software Foundation", "MPL", "Mozilla Public", "Unicode")
# Agreed to one by one: LGPL binds changes of the library itself, which we use as it is.
AGREED_ALONE = {"psycopg", "psycopg-binary", "psycopg-pool"}
HEAD = """# Licences

Every library that runs in production, as its own package names its licence. Written by `scripts/licences.py` from
`uv.lock`; `make audit` fails where this list is not right or a licence was not agreed to. Third-party files in
`static/vendor/` have their licences beside them.

| library | version | licence |
|---|---|---|
"""


def main():
    """Write, or compare."""
    text = HEAD + "".join(f"| {name} | {version} | {licence} |\n" for name, version, licence in sorted(libraries()))
    if "--check" not in sys.argv:
        FILE.write_text(text)
    elif not FILE.is_file() or FILE.read_text() != text:
        sys.exit("docs/licences.md is not right: run .venv/bin/python scripts/licences.py and look at what changed.")


def libraries():
    """Name, version and licence of each library that production needs here."""
    packages = {package["name"]: package for package in tomllib.loads(Path("uv.lock").read_text())["package"]}
    for name in sorted(needed(packages)):
        try:
            about = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system or Python than this one
        licence = licence_of(about)
        if name not in AGREED_ALONE and not licence.startswith(AGREED):
            sys.exit(f"The licence of {name} was not agreed to: {licence}. See scripts/licences.py.")
        yield name, packages[name]["version"], licence


def needed(packages):
    """Every package that the project's own dependencies lead to."""
    found, ahead = set(), [(each["name"], each.get("extra", [])) for each in packages["assetpay-admin"]["dependencies"]]
    while ahead:
        name, extras = ahead.pop()
        package = packages[name]
        parts = list(package.get("dependencies", [])) if name not in found else []
        parts += [part for extra in extras for part in package.get("optional-dependencies", {}).get(extra, [])]
        found.add(name)
        ahead += [(part["name"], part.get("extra", [])) for part in parts]
    return found


def licence_of(about):
    """What the package says: its expression, its classifiers, or the first line of its licence field."""
    if about.get("License-Expression"):
        return about["License-Expression"]
    classes = [each.rsplit(" :: ", 1)[-1] for each in about.get_all("Classifier", []) if each.startswith("License ::")]
    named = [re.sub(r" License$", "", each) for each in classes if each != "OSI Approved"]
    return ", ".join(named) or (about.get("License") or "not named").splitlines()[0][:80]


if __name__ == "__main__":
    main()
