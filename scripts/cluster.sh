#!/usr/bin/env bash
# Runs the cluster of deploy/compose.yaml as plain processes, without containers: nginx with deploy/nginx/cluster.conf, three
# instances, two workers, PostgreSQL and Redis (or Valkey), all on free ports, with their files in one temporary folder.
#
#     scripts/cluster.sh up                 runs until Ctrl-C, and prints the address of each process
#     scripts/cluster.sh rehearse [FLAG…]   plays a drop through nginx and judges it by the ledger in PostgreSQL; exits with the verdict
#
# DOORBUSTER_BINARY is the binary (else a release build is made), INSTANCES and WORKERS are how many of each, SERVE_FLAGS go to each
# instance, and REPORT is a folder for the rehearsal's report, which is thrown away otherwise.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

command=${1:-up}
[ $# -eq 0 ] || shift
case "$command" in
    up | rehearse) ;;
    *) fail "Write 'scripts/cluster.sh up' or 'scripts/cluster.sh rehearse', with the flags of 'doorbuster rehearse' behind it." ;;
esac
instances=${INSTANCES:-3}
workers=${WORKERS:-2}
read -r -a serve_flags <<<"${SERVE_FLAGS:-}"

need_programs postgresql redis nginx curl
redis=$(command -v valkey-server || command -v redis-server)
nginx=$(command -v nginx || echo /usr/sbin/nginx)
# Debian keeps the programs of each version in a folder of its own.
initdb=$(find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
initdb=${initdb:-$(command -v initdb)}
bin=$(dirname "$initdb")

binary=${DOORBUSTER_BINARY:-}
if [ -z "$binary" ]; then
    scripts/web.sh build || say "The pages could not be built: the API is there without them."
    binary=$(scripts/build.sh)
fi
[ -x "$binary" ] || fail "There is no binary $binary to run."
binary=$(realpath "$binary")

folder=$(mktemp -d "${TMPDIR:-/tmp}/doorbuster-cluster.XXXXXX")
# PostgreSQL refuses to run as root, and its user must be able to enter the folder.
chmod 755 "$folder"
as_postgres=()
if [ "$(id -u)" -eq 0 ]; then
    user=postgres
    id "$user" >/dev/null 2>&1 || user=nobody
    as_postgres=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --clear-groups)
fi
pids=()

# Stops the instances first, so that each can finish its requests; then the servers that they use.
# shellcheck disable=SC2317 # the trap calls it
end() {
    local pid
    [ ! -s "$folder/nginx.pid" ] || kill -QUIT "$(cat "$folder/nginx.pid")" 2>/dev/null || true
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    [ -z "${redis_pid:-}" ] || kill "$redis_pid" 2>/dev/null || true
    [ ! -s "$folder/postgres/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$folder/postgres/postmaster.pid")" 2>/dev/null || true
    wait 2>/dev/null || true
    if [ "${failed:-no}" = yes ]; then
        say "The logs of the processes are in $folder."
    else
        rm -rf "$folder"
    fi
}
trap end EXIT
trap 'exit 130' INT TERM
broken() {
    failed=yes
    fail "$1"
}

# Sets `port` to one without a listener, below the ports that the system gives to clients: a client may take one of those at any moment.
next_port=$((10000 + $$ % 9000))
free_port() {
    while (exec 3<>"/dev/tcp/127.0.0.1/$next_port") 2>/dev/null; do next_port=$((next_port + 1)); done
    port=$next_port
    next_port=$((next_port + 1))
}

# Repeats a command until it succeeds, for up to 60 s. $1 names the server that it waits for.
wait_for() {
    local what=$1 tries
    shift
    for ((tries = 0; tries < 600; tries++)); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    broken "$what does not answer."
}

free_port
postgres_port=$port
mkdir "$folder/postgres"
[ ${#as_postgres[@]} -eq 0 ] || chown "$user" "$folder/postgres"
"${as_postgres[@]}" "$initdb" --pgdata="$folder/postgres" --username=doorbuster --auth=trust --encoding=UTF8 --locale=C >"$folder/postgres.log" 2>&1 ||
    broken "PostgreSQL could not be set up."
"${as_postgres[@]}" "$bin/postgres" -D "$folder/postgres" -p "$postgres_port" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= -c max_connections=300 >>"$folder/postgres.log" 2>&1 &
wait_for PostgreSQL "$bin/psql" -h 127.0.0.1 -p "$postgres_port" -U doorbuster -c 'SELECT 1' postgres
"$bin/psql" --quiet -h 127.0.0.1 -p "$postgres_port" -U doorbuster -c 'CREATE DATABASE doorbuster' postgres
database="postgres://doorbuster@127.0.0.1:$postgres_port/doorbuster"

free_port
redis_port=$port
"$redis" --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no --maxmemory-policy noeviction --dir "$folder" >"$folder/redis.log" 2>&1 &
redis_pid=$!
wait_for Redis bash -c "exec 3<>/dev/tcp/127.0.0.1/$redis_port"
valkey="redis://127.0.0.1:$redis_port"

export DOORBUSTER_DATABASE="$database" DOORBUSTER_VALKEY="$valkey"
export DOORBUSTER_ADMIN_EMAIL=admin@doorbuster.local
DOORBUSTER_ADMIN_PASSWORD=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
export DOORBUSTER_ADMIN_PASSWORD
"$binary" migrate >"$folder/migrate.log" 2>&1 || broken "The tables could not be made."

: >"$folder/doorbuster-instances.conf"
for ((no = 1; no <= instances; no++)); do
    free_port
    listen=$port
    free_port
    # Each buyer of a rehearsal connects from this machine; nginx forwards the address that the buyer claims.
    "$binary" serve --listen "127.0.0.1:$listen" --metrics-listen "127.0.0.1:$port" --roles api --migrate off \
        --data "$folder/none" --trusted-proxies 127.0.0.1 "${serve_flags[@]}" >"$folder/serve-$no.log" 2>&1 &
    pids+=($!)
    say "instance $no: http://127.0.0.1:$listen, metrics http://127.0.0.1:$port/metrics"
    echo "server 127.0.0.1:$listen max_fails=3 fail_timeout=2s;" >>"$folder/doorbuster-instances.conf"
    wait_for "instance $no" curl --fail --silent "http://127.0.0.1:$listen/readyz"
done
for ((no = 1; no <= workers; no++)); do
    free_port
    "$binary" worker --metrics-listen "127.0.0.1:$port" --migrate off --data "$folder/none" >"$folder/worker-$no.log" 2>&1 &
    pids+=($!)
    say "worker $no: metrics http://127.0.0.1:$port/metrics"
    wait_for "worker $no" curl --fail --silent "http://127.0.0.1:$port/readyz"
done

free_port
sed "s/listen 80 /listen 127.0.0.1:$port /" deploy/nginx/cluster.conf >"$folder/cluster.conf"
# Without root nginx cannot raise its limit of open files.
sed -e "s|^pid .*|pid $folder/nginx.pid;|" -e '/^user /d' -e '/^worker_rlimit_nofile /d' deploy/nginx/nginx.conf >"$folder/nginx.conf"
"$nginx" -p "$folder" -e "$folder/nginx.log" -c "$folder/nginx.conf" -g 'daemon on;' || broken "nginx does not start."
url="http://127.0.0.1:$port"
wait_for nginx curl --fail --silent "$url/readyz"

if [ "$command" = up ]; then
    say
    say "The cluster serves $url; sign in as $DOORBUSTER_ADMIN_EMAIL with the password $DOORBUSTER_ADMIN_PASSWORD."
    say "PostgreSQL is $database, Redis $valkey. Ctrl-C stops everything and deletes its data."
    wait "${pids[0]}" || true
    broken "An instance has ended."
fi

# The rehearsal makes its buyers' tokens with the key, which is faster than signing up each buyer.
(umask 077 && "$bin/psql" --no-psqlrc --tuples-only --no-align "$database" -c "SELECT value FROM secrets WHERE name = 'token-key'" >"$folder/token-key.pem")
rehearsed=0
"$binary" rehearse --url "$url" --database "$database" --token-key "$folder/token-key.pem" --report "${REPORT:-$folder/report}" "$@" || rehearsed=$?
if [ $rehearsed -ne 0 ]; then failed=yes; fi
exit $rehearsed
