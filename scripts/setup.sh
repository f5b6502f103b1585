#!/usr/bin/env bash
# Installs the programs that are missing, after one question if there is a terminal. The argument says for what:
#   build    building and running Doorbuster
#   cluster  the above, and the servers that scripts/cluster.sh starts
#   servers  the above, and the other servers that tests start
#   test     everything that `make test` and `make check` use (the default)
#   bench    the servers, the load generator, and the packages of benches/peer

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

cluster=(postgresql redis nginx curl)
servers=("${cluster[@]}" java)
# Kafka's client is built from source, with OpenSSL.
build=(cc c++ make perl)
# Doorbuster builds without Node, and then serves the API without pages.
case ${1:-test} in
    build) required=("${build[@]}") optional=(node npm) ;;
    cluster) required=("${build[@]}" "${cluster[@]}") optional=(node npm) ;;
    servers) required=("${build[@]}" "${servers[@]}") optional=(node npm) ;;
    test) required=("${build[@]}" git node npm "${servers[@]}" chromium promtool yaml-python mail-server) optional=(shellcheck) ;;
    bench) required=("${build[@]}" "${servers[@]}" wrk) optional=(node npm) ;;
    *) fail "Write 'scripts/setup.sh', or name one of build, cluster, servers, test, bench." ;;
esac
want_programs "${required[@]}" "${optional[@]}"
require_programs "${required[@]}"

rust_needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if ! have cargo || ! have rustc; then
    fail "Doorbuster needs Rust $rust_needed or newer: please install it from https://rustup.rs and try again."
fi
rust_here=$(rustc --version | cut -d ' ' -f 2)
version_at_least "${rust_here%%-*}" "$rust_needed" ||
    fail "Doorbuster needs Rust $rust_needed or newer, and this machine has $rust_here: please update it (rustup update stable) and try again."

# Optional: without the formatter or the linter, lint.sh leaves out that check and says so.
add_component() {
    if ! cargo "$1" --version >/dev/null 2>&1 && have rustup; then
        say "Adding $2 …"
        rustup --quiet component add "$2" || say "$2 could not be added."
    fi
}
add_component fmt rustfmt
add_component clippy clippy

# The broker that tests start, unless a Kafka is installed that they can use (crates/test-servers/src/kafka.rs): its jars.
kafka_exists() {
    local jar version
    for jar in /opt/kafka/libs/kafka_2.13-*.jar /usr/share/kafka/libs/kafka_2.13-*.jar; do
        [ -e "$jar" ] || continue
        version=${jar##*/kafka_2.13-}
        version=${version%.jar}
        if version_at_least "$version" 4.1 && ! version_at_least "$version" 5; then
            return 0
        fi
        say "Kafka $version in ${jar%/*} is not used: the tests need 4.1 or a later 4, and use their own jars."
    done
    [ target/tools/kafka/complete -nt crates/test-servers/kafka/pom.xml ]
}
if [[ ${1:-test} != @(build|cluster) ]] && ! kafka_exists; then
    need_programs mvn
    say "Fetching Kafka's jars …"
    rm -rf target/tools/kafka
    mvn --quiet --batch-mode --file crates/test-servers/kafka/pom.xml dependency:copy-dependencies -DincludeScope=runtime \
        -DoutputDirectory="$PWD/target/tools/kafka"
    touch target/tools/kafka/complete
fi

# Optional: without stripe-mock, which has the published description of Stripe's API, the test that needs it says so
# (crates/server/tests/stripe/request_shapes.rs). Go is not installed for it: that of Debian 12 is too old.
stripe_mock=v0.203.0
if [ "${1:-test}" = test ] && have go &&
    [[ $(go version -m target/tools/stripe-mock 2>/dev/null) != *stripe-mock$'\t'$stripe_mock* ]]; then
    say "Fetching stripe-mock …"
    GOBIN="$PWD/target/tools" go install "github.com/stripe/stripe-mock@$stripe_mock" || say "stripe-mock could not be fetched."
fi

# Optional: without the peer's packages the benchmark leaves out the peer and says so.
if [ "${1:-}" = bench ] && have npm && [ ! benches/peer/node_modules/.package-lock.json -nt benches/peer/package-lock.json ]; then
    say "Installing the packages of benches/peer …"
    (cd benches/peer && npm ci --silent --ignore-scripts && touch node_modules/.package-lock.json) || true
fi

say "All programs are installed (Rust $rust_here)."
