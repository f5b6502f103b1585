#!/usr/bin/env bash
# Form and lints. A check whose tool is missing is left out with a word about it; setup.sh has tried to install it.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

step "format"
if cargo fmt --version >/dev/null 2>&1; then
    cargo fmt --all --check || fail "Some files are not formatted: run 'cargo fmt --all'."
else
    say "rustfmt is not installed (rustup component add rustfmt): the format was not checked."
fi

step "lints"
if cargo clippy --version >/dev/null 2>&1; then
    cargo clippy --workspace --all-targets --locked --quiet -- --deny warnings
else
    say "clippy is not installed (rustup component add clippy): the lints were not checked."
fi
