"""Compares static/vendor with its list of hashes, SHA256SUMS; without `--check` the list is written anew.

A third-party file that changed unseen would run in every agent's browser.
"""

import hashlib
import sys
from pathlib import Path

FOLDER = Path("static/vendor")
LIST = FOLDER / "SHA256SUMS"


def main():
    """Write, or compare and name each file that differs."""
    files = sorted(path for path in FOLDER.rglob("*") if path.is_file() and path != LIST and path.name != "README.md")
    found = {str(path.relative_to(FOLDER)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    if "--check" not in sys.argv:
        LIST.write_text("".join(f"{digest}  {name}\n" for name, digest in found.items()))
        return
    listed = dict(reversed(line.split("  ", 1)) for line in LIST.read_text().splitlines())
    wrong = sorted(name for name in listed.keys() | found.keys() if listed.get(name) != found.get(name))
    folders = {name.split("/")[0] for name in found}
    unnamed = sorted(folder for folder in folders if f"`{folder}/`" not in (FOLDER / "README.md").read_text())
    if wrong:
        sys.exit(f"Not as static/vendor/SHA256SUMS says: {', '.join(wrong)}. Meant so? python scripts/vendored.py")
    if unnamed:
        sys.exit(f"static/vendor/README.md lacks the version and licence of: {', '.join(unnamed)}.")


if __name__ == "__main__":
    main()
