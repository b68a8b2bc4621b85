#!/bin/sh
# `make image`: the image assetpay-admin:latest. Without a container engine the Dockerfile is linted and no more.
set -eu
cd "$(dirname "$0")/.."

scripts/setup.sh dev
.venv/bin/hadolint Dockerfile
for engine in docker podman; do
    if $engine info >/dev/null 2>&1; then
        exec $engine build --tag assetpay-admin:latest .
    fi
done
echo "The Dockerfile is in order. No container engine runs here (docker or podman), so no image was built."
