#!/bin/sh
# `make run`: the live demo, with the sandbox in AssetPay's place.
set -eu
cd "$(dirname "$0")/.."

scripts/setup.sh
export PATH="$PWD/.venv/bin:$PATH" PYTHONUNBUFFERED=1
export PORT="${PORT:-8000}" SANDBOX_PORT="${SANDBOX_PORT:-8001}"
python scripts/free_ports.py PORT SANDBOX_PORT
python scripts/demo_settings.py

# The file, and not the caller's environment, has the last word: that one may hold a real key.
export ENV_FILE=var/demo.env DJANGO_SETTINGS_MODULE=assetpay_admin.settings
set -a
. ./var/demo.env
set +a

python manage.py migrate --noinput --verbosity 0 --skip-checks
python manage.py load_demo
echo "The desk is at http://127.0.0.1:$PORT (Ctrl+C stops it)."
exec python scripts/processes.py Procfile.demo
