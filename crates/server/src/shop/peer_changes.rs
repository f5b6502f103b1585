//! What other processes on the same tables did: which listings they changed and which sessions they ended. Looked at a few times
//! a second, by one small query each; whoever is alone need not look. It never writes.

use super::{Shop, accounts};
use crate::store::StoreError;
use std::time::Duration;

/// Between two looks: what another process changed is here a quarter of a second later at most.
pub const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// What this process has seen of its neighbours.
#[derive(Clone, Copy, Debug)]
pub struct PeerChanges {
    /// The last ended session that is known here.
    last_revocation: i64,
    failing: bool,
}

impl PeerChanges {
    /// Looks for the first time: all that was done until now is known afterwards.
    ///
    /// # Errors
    /// When the tables cannot be asked.
    pub async fn start(shop: &Shop) -> Result<Self, StoreError> {
        let ended = accounts::load_revocations(&shop.accounts).await?;
        Ok(Self { last_revocation: ended, failing: false })
    }

    /// Looks again. When the tables cannot be asked, what was known goes on to hold, and it is said once.
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
                tracing::warn!(error, "what other instances changed cannot be looked at; trying again");
            }
            Some(_) => {}
        }
    }
}
