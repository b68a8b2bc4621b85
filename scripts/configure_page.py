"""Writes docs/configure.md from .env.example; `--check` only says whether it is right."""

import re
import sys
from pathlib import Path

FILE = Path("docs/configure.md")
HEAD = """# Settings

Read from the environment, or from the file that `ENV_FILE` names (`.env` by default); the environment wins. A value
that cannot work stops every process at its start with one line that names the setting. What is secret may lie in a
file of its own, as orchestrators mount it: `SECRET_KEY_FILE=/run/secrets/secret_key`; that goes for `SECRET_KEY`,
`MFA_SEED_KEY`, `DATABASE_URL`, `ASSETPAY_API_KEY`, `ASSETPAY_API_SECRETS`, `METRICS_TOKEN`, `SENTRY_DSN`,
`SLACK_WEBHOOK_URL`, `EMAIL_URL` and `OIDC_CLIENT_SECRET`, and the setting itself must then be empty.

This page is written from `.env.example` by `scripts/configure_page.py`.
"""


def page():
    """The page as it must be."""
    parts, about = [HEAD], []
    for line in Path(".env.example").read_text().splitlines():
        if section := re.fullmatch(r"# --- (.+) ---", line):
            parts.append(f"\n## {section[1]}\n\n| setting | example or default | what it is |\n|---|---|---|\n")
            about = []
        elif setting := re.fullmatch(r"#? ?([A-Z_]+)=(.*)", line):
            value = f"`{setting[2]}`" if setting[2] else "empty"
            parts.append(f"| `{setting[1]}` | {value} | {' '.join(about)} |\n")
            about = []
        elif line.startswith("# "):
            about.append(line[2:].replace("|", "\\|"))
        else:
            about = []
    return "".join(parts)


if __name__ == "__main__":
    if "--check" not in sys.argv:
        FILE.write_text(page())
    elif not FILE.is_file() or FILE.read_text() != page():
        sys.exit("docs/configure.md is not as .env.example says: run .venv/bin/python scripts/configure_page.py")
