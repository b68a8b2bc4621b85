#!/bin/sh
# `make test`: what touches the database on PostgreSQL, then the same and the rest on SQLite.
# Stops after a run that failed, so that the last line is always pytest's own and tells the truth.
set -eu
cd "$(dirname "$0")/.."

scripts/setup.sh dev
export PATH="$PWD/.venv/bin:$PATH"
# The caller's may be in use.
unset DATABASE_URL
# The tests start hundreds of processes; each would compile everything anew, which takes three times as long as its start.
unset PYTHONDONTWRITEBYTECODE

chromium=${CHROMIUM:-}
for name in chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable; do
    chromium=${chromium:-$(command -v $name || true)}
done
if [ -z "$chromium" ]; then
    echo "Installing Chromium ..." >&2
    if ! { [ "$(id -u)" = 0 ] && apt-get update -qq && apt-get install -qq -y chromium-headless-shell; } >/dev/null 2>&1 &&
        ! playwright install chromium >/dev/null 2>&1; then
        echo "No Chromium for the browser tests, and none could be installed: install one, or name it in CHROMIUM." >&2
        exit 1
    fi
fi

# Many tests wait for processes and pages: one more at a time than there are cores keeps those busy. Most modules
# stay in one process, for what their tests share; the longest come first (tests/conftest.py), so that all end together.
set -- pytest -n "$(($(getconf _NPROCESSORS_ONLN) + 1))" --no-loadscope-reorder

# What says the same on any database is said on SQLite, which needs no server beside it.
on_postgres() {
    "$@" -m "(main_job or not browser) and not any_database and not soak" --ignore tests/assetpay --ignore tests/sandbox
}

if [ -n "${TEST_POSTGRES_URL:-}" ]; then
    on_postgres env "DATABASE_URL=$TEST_POSTGRES_URL" "$@"
elif python tests/postgres.py --available; then
    on_postgres python tests/postgres.py "$@"
elif [ "${REQUIRE_POSTGRES:-}" = 1 ]; then
    echo "REQUIRE_POSTGRES=1, but no PostgreSQL: set TEST_POSTGRES_URL or install the package postgresql." >&2
    exit 1
else
    echo "PostgreSQL left out: neither TEST_POSTGRES_URL nor PostgreSQL's own programs are here."
fi
exec "$@" -m "not soak"
