#!/bin/sh
# `make audit`: known faults of the libraries in uv.lock, their licences, and the third-party files.
set -eu
cd "$(dirname "$0")/.."

scripts/setup.sh dev
export PATH="$PWD/.venv/bin:$PATH"
python scripts/licences.py --check
python scripts/vendored.py --check

list=$(mktemp)
trap 'rm -f "$list"' EXIT
# What runs in production, by its hashes; the tools of the tests stay on developers' machines.
scripts/uv.sh export --quiet --frozen --no-default-groups --output-file "$list" >/dev/null
ends=0
said=$(pip-audit --requirement "$list" --require-hashes --disable-pip --progress-spinner off 2>&1) || ends=$?
case $said in
# A mirror without the list of faults skips every library and calls that well.
*"could not be audited"* | *ConnectionError* | *"ailed to resolve"* | *"Max retries"* | *ServiceError* | *ProxyError* | *SSLError*)
    echo "The list of known faults cannot be reached from here: run make audit where pypi.org answers." >&2
    exit 3
    ;;
esac
echo "$said"
exit $ends
