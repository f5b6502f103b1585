#!/usr/bin/env bash
# The checks to run after each change: format, lints, and the tests of single modules, of the law and of the architecture.
# `make test` also runs the tests that drive whole servers, and is what a change must pass before it lands. Two crates are left out:
# `connection-pool`, whose tests wait for connections to PostgreSQL that went silent, and `test-servers`.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

scripts/lint.sh

step "unit tests"
cargo test --locked --quiet -p sale -p documents -p engine -p rehearsal -p server \
    --lib --test tapes --test auditor --test promises --test architecture --test bench_figures

# Installing the pages' packages takes longer than these tests, so it is left to web.sh.
step "pages"
if [ -d web/node_modules ]; then
    scripts/web.sh quick
else
    say "The pages' packages are not installed ('scripts/web.sh check' installs them): the pages were not checked."
fi

say
say "All quick checks passed."
