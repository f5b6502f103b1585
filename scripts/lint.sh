#!/usr/bin/env bash
# Checks format and lints; with `--documentation` also that the documentation builds. Without its tool a check is left out with a message.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

# Each version of clippy has other lints. With this one a warning is an error; with any other, warnings are only shown.
clippy_version=1.95

# `cargo clippy --version` says "clippy 0.1.95 (…)" for Rust 1.95.
clippy_here=$(cargo clippy --version 2>/dev/null | sed -n 's/^clippy 0\.\([0-9]*\.[0-9]*\).*/\1/p')
lint_flags=()
[ "$clippy_here" != "$clippy_version" ] || lint_flags=(--deny warnings)

step "format"
if cargo fmt --version >/dev/null 2>&1; then
    cargo fmt --all --check || fail "Some files are not formatted: run 'cargo fmt --all'."
else
    say "rustfmt is not installed (rustup component add rustfmt): the format was not checked."
fi

step "lints"
if [ -n "$clippy_here" ]; then
    [ "$clippy_here" = "$clippy_version" ] || say "This is clippy $clippy_here, not $clippy_version: its warnings are no errors."
    cargo clippy --workspace --all-targets --locked --quiet -- "${lint_flags[@]}"
    step "lints without Kafka"
    cargo clippy --package server --no-default-features --lib --bins --locked --quiet -- "${lint_flags[@]}"
else
    say "clippy is not installed (rustup component add clippy): the lints were not checked."
fi

if [ "${1:-}" = --documentation ]; then
    step "documentation"
    RUSTDOCFLAGS="${lint_flags[*]}" cargo doc --workspace --no-deps --document-private-items --locked --quiet
fi
