#!/usr/bin/env bash
# Sends random requests to a real server, as its OpenAPI description allows and as it does not: `fuzz-api.sh [MINUTES] [BINARY]`.
#
# A fourth of the time goes to each of: a buyer and an admin, on SQLite and on PostgreSQL. It fails when a reply is a 5xx, has a status
# or a media type that the description does not have for its operation, or a body that its schema does not allow. Every failure is
# printed as a curl command. The seed is printed, and SEED=… repeats a run. MINUTES is 10 unless it is given.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/api-lib.sh
source scripts/api-lib.sh

minutes=${1:-10}
binary=${2:-}
[[ $minutes =~ ^[0-9]+(\.[0-9]+)?$ ]] || fail "Write 'scripts/fuzz-api.sh [MINUTES] [BINARY]'."
need_programs python3 postgresql curl
seconds=$(python3 -c "print(max(5, round($minutes * 60 / 4)))")
seed=${SEED:-$RANDOM$RANDOM}

if [ -z "$binary" ]; then
    cargo build --locked --quiet --bin doorbuster
    binary="$(target_dir)/debug/doorbuster"
fi
cargo build --locked --quiet --package test-servers --example postgres
install_python_tools

# The database runs until its standard input ends, which is when this script ends.
mkfifo "$scratch/stop"
"$(target_dir)/debug/examples/postgres" <"$scratch/stop" >"$scratch/database" &
database=$!
exec 9>"$scratch/stop"
until [ -s "$scratch/database" ]; do
    kill -0 "$database" 2>/dev/null || fail "PostgreSQL does not start."
    sleep 0.1
done
trap 'exec 9>&-; finish' EXIT

# What the generator remembers of a run stays out of the checkout.
export HYPOTHESIS_STORAGE_DIRECTORY="$scratch/hypothesis"

# Requests that end the session with which the others are sent.
ending='^(signOut|signOutEverywhere|changePassword|endAccountSessions|setAccountRole)$'
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance

failed=()
# $1 names the run, $2 is its token.
fuzz() {
    step "$1, $seconds s, seed $seed"
    "$python_tools/bin/st" --no-color run "$url/openapi.json" --url "$url" --header "Authorization: Bearer $2" --checks "$checks" \
        --max-time "$seconds" --exclude-operation-id-regex "$ending" --seed "$seed" --continue-on-failure --workers 1 --warnings off \
        --suppress-health-check all --generation-allow-x00 true --generation-database none --report-dir "$scratch/reports" ||
        failed+=("$1")
}

for name in SQLite PostgreSQL; do
    flags=()
    [ $name = SQLite ] || flags=(--database "$(cat "$scratch/database")")
    start_server "$binary" $name "${flags[@]}"
    admin=$(sign_in_admin)
    announce_sale "$admin" lamp ""
    announce_sale "$admin" line ', "admission": {"type": "fifo", "perSecond": 10, "checkoutSeconds": 60}'
    fuzz "a buyer on $name" "$(register_buyer ada)"
    fuzz "an admin on $name" "$admin"
    if grep -E ' ERROR ' "$scratch/$name.log" | head -n 5 | grep .; then
        failed+=("the log of the server on $name")
    fi
done

[ ${#failed[@]} -eq 0 ] || fail "Failed: $(printf '%s; ' "${failed[@]}")repeat it with SEED=$seed."
say "No reply was a failure of the server, and each was as the description says."
