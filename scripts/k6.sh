#!/usr/bin/env bash
# Tests the load scripts in deploy/k6 against a real server: with k6 if it is installed or can be built, else with a stand-in for
# the part of k6 that they use. The argument is the server's binary; without one the script builds it. `k6.sh build` only builds k6,
# and `k6.sh --no-build BINARY` does not.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

# The oldest Go that downloads by itself the newer one that k6 needs.
go_needed=1.21
k6_version=v1.7.1

tools="$(target_dir)/tools/bin"
PATH="$PATH:$tools"

go_is_recent() {
    have go && version_at_least "$(go env GOVERSION)" "go$go_needed"
}

builds=true
if [ "${1:-}" = --no-build ]; then
    builds=false
    shift
fi
if $builds && ! have k6 && go_is_recent; then
    say "Building k6 (once, into $tools) …"
    GOBIN="$tools" timeout 1800 go install "go.k6.io/k6@$k6_version" >/dev/null 2>&1 || say "k6 could not be built."
fi
[ "${1:-}" != build ] || exit 0

binary=${1:-}
if [ -z "$binary" ]; then
    cargo build --locked --quiet --bin doorbuster
    binary="$(target_dir)/debug/doorbuster"
fi
need_programs node curl

if have k6; then
    K6=$(command -v k6)
    export K6
    say "With $("$K6" version | head -n 1)."
else
    say "k6 is not installed and cannot be built here: its scripts were run by the stand-in in deploy/k6/test, and not by k6."
fi

DOORBUSTER_BINARY="$binary" node --test --test-reporter=spec deploy/k6/test/scripts.test.mjs
