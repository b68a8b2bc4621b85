"""Writes var/demo.env, the settings of `make run`: secrets are made up once, lines a person changed stay."""

import os
import secrets
from pathlib import Path

FILE = Path("var/demo.env")


def main():
    """Keep what the file says, add what it lacks, and set what depends on the ports."""
    lines = FILE.read_text().splitlines() if FILE.is_file() else []
    settings = {
        "DEBUG": "true",
        "DEMO": "true",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "HTTPS_ONLY": "false",
        "MFA_REQUIRED": "false",
        "DATABASE_URL": "sqlite:///var/demo.sqlite3",
        "ASSETPAY_MERCHANT_ID": "demo-merchant",
        "ASSETPAY_API_KEY": secrets.token_urlsafe(24),
        "ASSETPAY_API_SECRETS": secrets.token_urlsafe(32),
        "ASSETPAY_CANCELS_PER_MINUTE": "10",
        "CANCEL_WINDOW_SECONDS": "120",
        "RECONCILE_SECONDS": "20",
        "UNDO_SECONDS": "5",
        **dict(line.split("=", 1) for line in lines if "=" in line),
        "PORT": os.environ["PORT"],
        "SANDBOX_PORT": os.environ["SANDBOX_PORT"],
        "ASSETPAY_BASE_URL": "http://127.0.0.1:" + os.environ["SANDBOX_PORT"],
    }
    FILE.parent.mkdir(exist_ok=True)
    FILE.touch(mode=0o600)
    FILE.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))


if __name__ == "__main__":
    main()
