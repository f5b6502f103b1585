#!/usr/bin/env bash
# Runs the commands of docs/dialects.md and compares what they print with the page, as scripts/tour.sh does with docs/tour.md. The
# server's binary may be given; otherwise it is built. `doorbuster serve` starts an instance in the background, on free ports instead of
# those of the page, and stops the one before it; all of them have one data folder.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/page-lib.sh
source scripts/page-lib.sh

binary=${1:-}
if [ -z "$binary" ]; then
    cargo build --locked --quiet --bin doorbuster
    binary="$(target_dir)/debug/doorbuster"
fi
binary=$(realpath "$binary")
need_programs curl

# How long all of it may take: some starts, and a few waits for a hold.
run_s_max=300

folder=$(mktemp -d)
stop() {
    if [ -s "$folder/server" ]; then
        kill "$(cat "$folder/server")" 2>/dev/null || true
    fi
    rm -rf "$folder"
}
trap stop EXIT
# A signal ends the script, and with it everything that it has started.
trap 'exit 1' HUP INT PIPE TERM

count=$(split_page docs/dialects.md "$folder")
[ "$count" -gt 0 ] || fail "docs/dialects.md has no block to run."

# The two programs of the page, on the addresses of this run.
cat >"$folder/prelude" <<PRELUDE
set -u
binary='$binary'
folder='$folder'
PRELUDE
cat >>"$folder/prelude" <<'PRELUDE'
# How long an instance may take to start.
start_s_max=30
# The address of this run for each one of the page.
declare -A addresses=()

stop_server() {
    [ -s "$folder/server" ] || return 0
    kill "$(cat "$folder/server")"
    wait "$(cat "$folder/server")" || true
    : >"$folder/server"
}

# Starts an instance with the arguments of the page, except for the ports.
start_server() {
    local arg dialect list=() flags=() tenths address
    stop_server
    addresses=()
    for arg in "$@"; do
        if [[ $arg == *=*:* ]]; then
            list+=("$arg")
            arg=$(sed -E 's/=[^,]*:[0-9]+/=127.0.0.1:0/g' <<<"$arg")
        fi
        flags+=("$arg")
    done
    # Emptied here: the new process does it a moment later, and until then the address of the one before it would be found.
    : >"$folder/log"
    : >"$folder/welcome"
    "$binary" "${flags[@]}" --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 --log-format json \
        >"$folder/welcome" 2>"$folder/log" &
    printf '%s' "$!" >"$folder/server"
    for ((tenths = 0; tenths < start_s_max * 10; tenths++)); do
        grep -q '^Doorbuster listens on' "$folder/welcome" && break
        kill -0 "$(cat "$folder/server")" 2>/dev/null || break
        sleep 0.1
    done
    address=$(sed -n 's|^Doorbuster listens on http://\([^ ]*\) .*|\1|p' "$folder/welcome")
    if [ -z "$address" ]; then
        cat "$folder/welcome" "$folder/log"
        exit 1
    fi
    addresses[127.0.0.1:8080]=$address
    for dialect in $(IFS=,; echo "${list[*]:-}" | tr ',' ' '); do
        address=$(grep "\"dialect\":\"${dialect%%=*}\"" "$folder/log" | sed -nE 's/.*"address":"([^"]*)".*/\1/p' | head -n 1)
        addresses[127.0.0.1:${dialect##*:}]=$address
    done
}

doorbuster() {
    if [ "$1" = serve ]; then start_server "$@"; else "$binary" "$@"; fi
}

curl() {
    local arg known args=()
    for arg in "$@"; do
        for known in "${!addresses[@]}"; do arg=${arg//"$known"/"${addresses[$known]}"}; done
        args+=("$arg")
    done
    command curl --max-time 20 "${args[@]}"
}
PRELUDE
{
    cat "$folder/prelude"
    join_blocks "$folder" "$count"
    printf 'stop_server\n'
} >"$folder/run"
status=0
timeout --kill-after=10 "$run_s_max" bash "$folder/run" || status=$?
if [ "$status" -ne 0 ]; then
    # What is missing behind the command that failed is no difference from the page.
    tail -n 20 "$folder"/*.out "$folder/log" >&2
    fail "The commands of docs/dialects.md ended with code $status."
fi
compare_blocks docs/dialects.md "$folder" "$count"
say "$count blocks of docs/dialects.md printed what the page says."
