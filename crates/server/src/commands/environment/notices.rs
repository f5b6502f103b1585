//! What a start says of the variables of other systems: which one it took, and which ones it does not use. It never shows a value that
//! may be a secret.

use super::{Variables, find};

/// A line that the start logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartNotice {
    /// `PORT` is taken.
    ListensOnPort { address: String },
    /// `REDIS_URL` is not used.
    RedisWithoutDatabase,
    /// Variables that have no use here, each with what to set instead.
    Unused { variables: String },
    /// `JWT_SECRET` is not used.
    SharedSecretUnused,
}

/// Variables that are not used, and what to set instead.
const UNUSED: [(&str, &str); 6] = [
    ("ADMIN_HOST", MERCHANT_PAGES),
    ("ADMIN_PORT", MERCHANT_PAGES),
    ("FEND_HOST", PAGES),
    ("FEND_PORT", PAGES),
    ("MONGO_URL", "set DATABASE_URL to a PostgreSQL, or nothing for the embedded store"),
    ("QUEUE_NAME", "set nothing, each sale has a line of its own"),
];
const MERCHANT_PAGES: &str = "set --listen, which also serves the merchant's pages below /admin";
const PAGES: &str = "set --listen, which also serves the pages, and --public-url to their address";

/// The variables that are set and not used, in one notice.
pub(super) fn list_unused(variables: &Variables) -> Option<StartNotice> {
    let set = UNUSED.iter().filter(|(name, _)| find(variables, name).is_some());
    let named: Vec<String> = set.map(|(name, instead)| format!("{name} ({instead})")).collect();
    (!named.is_empty()).then(|| StartNotice::Unused { variables: named.join(", ") })
}

impl StartNotice {
    /// Writes the line into the log.
    pub fn log(&self) {
        match self {
            Self::ListensOnPort { address } => {
                tracing::info!("PORT is set and --listen is not, so the API listens on {address}");
            }
            Self::RedisWithoutDatabase => tracing::warn!(
                "REDIS_URL is set without a database, so the embedded store is used and Redis is not; set DATABASE_URL too, or unset it"
            ),
            Self::Unused { variables } => {
                tracing::warn!("these variables are set and not used: {variables}");
            }
            Self::SharedSecretUnused => tracing::warn!(
                "JWT_SECRET is set and not used: tokens are signed with an Ed25519 key, not with a shared secret; a service that verifies them reads the public key at /.well-known/jwks.json"
            ),
        }
    }
}
