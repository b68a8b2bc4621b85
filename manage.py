#!/usr/bin/env python
"""The operator's door to the desk."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    """Run one command; a setting that cannot work is one line, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assetpay_admin.settings")
    try:
        __import__(os.environ["DJANGO_SETTINGS_MODULE"])
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
