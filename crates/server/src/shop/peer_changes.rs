//! Changes of other processes on the same tables: edited listings and revoked sessions. In a cluster they are polled a few times a second,
//! with one small query each. It never writes.

use super::{Shop, accounts};
use crate::store::StoreError;
use std::time::Duration;

/// Between two polls: a change of another process is known a quarter of a second later at most.
pub const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// What this process has read of the others' changes.
#[derive(Clone, Copy, Debug)]
pub struct PeerChanges {
    /// The number of the last revocation that was read.
    last_revocation: i64,
    failing: bool,
}

impl PeerChanges {
    /// Reads all changes until now.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn start(shop: &Shop) -> Result<Self, StoreError> {
        let ended = accounts::load_revocations(&shop.accounts).await?;
        Ok(Self { last_revocation: ended, failing: false })
    }

    /// Reads the new changes. When the tables do not answer, the copies in memory stay as they are, and one line is logged.
    pub async fn poll(&mut self, shop: &Shop) {
        let (listings, sessions) = tokio::join!(
            shop.catalogue.refresh(&shop.store),
            accounts::read_new_revocations(&shop.accounts, self.last_revocation)
        );
        let failed = match (listings, sessions) {
            (Ok(()), Ok(ended)) => {
                self.last_revocation = ended;
                None
            }
            (listings, Ok(ended)) => {
                self.last_revocation = ended;
                listings.err()
            }
            (_, Err(error)) => Some(error),
        };
        match failed {
            None => self.failing = false,
            Some(error) if !self.failing => {
                self.failing = true;
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the changes of other instances cannot be read; trying again");
            }
            Some(_) => {}
        }
    }
}
