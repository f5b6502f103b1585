#!/usr/bin/env bash
# Runs the cluster of deploy/compose.yaml as plain processes, without containers: nginx with deploy/nginx/cluster.conf, three
# instances, two workers, PostgreSQL and Redis (or Valkey), all on free ports, with their files in temporary folders.
# crates/test-servers starts them, as it does for tests and benchmarks.
#
#     scripts/cluster.sh up                 runs until Ctrl-C, and prints the address of each process
#     scripts/cluster.sh rehearse [FLAG…]   plays a drop through nginx and judges it by the ledger in PostgreSQL; exits with the verdict
#
# DOORBUSTER_BINARY is the binary (else a release build is made), INSTANCES and WORKERS are how many of each, SERVE_FLAGS go to each
# instance, and REPORT is a folder for the rehearsal's report, which is deleted otherwise.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

case "${1:-up}" in
    up | rehearse) ;;
    *) fail "Write 'scripts/cluster.sh up' or 'scripts/cluster.sh rehearse', with the flags of 'doorbuster rehearse' behind it." ;;
esac

need_programs postgresql redis nginx curl

binary=${DOORBUSTER_BINARY:-}
if [ -z "$binary" ]; then
    scripts/web.sh build || say "The pages could not be built: the API is there without them."
    binary=$(scripts/build.sh)
fi
[ -x "$binary" ] || fail "There is no binary $binary to run."
DOORBUSTER_BINARY=$(realpath "$binary")
export DOORBUSTER_BINARY

cargo build --locked --quiet --package test-servers --example cluster
exec "$(target_dir)/debug/examples/cluster" "$@"
