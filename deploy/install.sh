#!/bin/sh
# install.sh VENV PYTHON REQUIREMENTS: bring the virtual environment in line with a hashed requirements file.
# A stamp named after the file's checksum says that this has been done, so that a second run installs nothing.
set -eu
venv=$1 python=$2 requirements=$3

# requirements-dev.txt holds all of requirements.txt, so whoever has the first needs not the second.
stamp_of() { echo "$venv/.installed-${1%.txt}-$(cksum <"$1" | tr -s '\t ' '--')"; }
stamp=$(stamp_of "$requirements")
if "$venv/bin/python" -c "" 2>/dev/null; then
    [ -e "$stamp" ] && exit 0
    [ "$requirements" = requirements.txt ] && [ -e "$(stamp_of requirements-dev.txt)" ] && exit 0
fi

fail() { echo "$1" >&2; exit 1; }
new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
if [ -z "$python" ]; then
    for candidate in python3 python3.13 python3.12 python3.11; do
        if new_enough "$candidate"; then python=$candidate; break; fi
    done
fi
new_enough "${python:-none}" || fail "AI Platform needs Python 3.11 or later: install it, or name it with PYTHON=/path/to/python3."
"$python" -c "import ensurepip, venv" 2>/dev/null ||
    fail "This Python lacks its venv module: install it (on Debian and Ubuntu: apt-get install python3-venv)."
[ -w . ] || fail "The folder $(pwd) cannot be written to: run this as its owner."

# Two commands that start together must not install over each other. The lock is the folder itself: making the environment
# anew empties it.
mkdir -p "$venv"
if command -v flock >/dev/null 2>&1 && [ -z "${INSTALL_LOCKED:-}" ]; then
    INSTALL_LOCKED=1 exec flock "$venv" sh "$0" "$@"
fi

echo "Setting up $venv from $requirements (once; about a minute) ..."
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --quiet --no-input --disable-pip-version-check --no-warn-script-location \
    --require-hashes --only-binary :all: --requirement "$requirements"
rm -f "$venv/.installed-${requirements%.txt}-"*
touch "$stamp"
