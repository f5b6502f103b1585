#!/usr/bin/env bash
# Tests the example of a webhook receiver, which verifies signatures with the library of npm, against a real server. The argument is the
# server's binary; without one the script builds it.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

binary=${1:-}
if [ -z "$binary" ]; then
    cargo build --locked --quiet --bin doorbuster
    binary="$(target_dir)/debug/doorbuster"
fi
need_programs node npm

folder=examples/webhooks
if [ ! "$folder/node_modules/.package-lock.json" -nt "$folder/package-lock.json" ]; then
    (cd "$folder" && npm ci --silent --ignore-scripts && touch node_modules/.package-lock.json)
fi
DOORBUSTER_BINARY="$binary" node --test --test-reporter=spec "$folder"/*.test.mjs
