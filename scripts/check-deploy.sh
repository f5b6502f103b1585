#!/usr/bin/env bash
# The files in deploy/ do what they say: nginx reads its configurations and keeps their promises, Prometheus reads the alerts and raises
# them, and settings, metrics and addresses are those that exist. No container is started and nothing is built.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

# The packages of nginx and Prometheus would also start them as services; here they are started as they are needed.
nginx_program() { [ -x /usr/sbin/nginx ] || have nginx; }
nginx_program || install_packages "nginx, for testing its configurations" nginx
have node || install_packages "Node, for testing nginx" nodejs
have promtool || install_packages "promtool, for testing the alerts" prometheus
PATH="$PATH:/usr/sbin"

# The Python that comes first may be one that lacks the package of the system's.
python=python3
can_read_yaml() { have "$python" && "$python" -c 'import yaml' 2>/dev/null; }
if ! can_read_yaml; then
    python=/usr/bin/python3
    can_read_yaml || install_packages "Python with YAML, for reading the files in deploy" python3-yaml
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# $1 is the folder of a configuration that is whole. Reading it also opens what it listens on, and port 80 is not everyone's.
read_nginx() {
    sed -i "s#/run/nginx.pid#$1/nginx.pid#" "$1/nginx.conf"
    sed -i "s#listen 80#listen unix:$1/door#" "$1"/*.conf
    nginx -t -q -p "$1" -c "$1/nginx.conf" -e stderr || fail "nginx does not take the configuration for $(basename "$1")."
}

say "nginx (one instance, many, and compose's), and the health check"
for which in one many compose; do
    mkdir "$scratch/$which"
    cp deploy/nginx/*.conf "$scratch/$which"
done
sed -i 's/include cluster.conf;/include doorbuster.conf;/' "$scratch/one/nginx.conf"
cp deploy/nginx/compose-instances.conf "$scratch/compose/doorbuster-instances.conf"
for which in one many compose; do read_nginx "$scratch/$which"; done
node --test --test-reporter=spec deploy/nginx/test/cluster.test.mjs deploy/test/healthcheck.test.mjs

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
    # Their program is not installed here, and is looked for.
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
