//! Whether other processes share the shop's tables. It is decided once, at the start; every module that caches what another process
//! could change needs it.

/// Which processes use the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tenancy {
    /// Only this one: the data folder is locked. Memory equals the tables, and what is half-done was left by a dead process.
    #[default]
    Single,
    /// Others may: their changes are polled, and what they work on is left to them.
    Cluster,
}

impl Tenancy {
    /// Whether there may be others.
    #[must_use]
    pub fn is_cluster(self) -> bool {
        self == Self::Cluster
    }
}
