"""`manage.py sandbox`: start AssetPay's stand-in as a process of its own, with this desk's settings."""

import os
import subprocess
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    """Starts `python -m sandbox` with our merchant, keys and limits; it shares no code with the desk."""

    help = "Run AssetPay's stand-in on loopback; what follows `--` goes to it (see `python -m sandbox --help`)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Everything is passed on."""
        parser.add_argument("options", nargs="*")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until it ends, with its exit status."""
        environment = os.environ | {
            "ASSETPAY_MERCHANT_ID": settings.ASSETPAY_MERCHANT_ID,
            "ASSETPAY_API_KEY": settings.ASSETPAY_API_KEY,
            "ASSETPAY_API_SECRETS": ",".join(settings.ASSETPAY_API_SECRETS),
            "ASSETPAY_CANCELS_PER_MINUTE": str(settings.ASSETPAY_CANCELS_PER_MINUTE),
            "CANCEL_WINDOW_SECONDS": str(settings.CANCEL_WINDOW_SECONDS),
        }
        command = [sys.executable, "-m", "sandbox", *options["options"]]
        try:
            ended = subprocess.run(command, env=environment, check=False)  # noqa: S603 # our own module
        except KeyboardInterrupt:
            return
        sys.exit(ended.returncode)
