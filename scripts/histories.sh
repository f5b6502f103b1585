#!/usr/bin/env bash
# Plays random histories of payments, through the sandbox and through the stand-in for Stripe: `histories.sh [COUNT] [FIRST]`.
#
# COUNT histories of each kind, 10,000 unless it is given, with the seeds FIRST, FIRST + 1 … from 1. They run on all cores, in a build that is
# optimised and checks itself like one for tests. The first history that ends with wrong books is printed as a short story, with its seed and
# the command that replays it.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

count=${1:-10000} first=${2:-1}
[[ $count =~ ^[1-9][0-9]*$ && $first =~ ^[1-9][0-9]*$ ]] || fail "Write 'scripts/histories.sh [COUNT] [FIRST]'."
need_programs cc
keep_tests_in_memory 2

# Without Kafka, which no payment needs: librdkafka takes minutes to build.
cargo=(cargo test --locked --quiet --profile histories --package server --no-default-features)

# Made by the build itself, the folder of the pages would be newer than the build, and all be built again.
mkdir -p web/dist

step "build"
"${cargo[@]}" --no-run --test payments --test api

# $1 names the kind, $2 is the prefix of its variables, $3 its test, $4 how many histories a core plays at a time.
play() {
    step "$count histories of $1 from seed $first"
    local started=$SECONDS
    env "$2_HISTORIES=$count" "$2_FIRST=$first" "$2_AT_ONCE=$(($(nproc) * $4))" \
        "${cargo[@]}" --test "$3" whatever_happens -- --nocapture ||
        fail "A history of $1 went wrong: its seed and its story are above."
    played+=("$count of $1 in $((SECONDS - started)) s")
}

played=()
play payments PAYMENTS payments 1
play Stripe STRIPE api 2
step "played without a fault"
printf '%s\n' "${played[@]}"
