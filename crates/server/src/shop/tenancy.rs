//! Whether this process is alone on the shop's tables. It is decided once, at the start, for all parts that keep copies in memory which
//! another process could change.

/// Whether other processes work on the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tenancy {
    /// None do: the data folder is locked. Memory agrees with the tables, and a process that left something half-done is dead.
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
