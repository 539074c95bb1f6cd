#!/bin/sh
# Makes or renews the virtual environment.
# Usage: install/environment.sh FOLDER PYTHON [TORCH]
# TORCH is what pip is asked for, such as a wheel on disk or `torch==2.13.0+cu130`; without it the CPU build is tried
# first, since the default build on Linux brings several GB of GPU libraries.
set -eu

folder=$1
python=$2
torch=${3:-}

if ! "$python" -c "import sys; sys.exit(sys.version_info < (3, 10))"; then
    echo "\`$python\` is older than Python 3.10; name a newer one with \`make install PYTHON=python3.11\`." >&2
    exit 1
fi
if ! "$python" -c "import ensurepip, venv" >/dev/null 2>&1; then
    echo "\`$python\` cannot make virtual environments; install its venv module (Debian: \`apt-get install python3-venv\`)." >&2
    exit 1
fi

[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
pip="$folder/bin/python -m pip --disable-pip-version-check"

echo "Filling $folder with what pyproject.toml asks for; this takes a few minutes the first time."

# The pip that comes with older Pythons fails with an assertion on the requirements of aiida-core.
$pip install --quiet --upgrade pip

if [ -n "$torch" ]; then
    # shellcheck disable=SC2086
    $pip install --quiet --constraint constraints.txt $torch
elif ! "$folder/bin/python" -c "import importlib.metadata as m; m.version('torch')" >/dev/null 2>&1; then
    version=$(sed -n 's/^torch==\([0-9.]*\).*/\1/p' constraints.txt)
    if ! $pip install --quiet --constraint constraints.txt "torch==$version+cpu" 2>/dev/null; then
        echo "No CPU build of torch $version where pip looks; taking the default build, which may be several GB." >&2
        echo "To choose another: \`make install TORCH=...\` with what pip shall install." >&2
    fi
fi

$pip install --quiet --constraint constraints.txt --editable ".[aiida,compute,dev,docs]"
