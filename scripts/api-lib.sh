# shellcheck shell=bash
# What the scripts share that call the API of a real server. They source this after scripts/lib.sh.

# Generators and the fuzzer, in versions that scripts/api-tools pins.
install_python_tools() {
    python_tools="$(target_dir)/tools/api"
    [ ! "$python_tools/installed" -nt scripts/api-tools/requirements.txt ] || return 0
    say "Installing the Python tools of scripts/api-tools (once, into $python_tools) …"
    python3 -m venv "$python_tools" || fail "Python cannot make a virtual environment: please install it (on Debian: apt-get install python3-venv)."
    "$python_tools/bin/pip" install --quiet --disable-pip-version-check --requirement scripts/api-tools/requirements.txt
    touch "$python_tools/installed"
}

install_node_tools() {
    local marker=scripts/api-tools/node_modules/.package-lock.json
    [ ! "$marker" -nt scripts/api-tools/package-lock.json ] || return 0
    say "Installing the packages of scripts/api-tools …"
    (cd scripts/api-tools && npm ci --silent --ignore-scripts) && touch "$marker"
}

# A folder and processes that the end of the script removes.
scratch=$(mktemp -d)
processes=()
finish() {
    local process
    for process in "${processes[@]}"; do kill "$process" 2>/dev/null || true; done
    wait
    rm -rf "$scratch"
}
trap finish EXIT

admin_email=admin@example.com
password="correct horse battery"

# Starts a server and sets `url`. $1 is the binary, $2 names the server, the rest are flags of `serve`.
start_server() {
    local binary=$1 name=$2 flags=("${@:3}")
    # Without the variables of the caller. The server chooses its port and prints it.
    env -i PATH="$PATH" "$binary" serve --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 --data "$scratch/$name" --limits off \
        --admin-email "$admin_email" --admin-password "$password" "${flags[@]}" >"$scratch/$name.log" 2>&1 &
    processes+=($!)
    url=
    until [ -n "$url" ]; do
        kill -0 "${processes[-1]}" 2>/dev/null || fail "The server does not start: $(tail -n 5 "$scratch/$name.log")"
        url=$(grep -oE 'http://127\.0\.0\.1:[0-9]+' "$scratch/$name.log" | head -n 1 || true)
        sleep 0.1
    done
    until curl --silent --fail --output /dev/null "$url/readyz"; do sleep 0.1; done
}

# Sends $3 as JSON to the path $1 with the token $2 (which may be empty), and prints the member $4 of the reply.
post() {
    curl --silent --show-error --fail-with-body --header 'content-type: application/json' ${2:+--header "authorization: Bearer $2"} \
        --data "$3" "$url/api/v1$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$4"
}

sign_in_admin() { post /auth/login "" "{\"email\": \"$admin_email\", \"password\": \"$password\"}" accessToken; }
register_buyer() {
    post /auth/register "" "{\"email\": \"$1@example.com\", \"username\": \"$1\", \"password\": \"$password\"}" accessToken
}

# Announces a sale that runs for an hour, with the slug $2 and the fields $3 on top; $1 is the admin's token.
announce_sale() {
    local product times
    product=$(post /admin/products "$1" '{"name": "Aurora desk lamp", "price": {"amount": 12900, "currency": "EUR"}}' id)
    times=$(python3 -c 'from datetime import *; n = datetime.now(timezone.utc); h = timedelta(hours=1); m = timedelta(seconds=1)
print("\"startsAt\": \"%s\", \"endsAt\": \"%s\"" % ((n - m).isoformat(), (n + h).isoformat()))')
    post /admin/flash-sales "$1" "{\"productId\": \"$product\", \"slug\": \"$2\", \"price\": {\"amount\": 4900, \"currency\": \"EUR\"},
        \"quantity\": 1000, $times$3}" id >/dev/null
}
