#!/usr/bin/env bash
# Builds Doorbuster as it is shipped and serves the demo, with its data in ./data. Arguments go to `doorbuster serve`.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

scripts/web.sh build
say "Building (some minutes the first time) …"
binary=$(scripts/build.sh)
# `exec`, so that Ctrl-C and SIGTERM reach the server itself: it drains, then ends.
exec "$binary" serve --demo "$@"
