#!/usr/bin/env bash
# Writes the checked-in files that are generated from the code. With --check it writes nothing and fails if one of them is
# outdated. The argument is the server's binary; without one the script builds it.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

check=no
if [ "${1:-}" = --check ]; then
    check=yes
    shift
fi
binary=${1:-}
if [ -z "$binary" ]; then
    cargo build --locked --quiet --bin doorbuster
    binary="$(target_dir)/debug/doorbuster"
fi
[ -x "$binary" ] || fail "There is no binary $binary to generate from."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
stale=()

# $1 is the file, the rest the command of the binary that prints it. A command that fails or prints nothing changes nothing.
# It runs without the variables of the caller, which would show up as defaults.
generate() {
    local file=$1 fresh="$scratch/fresh"
    shift
    env -i PATH="$PATH" HOME="$HOME" "$binary" "$@" >"$fresh" || fail "'doorbuster $*' failed, so $file cannot be generated."
    [ -s "$fresh" ] || fail "'doorbuster $*' printed nothing, so $file cannot be generated."
    if cmp -s "$fresh" "$file"; then
        say "$file is up to date"
    elif [ "$check" = yes ]; then
        diff -u "$file" "$fresh" 2>/dev/null | head -n 40 || true
        stale+=("$file")
    else
        mkdir -p "$(dirname "$file")"
        cp "$fresh" "$file"
        say "$file is written"
    fi
}

generate docs/openapi.json openapi
generate docs/cli.md cli-reference

# The pages' types are generated from the API's description; `web.sh check` compares them.
if [ "$check" = no ]; then
    if [ -d web/node_modules ]; then
        (cd web && npm run --silent types >/dev/null)
        say "web/src/api/schema.ts is written"
    else
        say "web/src/api/schema.ts was not written: run 'scripts/web.sh check' once, which installs the generator, and then this again."
    fi
fi

[ ${#stale[@]} -eq 0 ] || fail "Outdated: ${stale[*]}. Run 'make gen' and commit the result."
