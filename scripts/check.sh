#!/usr/bin/env bash
# What `make test` does not need but a release does: the documentation builds without a warning, and every dependency
# has a licence we may ship, comes from crates.io, and has no known hole.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

scripts/lint.sh

step "pages"
scripts/web.sh check

step "scripts"
if have shellcheck; then
    shellcheck --external-sources .ci/run scripts/*.sh deploy/*.sh deploy/k6/*.sh
else
    say "shellcheck is not installed (apt-get install shellcheck): the scripts were not checked."
fi

step "documentation"
RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --document-private-items --locked --quiet

step "dependencies"
tools="$(target_dir)/tools"
PATH="$PATH:$tools/bin"
if ! have cargo-deny; then
    say "Building cargo-deny (once, into $tools) …"
    cargo install cargo-deny --locked --quiet --root "$tools" || true
fi
if have cargo-deny; then
    cargo deny --locked check licenses bans sources
    # The list of known holes lives on the network, and a machine without it can still check the rest.
    if cargo deny fetch db >/dev/null 2>&1; then
        cargo deny --locked check --disable-fetch advisories
    else
        say "The list of known vulnerabilities could not be fetched: it was not checked."
    fi
else
    say "cargo-deny is not installed and could not be built: licences and vulnerabilities were not checked."
fi

say
say "All checks passed."
