#!/bin/sh
# Installs what pip cannot: pw.x of Quantum ESPRESSO with its pseudopotentials, a C++ compiler, Python's venv.
# Usage: install/system_packages.sh PYTHON
# What is there already is left alone. Where it cannot install, it says what to install and goes on: only Python's venv
# is needed to begin with.
set -eu

python=${1:-python3}
needed=""

command -v pw.x >/dev/null 2>&1 || needed="$needed quantum-espresso quantum-espresso-data"
command -v g++ >/dev/null 2>&1 || command -v c++ >/dev/null 2>&1 || command -v clang++ >/dev/null 2>&1 || needed="$needed g++"
"$python" -c "import ensurepip, venv" >/dev/null 2>&1 || needed="$needed python3-venv"

[ -n "$needed" ] || exit 0

if command -v apt-get >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ]; then
        as_root=""
    elif command -v sudo >/dev/null 2>&1 && sudo -n true >/dev/null 2>&1; then
        as_root="sudo -n"
    else
        echo "Missing, and installing needs an administrator: please run \`sudo apt-get install --no-install-recommends$needed\`." >&2
        exit 0
    fi
    echo "Installing$needed"
    export DEBIAN_FRONTEND=noninteractive
    # A failure is reported and not fatal: everything but the missing program works.
    # shellcheck disable=SC2086
    if $as_root apt-get update -qq && $as_root apt-get install -y -qq --no-install-recommends $needed; then
        exit 0
    fi
    echo "apt-get could not install$needed; please install them by other means." >&2
    exit 0
fi

echo "Missing on this machine: the programs of the Debian packages$needed; please install them with your system's packages." >&2
