# shellcheck shell=bash
# Functions that the scripts share. Other scripts source this file: it changes to the repository's root and installs missing packages.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# rustup adds this folder to the PATH of new shells only; the shell that called the script may be older.
PATH="$PATH:$HOME/.cargo/bin"

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
fail() {
    printf '%s\n' "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# True when version $1 is at least version $2.
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# Whether a person can answer a question.
interactive=no
if [ -t 0 ] && [ -t 2 ]; then interactive=yes; fi

# True when cc can compile and link: Rust links with it and SQLite is compiled by it.
cc_works() { have cc && printf '#include <stdio.h>\nint main(void) { return 0; }\n' | cc -x c - -o /dev/null 2>/dev/null; }

# Prints a Python that can read YAML. The first one in the PATH may lack the system's packages.
yaml_python() {
    local python
    for python in python3 /usr/bin/python3; do
        if have "$python" && "$python" -c 'import yaml' 2>/dev/null; then
            say "$python"
            return
        fi
    done
    return 1
}

# Prints a Python that has the SMTP server of the tests.
mail_python() {
    local python
    for python in python3 /usr/bin/python3; do
        if have "$python" && "$python" -c 'import aiosmtpd' 2>/dev/null; then
            say "$python"
            return
        fi
    done
    return 1
}

# True when the program $1 is installed.
program_exists() {
    case $1 in
        cc) cc_works ;;
        # Debian keeps these two out of the PATH of many users.
        postgresql) have initdb || [ -n "$(find /usr/lib/postgresql -path '*/bin/initdb' -print -quit 2>/dev/null)" ] ;;
        nginx) have nginx || [ -x /usr/sbin/nginx ] ;;
        redis) have redis-server || have valkey-server ;;
        yaml-python) yaml_python >/dev/null ;;
        mail-server) mail_python >/dev/null ;;
        *) have "$1" ;;
    esac
}

# Prints the Debian packages that contain the program $1.
packages_of() {
    case $1 in
        cc) say gcc libc6-dev ;;
        c++) say g++ ;;
        java) say default-jre-headless ;;
        mvn) say maven ;;
        nginx) say nginx-light ;;
        node) say nodejs ;;
        promtool) say prometheus ;;
        redis) say redis-server ;;
        yaml-python) say python3-yaml ;;
        mail-server) say python3-aiosmtpd ;;
        *) say "$1" ;;
    esac
}

# Sets `missing` to the programs among the arguments that are not installed, and `packages` to the packages that contain them.
find_missing() {
    local program
    missing=() packages=()
    for program in "$@"; do
        program_exists "$program" && continue
        missing+=("$program")
        # shellcheck disable=SC2207 # package names have no spaces
        packages+=($(packages_of "$program"))
    done
}

# Runs a command as root. Only with a terminal may sudo ask for a password.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif [ $interactive = yes ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

apt_get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet --quiet -o DPkg::Lock::Timeout=120 "$@" </dev/null; }

# Installs those of the programs that are missing, after one question if there is a terminal.
want_programs() {
    local answer package
    find_missing "$@"
    if [ ${#missing[@]} -eq 0 ] || ! have apt-get; then return; fi
    if [ $interactive = yes ]; then
        read -r -p "Doorbuster needs ${missing[*]}. Install the packages ${packages[*]}? [Y/n] " answer || return 0
        case $answer in '' | [Yy]*) ;; *) return ;; esac
    fi
    say "Installing ${packages[*]} …"
    apt_get install --no-install-recommends "${packages[@]}" >/dev/null 2>&1 && return
    # The package lists are missing or old, or this system has no package of one of the names: the others are installed.
    apt_get update || true
    for package in "${packages[@]}"; do
        apt_get install --no-install-recommends "$package" >/dev/null || say "$package could not be installed."
    done
}

# Ends the script if one of the programs is missing.
require_programs() {
    find_missing "$@"
    [ ${#missing[@]} -eq 0 ] ||
        fail "Doorbuster needs ${missing[*]}: please install them (on Debian: apt-get install ${packages[*]}) and try again."
}

# Installs the programs that are missing, and ends the script if that fails.
need_programs() {
    want_programs "$@"
    require_programs "$@"
}

# Prints the folder of cargo's output: `target`, unless this machine is configured otherwise.
target_dir() {
    cargo metadata --no-deps --offline --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}

# Sets TMPDIR to a folder in memory, where $1 GiB are free; the end of the script removes it. Each commit of a test waits for the disk, which
# others may keep busy. Tests kill processes, never the machine: no file system loses what a killed process wrote.
keep_tests_in_memory() {
    local memory=/dev/shm room_kib=$(($1 << 20)) folder
    [ -w $memory ] && [ "$(df --output=avail -k $memory | tail -n 1)" -ge $room_kib ] || return 0
    [ "$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)" -ge $room_kib ] || return 0
    folder=$(mktemp -d $memory/doorbuster-tests.XXXXXX)
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$folder'" EXIT
    # PostgreSQL runs as another user when the tests run as root.
    chmod 755 "$folder"
    # Containers may forbid to execute what is there.
    cp "$(type -P true)" "$folder"
    if "$folder/true" 2>/dev/null; then export TMPDIR=$folder; fi
}
