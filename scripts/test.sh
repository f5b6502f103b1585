#!/usr/bin/env bash
# Everything that must hold before a change lands: form, lints, pages, all tests, and generated files that are up to date.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

scripts/lint.sh

# Before the server, which has them in it.
step "pages"
scripts/web.sh check

have_postgres || install_packages "PostgreSQL, for the tests" postgresql
have_redis || install_packages "Redis, which the tests start" redis-server
# Its package would also start it as a service; the tests start their own.
have_nginx || install_packages "nginx, which the tests start" nginx-light

step "tests"
cargo test --workspace --locked

step "the API on PostgreSQL"
DOORBUSTER_TESTS_ON=postgres cargo test --workspace --locked --test api

# The tests have just built the binary that they drive: no need for another.
step "load scripts"
scripts/k6.sh "$(target_dir)/debug/doorbuster"

step "the files in deploy"
scripts/check-deploy.sh

step "sockets, with the clients that browsers use"
scripts/sockets.sh "$(target_dir)/debug/doorbuster"

step "a drop on a whole cluster: nginx, three instances, two workers, PostgreSQL, Redis"
DOORBUSTER_BINARY="$(target_dir)/debug/doorbuster" scripts/cluster.sh rehearse --preset smoke --units 50

step "journeys in a browser"
scripts/web.sh journeys "$(target_dir)/debug/doorbuster"

step "generated files"
scripts/gen.sh --check "$(target_dir)/debug/doorbuster"

say
say "All checks passed."
