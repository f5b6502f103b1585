//! How many connections a crowd shares: as many as wanted, within the limits of open files and ports. It never fails: a note
//! in the report has the number.

use crate::commands::open_files;

/// Connections without a flag: a load balancer keeps about as many to one instance.
const DEFAULT_CONNECTIONS: u32 = 1_000;
/// Other open files of the process.
const OTHER_FILES: u64 = 128;
/// Ports from which one machine can reach one address at the same time, by the usual range of the system.
const PORTS: u64 = 28_000;

/// The number of connections for this many people, and notes about it for the report.
pub(super) fn choose_connections(wanted: Option<u32>, people: u32) -> (usize, Vec<String>) {
    let files = open_files::raise_to_maximum().unwrap_or(u64::MAX);
    let (connections, note) = bound_connections(wanted, people, files);
    (usize::try_from(connections).unwrap_or(usize::MAX), note.into_iter().collect())
}

/// The number of sockets for this many people beside their connections, and a note when some have none.
pub(super) fn choose_sockets(people: u32, connections: usize) -> (usize, Option<String>) {
    let files = open_files::raise_to_maximum().unwrap_or(u64::MAX);
    bound_sockets(people, connections as u64, files)
}

fn bound_sockets(people: u32, connections: u64, files: u64) -> (usize, Option<String>) {
    let reach = files.saturating_sub(OTHER_FILES).min(PORTS).saturating_sub(connections);
    let sockets = u64::from(people).min(reach);
    let note = (sockets < u64::from(people))
        .then(|| format!("{sockets} of {people} people had a socket at a time, the others polled."));
    (usize::try_from(sockets).unwrap_or(usize::MAX), note)
}

fn bound_connections(wanted: Option<u32>, people: u32, files: u64) -> (u64, Option<String>) {
    let requested = u64::from(wanted.unwrap_or(DEFAULT_CONNECTIONS)).min(u64::from(people)).max(1);
    // A private instance has files of its own for its ends of the connections.
    let reach = files.saturating_sub(OTHER_FILES).clamp(1, PORTS);
    let connections = requested.min(reach);
    let note = if connections < requested {
        let why = if reach < PORTS {
            format!("this machine allows {files} open files to a process")
        } else {
            format!("a machine has about {PORTS} ports for connections to one address")
        };
        Some(format!("{people} people shared {connections} connections, not {requested}: {why}."))
    } else if connections < u64::from(people) {
        Some(format!("{people} people shared {connections} connections, as behind a load balancer."))
    } else {
        None
    };
    (connections, note)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_get_what_the_connections_leave() {
        assert_eq!(bound_sockets(300, 300, 1_000_000), (300, None));
        let (sockets, note) = bound_sockets(100_000, 1_000, 20_000);
        assert_eq!(sockets, 18_872);
        assert!(note.expect("a note").contains("the others polled"));
        assert_eq!(bound_sockets(10, 1_000, 500).0, 0);
    }

    #[test]
    fn a_crowd_shares_what_the_machine_allows_and_says_so() {
        assert_eq!(bound_connections(None, 300, 1_000_000), (300, None));
        let (connections, note) = bound_connections(None, 100_000, 1_000_000);
        assert_eq!(connections, 1_000);
        assert!(note.expect("a note").contains("as behind a load balancer"));
        let (connections, note) = bound_connections(Some(5_000), 100_000, 1_024);
        assert_eq!(connections, 896);
        assert!(note.expect("a note").contains("1024 open files"));
        let (connections, note) = bound_connections(Some(60_000), 100_000, u64::MAX);
        assert_eq!(connections, 28_000);
        assert!(note.expect("a note").contains("28000 ports"));
    }
}
