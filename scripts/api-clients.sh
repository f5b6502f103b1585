#!/usr/bin/env bash
# Generates clients for TypeScript and Python from docs/openapi.json, compiles them, and lets each make a purchase at a real server. The
# argument is the server's binary; without one the script builds it.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/api-lib.sh
source scripts/api-lib.sh

binary=${1:-}
if [ -z "$binary" ]; then
    cargo build --locked --quiet --bin doorbuster
    binary="$(target_dir)/debug/doorbuster"
fi
need_programs node npm python3 curl
install_node_tools
install_python_tools

start_server "$binary" clients
announce_sale "$(sign_in_admin)" lamp ""

step "a client for TypeScript"
work="$scratch/typescript"
mkdir "$work"
cp scripts/api-tools/{buy.ts,tsconfig.json,package.json} "$work"
ln -s "$PWD/scripts/api-tools/node_modules" "$work/node_modules"
node_tools="$PWD/scripts/api-tools/node_modules/.bin"
"$node_tools/openapi-ts" --input ./docs/openapi.json --output "$work/client" --client @hey-api/client-fetch --silent
(cd "$work" && "$node_tools/tsc" && node built/buy.js "$url" lamp)

step "a client for Python"
work="$scratch/python"
mkdir "$work"
(
    PATH="$python_tools/bin:$PATH"
    openapi-python-client generate --path docs/openapi.json --output-path "$work/shop_client" --meta none --fail-on-warning
    PYTHONPATH="$work" python3 -m compileall -q "$work/shop_client"
    PYTHONPATH="$work" python3 scripts/api-tools/buy.py "$url" lamp
)
