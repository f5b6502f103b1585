#!/usr/bin/env bash
# The cluster of deploy/compose.yaml as plain processes, where no container engine is at hand: nginx with deploy/nginx/cluster.conf,
# three instances, two workers, PostgreSQL and Redis (or Valkey), all on reserved ports in temporary folders that go with them.
# crates/test-servers starts it, as it does for tests and benchmarks.
#
#     scripts/cluster.sh up                 runs until Ctrl-C, and prints the addresses
#     scripts/cluster.sh rehearse [FLAG…]   plays a drop through nginx, judged by what PostgreSQL has; its verdict is the exit code
#
# DOORBUSTER_BINARY is the binary (else a release build is made), INSTANCES and WORKERS are how many of each, SERVE_FLAGS go to each
# instance, and REPORT is a folder for the rehearsal's report, which is deleted otherwise.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

case "${1:-up}" in
    up | rehearse) ;;
    *) fail "Write 'scripts/cluster.sh up' or 'scripts/cluster.sh rehearse', with the flags of 'doorbuster rehearse' behind it." ;;
esac

have_postgres || install_packages "PostgreSQL, which records" postgresql
have_redis || install_packages "Redis, which decides" redis-server
have_nginx || install_packages "nginx, in front" nginx-light

binary=${DOORBUSTER_BINARY:-}
if [ -z "$binary" ]; then
    scripts/web.sh build || say "The pages could not be built: the API is there without them."
    cargo build --locked --release --bin doorbuster
    binary="$(target_dir)/release/doorbuster"
fi
[ -x "$binary" ] || fail "There is no binary $binary to run."
DOORBUSTER_BINARY=$(realpath "$binary")
export DOORBUSTER_BINARY

cargo build --locked --quiet --package test-servers --example cluster
exec "$(target_dir)/debug/examples/cluster" "$@"
