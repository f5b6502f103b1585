#!/usr/bin/env bash
# Everything that must hold before a change lands: format, lints, pages, all tests, and generated files that are up to date.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

scripts/setup.sh test

scripts/lint.sh

# Before the server, whose binary contains them.
step "pages"
scripts/web.sh check

# Building k6 takes minutes of a core, and the tests leave some of one idle: they wait for clocks and servers.
nice -n 19 scripts/k6.sh build >/dev/null 2>&1 </dev/null &
k6_build=$!

keep_tests_in_memory 8

# Tests also wait for clocks and servers, so one more than there are cores runs at a time.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) + 1))}

step "tests"
cargo test --workspace --locked

step "the API on PostgreSQL"
DOORBUSTER_TESTS_ON=postgres cargo test --workspace --locked --test api --test dialects

# The tests have built the binary; the following steps use it too.
step "load scripts"
wait "$k6_build" || true
# A build that failed is not tried again.
scripts/k6.sh --no-build "$(target_dir)/debug/doorbuster"

step "the files in deploy"
scripts/check-deploy.sh

step "the tour in docs/tour.md"
scripts/tour.sh "$(target_dir)/debug/doorbuster"

step "the commands of docs/dialects.md"
scripts/dialects.sh "$(target_dir)/debug/doorbuster"

step "clients that are generated from the API's description"
scripts/api-clients.sh "$(target_dir)/debug/doorbuster"

step "sockets, with the clients that browsers use"
scripts/sockets.sh "$(target_dir)/debug/doorbuster"

step "webhooks, with a receiver that verifies signatures with the library of npm"
scripts/webhooks.sh "$(target_dir)/debug/doorbuster"

step "a drop on a whole cluster: nginx, three instances, two workers, PostgreSQL, Redis"
DOORBUSTER_BINARY="$(target_dir)/debug/doorbuster" scripts/cluster.sh rehearse --preset smoke --units 50

step "journeys in a browser"
cargo build --locked -p test-servers --bin stripe-stand-in
scripts/web.sh journeys "$(target_dir)/debug/doorbuster"

step "generated files"
scripts/gen.sh --check "$(target_dir)/debug/doorbuster"

say
say "All checks passed."
