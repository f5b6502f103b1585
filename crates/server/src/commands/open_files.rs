//! Raises the limit of open files, once, at the start of `serve` and `rehearse`: each connection is a file, and the limit that a
//! process starts with (often 1,024) is for programs that use `select`. It never fails a start.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are open besides the connections: ledger, tables, listeners, log.
const OTHER_FILES: u64 = 64;

/// Raises the limit as far as this process may, and logs the result.
pub fn raise_limit(connections_max: u32) {
    let Some(files_max) = raise_to_maximum() else { return };
    if is_enough(files_max, connections_max) {
        tracing::info!(files_max, "raised the limit of open files");
    } else {
        tracing::warn!(
            files_max,
            connections_max,
            "the limit of open files allows fewer connections than --connections-max: raise it (ulimit -n, LimitNOFILE) or lower that"
        );
    }
}

/// Raises the limit as far as this process may, and returns it; `None` when there is no limit.
pub fn raise_to_maximum() -> Option<u64> {
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum
        && let Err(error) =
            setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum })
    {
        tracing::warn!(%error, "raising the limit of open files failed; connections beyond it wait; raise it (ulimit -n, LimitNOFILE)");
    }
    getrlimit(Resource::Nofile).current
}

fn is_enough(files_max: u64, connections_max: u32) -> bool {
    files_max >= u64::from(connections_max) + OTHER_FILES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_it_goes() {
        raise_limit(1);
        let after = getrlimit(Resource::Nofile);
        assert_eq!(after.current, after.maximum);
    }

    #[test]
    fn connections_are_not_the_only_files() {
        assert!(is_enough(1_064, 1_000));
        assert!(!is_enough(1_024, 1_000));
    }
}
