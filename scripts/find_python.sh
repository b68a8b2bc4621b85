#!/bin/sh
# Prints the path of a Python 3.12 or newer, or nothing: on PATH first, then the newest that pyenv keeps.
works() {
    "$1" -c 'import sqlite3, ssl, sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1
}

for python in python3.13 python3.14 python3.12 python3; do
    if works "$python"; then
        command -v "$python"
        exit
    fi
done
found=
for python in "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/3.1[2-4].*/bin/python3; do
    ! works "$python" || found=$python
done
echo "$found"
