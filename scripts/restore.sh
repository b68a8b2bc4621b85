#!/bin/sh
# `make restore FILE=…`: put a backup in place of the database, then check it: migrate, verify_audit.
# Web, workers and clock must be stopped. What is there now is kept beside it (SQLite), or must be empty (PostgreSQL).
set -eu
cd "$(dirname "$0")/.."

if [ -z "${FILE:-}" ]; then
    echo "Say which: make restore FILE=var/backups/…" >&2
    exit 1
fi
export PATH="$PWD/.venv/bin:$PATH" DJANGO_SETTINGS_MODULE="${DJANGO_SETTINGS_MODULE:-assetpay_admin.settings}"
python scripts/backups.py restore "$FILE"
python manage.py migrate --noinput --verbosity 0
python manage.py verify_audit
echo "Restored. Read back what AssetPay did meanwhile: .venv/bin/python manage.py reconcile --once"
