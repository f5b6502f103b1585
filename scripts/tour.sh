#!/usr/bin/env bash
# Runs the commands of docs/tour.md against a fresh instance and compares what they print with the page. The server's binary may be
# given; otherwise it is built. Only blocks behind a line `<!-- test -->` run; the `text` block that follows one is what it has to print.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

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

# Splits the page into one command file (N.sh) and, where the page says what is printed, one expectation (N.text) for each block.
awk -v folder="$folder" '
    /^<!-- test -->$/ { marked = 1; next }
    /^```sh$/ && marked { n++; out = folder "/" n ".sh"; marked = 0; wanted = 1; printf "" >out; next }
    /^```text$/ && wanted { out = folder "/" n ".text"; wanted = 0; printf "" >out; next }
    /^```/ { if (out) close(out); out = ""; next }
    out { print >out; next }
    /[^ ]/ { wanted = 0 }
    END { print n >(folder "/count") }
' docs/tour.md
count=$(cat "$folder/count")
[ "${count:-0}" -gt 0 ] || fail "docs/tour.md has no block to run."

# What a reader has to put in is put in here: the address, the password, the binary and the data folder.
sed -i \
    -e "s|http://127.0.0.1:8080|$address|g" \
    -e "s|'what the first start printed'|'$password'|" \
    -e "s|target/release/doorbuster|$binary|g" \
    -e "s|--data data|--data $folder/data|g" \
    "$folder"/*.sh

# All blocks run in one shell, as a reader types them. It runs in the temporary folder, where the rehearsal leaves its report.
{
    printf 'cd "%s"\n' "$folder"
    for ((n = 1; n <= count; n++)); do
        # A group and not a subshell: the next block uses the variables of this one.
        printf '{\n%s\n} >"%s/%d.out" 2>&1\n' "$(cat "$folder/$n.sh")" "$folder" "$n"
    done
} >"$folder/tour"
status=0
timeout --kill-after=10 "$tour_s_max" bash "$folder/tour" || status=$?

# Without blanks and line breaks, because the page wraps what a program prints in one line.
squeeze() { tr -d ' \t\n'; }

# The page as a pattern of bash: ids and moments differ from run to run, and `…` stands for anything.
pattern() {
    sed -E \
        -e 's/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/…/g' \
        -e 's/[0-9a-f]{8}-([0-9a-f]{4}-)?…/…/g' \
        -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z/…/g' |
        squeeze |
        sed -e 's/[][*?\\]/\\&/g' -e 's/…/*/g'
}

for ((n = 1; n <= count; n++)); do
    [ -e "$folder/$n.text" ] || continue
    actual=$(squeeze <"$folder/$n.out" 2>/dev/null || true)
    expected=$(pattern <"$folder/$n.text")
    # shellcheck disable=SC2053 # it is a pattern
    if [[ $actual != $expected ]]; then
        {
            say "docs/tour.md: these commands do not print what the page says."
            printf '\n--- commands\n'
            cat "$folder/$n.sh"
            printf -- '--- the page\n'
            cat "$folder/$n.text"
            printf -- '--- printed\n'
            cat "$folder/$n.out"
        } >&2
        exit 1
    fi
done
[ "$status" -eq 0 ] || fail "The commands of docs/tour.md ended with code $status."
say "$count blocks of docs/tour.md printed what the page says."
