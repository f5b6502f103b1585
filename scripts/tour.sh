#!/usr/bin/env bash
# Runs the commands of docs/tour.md against a fresh instance and compares what they print with the page. The server's binary may be
# given; otherwise it is built. Only blocks behind a line `<!-- test -->` run; the `text` block that follows one is what it has to print.

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

# How long the instance may take to start, and the whole tour to run: the sale starts after 30 s, and the rehearsal takes a minute.
start_s_max=30
tour_s_max=400

folder=$(mktemp -d)
server=
stop() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$folder"
}
trap stop EXIT
# A signal ends the script, and with it everything that it has started.
trap 'exit 1' HUP INT PIPE TERM

"$binary" serve --demo --data "$folder/data" --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 \
    >"$folder/welcome" 2>"$folder/log" &
server=$!
for ((tenths = 0; tenths < start_s_max * 10; tenths++)); do
    grep -q '^Demo sale' "$folder/welcome" && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
address=$(sed -n 's/^Doorbuster listens on \([^ ]*\) .*/\1/p' "$folder/welcome")
password=$(sed -n 's/^First start: .* with the password \([^ ]*\) .*/\1/p' "$folder/welcome")
if [ -z "$address" ] || [ -z "$password" ]; then
    cat "$folder/welcome" "$folder/log" >&2
    fail "The instance for the tour did not start."
fi

count=$(split_page docs/tour.md "$folder")
[ "$count" -gt 0 ] || fail "docs/tour.md has no block to run."

# What a reader has to put in is put in here: the address, the password, the binary and the data folder.
sed -i \
    -e "s|http://127.0.0.1:8080|$address|g" \
    -e "s|'what the first start printed'|'$password'|" \
    -e "s|target/release/doorbuster|$binary|g" \
    -e "s|--data data|--data $folder/data|g" \
    "$folder"/*.sh

# The rehearsal leaves its report in the temporary folder.
join_blocks "$folder" "$count" >"$folder/tour"
status=0
timeout --kill-after=10 "$tour_s_max" bash "$folder/tour" || status=$?
compare_blocks docs/tour.md "$folder" "$count"
[ "$status" -eq 0 ] || fail "The commands of docs/tour.md ended with code $status."
say "$count blocks of docs/tour.md printed what the page says."
