#!/usr/bin/env bash
# The shop's pages. `web.sh build` makes web/dist when something in web/ has changed. `web.sh quick` checks types, format and unit
# tests; `web.sh check` also checks generated types, unused code and the size. `web.sh journeys BINARY` lets a browser buy from a server.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

node_needed=20.19
# The limit in KiB, compressed by gzip, of the scripts that a buyer loads before the first sale is shown.
script_kib_max=110

node_works() { have node && have npm && version_at_least "$(node -p process.versions.node)" "$node_needed"; }
need_node() { node_works || fail "The pages need Node $node_needed or newer with npm: please install it and try again."; }

install_modules() {
    if [ ! web/node_modules/.package-lock.json -nt web/package-lock.json ]; then
        say "Installing the packages of web …"
        # `npm ci` fails here: with a lock file that names no registry it reports the packages of other platforms as missing. This
        # command installs the versions of the lock file too, and does not change it.
        (cd web && npm install --no-save --silent --ignore-scripts) && touch web/node_modules/.package-lock.json
    fi
}

is_built() {
    [ -f web/dist/index.html ] &&
        [ -z "$(find web/src web/index.html web/vite.config.ts web/package-lock.json -newer web/dist/index.html -print -quit)" ]
}

build() {
    is_built && return
    say "Building the pages …"
    (cd web && npm run --silent build -- --logLevel warn)
}

check_code() {
    (
        cd web
        npm run --silent typecheck
        npm run --silent lint
        npm run --silent test
    )
}

# The script of index.html and the modules that it preloads; scripts that are loaded later do not count.
check_size() {
    local bytes
    # The build compresses no file that is so small that it would not gain.
    bytes=$(cd web/dist && grep -oE 'assets/[^"]+\.js' index.html | xargs -n 1 gzip --best --stdout | wc -c)
    say "The first scripts have $((bytes / 1024)) KiB, compressed; the limit is $script_kib_max KiB."
    [ "$bytes" -le $((script_kib_max * 1024)) ] ||
        fail "The first scripts exceed their limit: load a part of them later."
}

case "${1:-}" in
build)
    # The API needs no pages, so a build without Node succeeds. The server then says how to build the pages.
    if ! node_works; then
        say "Node $node_needed or newer with npm is not installed: the server is built without its pages."
        exit 0
    fi
    install_modules
    build
    ;;
check)
    need_node
    install_modules
    (
        cd web
        npm run --silent types:check >/dev/null ||
            fail "web/src/api/schema.ts is not what docs/openapi.json says: run 'make gen' and commit the result."
        npm run --silent unused
    )
    check_code
    build
    check_size
    ;;
quick)
    need_node
    install_modules
    check_code
    ;;
journeys)
    [ -x "${2:-}" ] || fail "web.sh journeys needs the server's binary."
    need_programs chromium
    binary=$(realpath "$2")
    [ -x "$(dirname "$binary")/stripe-stand-in" ] ||
        fail "The journeys need Stripe's stand-in beside the server's binary: cargo build -p test-servers --bin stripe-stand-in"
    (cd web && DOORBUSTER_BINARY="$binary" CHROMIUM="$(command -v chromium)" npm run --silent journeys)
    ;;
*)
    fail "web.sh build, web.sh quick, web.sh check, or web.sh journeys BINARY"
    ;;
esac
