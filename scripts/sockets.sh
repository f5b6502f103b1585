#!/usr/bin/env bash
# Tests live updates with the Socket.IO clients of npm against a real server. The server's binary may be given; otherwise it is
# built.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

binary=${1:-}
if [ -z "$binary" ]; then
    cargo build --locked --quiet --bin doorbuster
    binary="$(target_dir)/debug/doorbuster"
fi
have node || install_packages "Node, for testing sockets" nodejs
have npm || install_packages "npm, for testing sockets" npm
# Its package would also start it as a service; the tests start their own.
have_nginx || install_packages "nginx, for testing sockets behind it" nginx-light

folder=crates/server/tests/sockets
if [ ! "$folder/node_modules/.package-lock.json" -nt "$folder/package-lock.json" ]; then
    (cd "$folder" && npm ci --silent --ignore-scripts && touch node_modules/.package-lock.json)
fi
DOORBUSTER_BINARY="$binary" node --test --test-reporter=spec "$folder"/*.test.mjs
