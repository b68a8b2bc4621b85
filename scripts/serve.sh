#!/bin/sh
# `make serve`: the desk with the settings of .env (or of ENV_FILE, or of the environment), on 127.0.0.1:$PORT.
set -eu
cd "$(dirname "$0")/.."

file=${ENV_FILE:-.env}
if [ ! -f "$file" ]; then
    if [ -z "${SECRET_KEY:-}" ]; then
        echo "There is no $file: copy .env.example to $file, fill it in and run this again." >&2
        exit 1
    fi
    file=/dev/null
fi
PORT=${PORT:-$(sed -n 's/^PORT=//p' "$file")}
export PORT="${PORT:-8000}"
# Plain HTTP: unless the settings speak of a proxy with HTTPS, a browser would be sent to an address nobody serves.
grep -q '^HTTPS_ONLY=' "$file" || export HTTPS_ONLY="${HTTPS_ONLY:-false}"

scripts/setup.sh
export PATH="$PWD/.venv/bin:$PATH" PYTHONUNBUFFERED=1 DJANGO_SETTINGS_MODULE=assetpay_admin.settings
python scripts/free_ports.py PORT
mkdir -p var
python manage.py migrate --noinput --verbosity 0
python manage.py collectstatic --noinput --verbosity 0
echo "The desk is at http://127.0.0.1:$PORT (Ctrl+C stops it)."
exec python scripts/processes.py Procfile
