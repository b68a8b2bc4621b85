"""`python -m benchmarks --items 1000000`: fills an empty DATABASE_URL with data, measures, prints one table."""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")


def main() -> int:
    """Build, measure, report."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument(
        "--only", default="", help="comma-separated: pages, growth, intake, rival, live, export, start, servers, audit"
    )
    parser.add_argument("--to", type=Path, default=Path("var/bench"))
    options = parser.parse_args()

    import django  # noqa: PLC0415 # settings come first

    django.setup()

    from benchmarks.run import run  # noqa: PLC0415 # as above

    sys.stdout.write(run(items=options.items, only=set(filter(None, options.only.split(","))), folder=options.to))
    return 0


if __name__ == "__main__":
    sys.exit(main())
