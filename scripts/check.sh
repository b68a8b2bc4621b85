#!/bin/sh
# `make check`: everything that can be said about the project without running it.
set -eu
cd "$(dirname "$0")/.."

scripts/setup.sh dev
export PATH="$PWD/.venv/bin:$PATH"

ruff format --check .
ruff check .
find templates -name '*.html' -exec djade --check {} +
mypy
python scripts/messages.py --check
lint-imports
DJANGO_SETTINGS_MODULE=tests.settings python manage.py makemigrations --check --dry-run
# Nothing of the caller's: the settings of an installation that is open to the world.
env -i PATH="$PATH" ENV_FILE=/dev/null \
    SECRET_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(48))')" \
    MFA_SEED_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(48))')" \
    ALLOWED_HOSTS=desk.example.com \
    CSRF_TRUSTED_ORIGINS=https://desk.example.com \
    TRUSTED_PROXY_COUNT=1 \
    ASSETPAY_BASE_URL=https://api.assetpay.gg \
    ASSETPAY_MERCHANT_ID=merchant \
    ASSETPAY_API_SECRETS=a-secret-of-32-bytes-at-the-least \
    python manage.py check --deploy --fail-level WARNING
scripts/uv.sh lock --check --quiet
hadolint Dockerfile
python scripts/licences.py --check
python scripts/vendored.py --check
