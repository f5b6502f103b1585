#!/usr/bin/env bash
# What a release needs and `make test` does not check: the documentation builds without a warning, the API's description
# keeps the rules of its linter, and every dependency has a licence that deny.toml allows, comes from crates.io, and has no known vulnerability.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

scripts/lint.sh --documentation

step "pages"
scripts/web.sh check

step "the API's description"
scripts/lint-api.sh

step "scripts"
if have shellcheck; then
    shellcheck --external-sources .ci/run scripts/*.sh scripts/bench deploy/*.sh deploy/k6/*.sh
else
    say "shellcheck is not installed (apt-get install shellcheck): the scripts were not checked."
fi

step "dependencies"
# Other versions have other options.
deny_version=0.20
tools="$(target_dir)/tools"
PATH="$PATH:$tools/bin"
if ! have cargo-deny; then
    say "Building cargo-deny (once, into $tools) …"
    cargo install cargo-deny --version "~$deny_version" --locked --quiet --root "$tools" || true
fi
if have cargo-deny; then
    cargo deny --locked check licenses bans sources
    # Only the list of known vulnerabilities needs the network.
    if cargo deny fetch db >/dev/null 2>&1; then
        cargo deny --frozen check advisories
    else
        say "The list of known vulnerabilities could not be fetched: it was not checked."
    fi
else
    say "cargo-deny is not installed and could not be built: licences and vulnerabilities were not checked."
fi

say
say "All checks passed."
