#!/usr/bin/env python
"""The operator's door to the desk."""

import os
import sys

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from assetpay_admin.loading import left_to_stay


def main() -> None:
    """Run one command; a setting that cannot work is one line, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assetpay_admin.settings")
    try:
        with left_to_stay():
            __import__(os.environ["DJANGO_SETTINGS_MODULE"])
            django.setup()
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
