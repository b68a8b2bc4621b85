#!/bin/sh
# `make backup`: one file that holds the whole database at one moment, taken while the desk works.
# `make backup FILE=…` names it; without a name it lies under var/backups. Prints its path.
set -eu
cd "$(dirname "$0")/.."

export PATH="$PWD/.venv/bin:$PATH" DJANGO_SETTINGS_MODULE="${DJANGO_SETTINGS_MODULE:-assetpay_admin.settings}"
exec python scripts/backups.py backup "${FILE:-}"
