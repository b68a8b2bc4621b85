#!/bin/sh
# Makes .venv hold what uv.lock says; `scripts/setup.sh dev` adds what tests and checks need.
set -eu
cd "$(dirname "$0")/.."

unset VIRTUAL_ENV
export UV_PROJECT_ENVIRONMENT=.venv
# Behind a proxy with a certificate of its own only the system knows whom to trust.
[ ! -f /etc/ssl/certs/ca-certificates.crt ] || export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"

# --inexact: a plain start does not take away what the tests installed.
set -- sync --quiet --frozen --inexact --no-default-groups ${1:+--group "$1"}

if ! .venv/bin/python -c 'import sys' >/dev/null 2>&1; then
    echo "Installing into .venv ..." >&2
    python=$(scripts/find_python.sh)
    if [ -z "$python" ]; then
        python=3.13
        scripts/uv.sh python install --quiet --no-bin $python 2>/dev/null || {
            echo "No Python 3.12 or newer here, and none could be downloaded: install one, put it on PATH and run this again." >&2
            exit 1
        }
    fi
    set -- "$@" --python "$python"
fi
exec scripts/uv.sh "$@"
