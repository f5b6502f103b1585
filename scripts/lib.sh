# shellcheck shell=bash
# What the scripts share. Sourced, never run: it goes to the repository's root and knows how to install a package.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# A fresh rustup is often not yet in the PATH of the shell that called us.
PATH="$PATH:$HOME/.cargo/bin"

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
fail() {
    printf '%s\n' "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command as root without asking anything; fails where that is not allowed.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

# Installs Debian packages, or says in one sentence what is missing. $1 is what they are for, the rest their names.
install_packages() {
    local purpose=$1
    shift
    local ask="Doorbuster needs $purpose: please install it (on Debian: apt-get install $*) and try again."
    if ! have apt-get || ! as_root true; then
        fail "$ask"
    fi
    say "Installing $* ($purpose) …"
    local install=(
        env DEBIAN_FRONTEND=noninteractive
        apt-get install --yes --quiet --quiet --no-install-recommends -o DPkg::Lock::Timeout=120 "$@"
    )
    if ! as_root "${install[@]}" </dev/null >/dev/null 2>&1; then
        # A machine that has never read its package lists, or has old ones, fails here the first time.
        as_root env DEBIAN_FRONTEND=noninteractive apt-get update --quiet --quiet </dev/null || fail "$ask"
        as_root "${install[@]}" </dev/null || fail "$ask"
    fi
}

# True when PostgreSQL's programs are there; Debian keeps those of the server out of the PATH.
have_postgres() {
    have initdb || [ -n "$(find /usr/lib/postgresql -path '*/bin/initdb' -print -quit 2>/dev/null)" ]
}

# True when there is a Redis or a Valkey.
have_redis() {
    have redis-server || have valkey-server
}

# True when nginx is there; Debian keeps it out of the PATH of many users.
have_nginx() {
    [ -x /usr/sbin/nginx ] || have nginx
}

# Where cargo puts what it builds: the folder `target`, unless this machine is set up otherwise.
target_dir() {
    cargo metadata --no-deps --offline --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}
