//! Whether this process is alone on the shop's tables. It is decided once, where everything is wired, and told to those who keep
//! something in memory that another process could change.

/// Who works on the tables besides this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tenancy {
    /// Nobody: the data folder is locked. What is in memory is what is in the tables, and who left something half-done is dead.
    #[default]
    Single,
    /// Other processes may: what they change is looked for, and what they are at work on is left to them.
    Cluster,
}

impl Tenancy {
    /// Whether there may be others.
    #[must_use]
    pub fn is_cluster(self) -> bool {
        self == Self::Cluster
    }
}
