#!/usr/bin/env bash
# Makes sure that everything is there to build and test Doorbuster. Installs what it may, says what it may not.
# A machine that has everything is through in a moment. `setup.sh bench` also asks for the load generator and the peer.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

rust_needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

# True when there is a C compiler with its headers and a linker: Rust links with it, and SQLite is built by it.
c_compiler_works() {
    have cc && printf '#include <stdio.h>\nint main(void) { return 0; }\n' | cc -x c - -o /dev/null 2>/dev/null
}

have git || install_packages "git" git
have make || install_packages "make" make
c_compiler_works || install_packages "a C compiler" gcc libc6-dev
c_compiler_works || fail "Doorbuster needs a C compiler that can build and link a small program, and the one called cc here cannot: please mend it (on Debian: apt-get install gcc libc6-dev) and try again."

if ! have cargo || ! have rustc; then
    fail "Doorbuster needs Rust $rust_needed or newer: please install it from https://rustup.rs and try again."
fi
rust_here=$(rustc --version | cut -d ' ' -f 2)
if [ "$(printf '%s\n%s\n' "$rust_needed" "${rust_here%%-*}" | sort -V | head -n 1)" != "$rust_needed" ]; then
    fail "Doorbuster needs Rust $rust_needed or newer, and this machine has $rust_here: please update it (rustup update stable) and try again."
fi

# The tests of deciding in Redis start servers of their own: the program has to be there, no service has to run.
have_redis || install_packages "Redis, which the tests start" redis-server

# The formatter and the linter are wanted, not needed: a check whose tool is missing says that it was left out.
add_component() {
    if ! cargo "$1" --version >/dev/null 2>&1 && have rustup; then
        say "Adding $2 …"
        rustup --quiet component add "$2" || say "$2 could not be added."
    fi
}
add_component fmt rustfmt
add_component clippy clippy

# For the tests, which start servers of their own. Wanted here, needed by test.sh.
have_postgres || (install_packages "PostgreSQL, for the tests" postgresql) 2>/dev/null || true
have_nginx || (install_packages "nginx, for the tests" nginx-light) 2>/dev/null || true

# For the shop's pages. Wanted, not needed: a server without them serves the API all the same, and says so.
have npm || (install_packages "Node and npm, for the shop's pages" nodejs npm) 2>/dev/null || true

if [ "${1:-}" = bench ]; then
    have wrk || install_packages "the load generator wrk" wrk
    # The peer (benches/peer) is wanted, not needed: the benchmark says that it was left out.
    have npm || (install_packages "npm, for the peer's packages" npm) 2>/dev/null || true
    if have npm && [ ! benches/peer/node_modules/.package-lock.json -nt benches/peer/package-lock.json ]; then
        say "Installing the packages of benches/peer …"
        (cd benches/peer && npm ci --silent --ignore-scripts && touch node_modules/.package-lock.json) || true
    fi
fi

say "Everything needed is here (Rust $rust_here)."
