#!/usr/bin/env bash
# Makes accounts and prints their access tokens, one a line, for flow.js, spike.js and wrk. Tokens are good for a day.
#   deploy/k6/tokens.sh COUNT [BASE_URL] >tokens.txt
# A server with its usual limits makes 100 accounts in 15 minutes for an address; start it with --limit-auth 1000000/15m.
set -euo pipefail

count=${1:?how many tokens? usage: tokens.sh COUNT [BASE_URL]}
export api="${2:-http://127.0.0.1:8080}/api/v1"
# Names of this run; the process and the second make them unique.
run="$(date +%s)-$$"
export run

register() {
    local name="k6-$run-$1" reply
    reply=$(curl --silent --show-error "$api/auth/register" --header 'Content-Type: application/json' \
        --data "{\"email\": \"$name@example.com\", \"username\": \"$name\", \"password\": \"only for a load test\"}")
    case $reply in
        *'"accessToken":"'*)
            reply=${reply#*'"accessToken":"'}
            printf '%s\n' "${reply%%'"'*}"
            ;;
        *'"code":"rate_limited"'*)
            echo "The server makes no more accounts for this address: start it with --limit-auth 1000000/15m." >&2
            exit 255 # xargs stops at this one.
            ;;
        *)
            echo "No account: $reply" >&2
            exit 255
            ;;
    esac
}
export -f register

# Four at a time: passwords are hashed slowly on purpose, on a few threads of the server.
seq "$count" | xargs -P 4 -I '{}' bash -c 'register {}'
