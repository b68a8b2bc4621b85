#!/bin/sh
# Runs uv with the given arguments. Where the machine has none, it is installed into .venv-tools, once.
set -eu
cd "$(dirname "$0")/.."

find_uv() {
    for uv in uv "${HOME:-}/.local/bin/uv" "${HOME:-}/.cargo/bin/uv" .venv-tools/bin/uv; do
        # Asked to run, not only looked for: a version manager's stand-in may lie on PATH without a uv behind it.
        if "$uv" --version >/dev/null 2>&1; then
            echo "$uv"
            return
        fi
    done
}

install_uv() {
    for python in $(scripts/find_python.sh) python3; do
        # Some systems' Python lacks pip, others venv; neither way touches the system's own packages.
        "$python" -m pip install --quiet --target .venv-tools uv >/dev/null 2>&1 && return
        rm -rf .venv-tools
        "$python" -m venv .venv-tools >/dev/null 2>&1 && .venv-tools/bin/pip install --quiet uv >/dev/null 2>&1 && return
        rm -rf .venv-tools
    done
    echo "uv is missing and could not be installed: install it by hand (pip install uv) and run this again." >&2
    exit 1
}

found=$(find_uv)
if [ -z "$found" ]; then
    echo "Installing uv into .venv-tools ..." >&2
    install_uv
    found=$(find_uv)
fi
exec "$found" "$@"
