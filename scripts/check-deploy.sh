#!/usr/bin/env bash
# Tests the files in deploy/: nginx accepts its configurations and behaves as they say, Prometheus accepts the alerts and raises them,
# and the settings, metrics and addresses exist. It starts no container and builds nothing.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

need_programs nginx node promtool yaml-python
PATH="$PATH:/usr/sbin"
python=$(yaml_python)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# $1 is the folder of a complete configuration. nginx -t also opens its listeners, and port 80 needs root: they become Unix sockets.
read_nginx() {
    sed -i "s#/run/nginx.pid#$1/nginx.pid#" "$1/nginx.conf"
    sed -i "s#listen 80#listen unix:$1/listener#" "$1"/*.conf
    sed -i "s#/var/cache/nginx-doorbuster#$1/feeds#" "$1"/*.conf
    nginx -t -q -p "$1" -c "$1/nginx.conf" -e stderr || fail "nginx does not take the configuration for $(basename "$1")."
}

say "nginx (one instance, one on two ports, many, and compose's), and the health check"
for which in one many compose two; do
    mkdir "$scratch/$which"
    cp deploy/nginx/*.conf "$scratch/$which"
done
sed -i 's/include cluster.conf;/include doorbuster.conf;/' "$scratch/one/nginx.conf"
sed -i 's/include cluster.conf;/include two-ports.conf;/' "$scratch/two/nginx.conf"
sed -i "s#listen 8081#listen unix:$scratch/two/admin#" "$scratch/two/two-ports.conf"
cp deploy/nginx/compose-instances.conf "$scratch/compose/doorbuster-instances.conf"
for which in one two many compose; do read_nginx "$scratch/$which"; done
node --test --test-reporter=spec deploy/nginx/test/cluster.test.mjs deploy/nginx/test/two-ports.test.mjs deploy/test/healthcheck.test.mjs

say "Prometheus"
promtool check config --lint-fatal deploy/prometheus/prometheus.yml >/dev/null
(cd deploy/prometheus && promtool test rules alerts.test.yml >"$scratch/alerts" 2>&1) || {
    cat "$scratch/alerts"
    fail "The alerts are not raised as alerts.test.yml says."
}

say "settings, metrics, addresses, secrets, times to drain"
"$python" deploy/test/files.py || fail "The files in deploy are not what the rest of the repository says."

say "scripts"
for script in deploy/*.sh deploy/*/*.sh; do bash -n "$script"; done

if have systemd-analyze; then
    say "units"
    mkdir "$scratch/units"
    # systemd looks for the units' program, which is not installed here.
    printf '#!/bin/sh\n' >"$scratch/units/program"
    chmod +x "$scratch/units/program"
    for unit in deploy/systemd/*.service; do
        name=$(basename "$unit")
        sed "s#/usr/local/bin/doorbuster#$scratch/units/program#" "$unit" >"$scratch/units/${name/@/@8081}"
    done
    systemd-analyze verify --man=no "$scratch"/units/*.service || fail "systemd does not take the units."
else
    say "systemd-analyze is not here: the units were not checked."
fi

if have kubectl; then
    say "Kubernetes"
    kubectl kustomize deploy/kubernetes >/dev/null || fail "The manifests do not fit together."
else
    say "kubectl is not here: the manifests were only parsed."
fi
