# shellcheck shell=bash
# Functions for the scripts that run the commands of a page in docs/ and compare what they print with the page.

# Splits the page $1 into one command file (N.sh) and, where the page says what is printed, one expectation (N.text) for each block behind
# a line `<!-- test -->`, in the folder $2. Prints the number of blocks.
split_page() {
    awk -v folder="$2" '
        /^<!-- test -->$/ { marked = 1; next }
        /^```sh$/ && marked { n++; out = folder "/" n ".sh"; marked = 0; wanted = 1; printf "" >out; next }
        /^```text$/ && wanted { out = folder "/" n ".text"; wanted = 0; printf "" >out; next }
        /^```/ { if (out) close(out); out = ""; next }
        out { print >out; next }
        /[^ ]/ { wanted = 0 }
        END { print n + 0 }
    ' "$1"
}

# Prints the blocks 1 to $2 of the folder $1 as one script: all of them run in one shell, as a reader types them, and in that folder.
join_blocks() {
    local n
    printf 'cd "%s"\n' "$1"
    for ((n = 1; n <= $2; n++)); do
        # A group and not a subshell: the next block uses the variables of this one.
        printf '{\n%s\n} >"%s/%d.out" 2>&1\n' "$(cat "$1/$n.sh")" "$1" "$n"
    done
}

# Without blanks and line breaks, because a page wraps what a program prints in one line.
squeeze() { tr -d ' \t\n'; }

# Moments differ from run to run. Each becomes the same word, in a page and in what is printed: what stands beside a moment is compared.
hide_moments() { sed -E 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z/<moment>/g'; }

# A page as a pattern of bash: ids differ from run to run, and `…` stands for anything.
pattern() {
    hide_moments |
        sed -E \
            -e 's/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/…/g' \
            -e 's/[0-9a-f]{8}-([0-9a-f]{4}-)?…/…/g' |
        squeeze |
        sed -e 's/[][*?\\]/\\&/g' -e 's/…/*/g'
}

# Compares what the blocks 1 to $3 in the folder $2 have printed with the page $1; fails at the first difference.
compare_blocks() {
    local n actual expected
    for ((n = 1; n <= $3; n++)); do
        [ -e "$2/$n.text" ] || continue
        actual=$(hide_moments <"$2/$n.out" 2>/dev/null | squeeze || true)
        expected=$(pattern <"$2/$n.text")
        # shellcheck disable=SC2053 # it is a pattern
        if [[ $actual != $expected ]]; then
            {
                say "$1: these commands do not print what the page says."
                printf '\n--- commands\n'
                cat "$2/$n.sh"
                printf -- '--- the page\n'
                cat "$2/$n.text"
                printf -- '--- printed\n'
                cat "$2/$n.out"
            } >&2
            return 1
        fi
    done
}
