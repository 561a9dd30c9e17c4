#!/bin/sh
# peer.sh VENV NAME: another gateway that the benchmark measures beside the platform, from its pins in benchmarks/peers,
# in an environment of its own, because its pins clash with ours. It is kept outside the checkout and named after what it
# holds; VENV/peers/NAME is a link to it.
set -eu
venv=$1
name=$2
pins=benchmarks/peers/$name.txt
[ -f "$pins" ] || { echo "No peer is called $name: benchmarks/peers has those that are known." >&2; exit 1; }
cache=${XDG_CACHE_HOME:-$HOME/.cache}/aiplatform-peers
mkdir -p "$cache" "$venv/peers"

place=$cache/$name-$({ "$venv/bin/python" -c 'import sys; print(sys.base_prefix, sys.version)'; cat "$pins"; } | cksum | tr -s '\t ' '--')
if [ ! -e "$place/.complete" ] || ! "$place/bin/python" -c "" 2>/dev/null; then
    echo "Setting up $name for the benchmark (once) ..."
    rm -rf "$place"
    "$venv/bin/uv" venv --quiet --no-project --python "$venv/bin/python" "$place"
    "$venv/bin/uv" pip install --quiet --python "$place/bin/python" --require-hashes --only-binary :all: --requirement "$pins"
fi
touch "$place/.complete" "$place"
ln -sfn "$place" "$venv/peers/$name"

# What no checkout has asked for in two months.
find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +60 -exec rm -rf {} +
