#!/usr/bin/env bash
# Builds the binary as it is shipped, and prints its path: target/release/doorbuster has no symbols, and doorbuster.debug beside it
# has them all. A backtrace, gdb and perf read that file by themselves if it lies beside the binary that runs.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

cargo build --release --locked --quiet --bin doorbuster
release="$(target_dir)/release"

# macOS has no objcopy: the binary keeps what cargo gave it.
if have objcopy; then
    objcopy --only-keep-debug --compress-debug-sections "$release/doorbuster" "$release/doorbuster.debug"
    # Into a new file: cargo's own copy is a hard link to this one, and the next build starts from it.
    (cd "$release" && objcopy --strip-all --add-gnu-debuglink=doorbuster.debug doorbuster doorbuster.stripped && mv doorbuster.stripped doorbuster)
fi
say "$release/doorbuster"
