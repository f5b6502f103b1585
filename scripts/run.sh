#!/usr/bin/env bash
# Builds Doorbuster as it is shipped and serves the demo, with its data in ./data. Arguments go to `doorbuster serve`.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

scripts/web.sh build
say "Building (some minutes the first time) …"
cargo build --release --locked --quiet --bin doorbuster
# `exec`, so that Ctrl-C and SIGTERM reach the server itself: it drains, then ends.
exec "$(target_dir)/release/doorbuster" serve --demo "$@"
