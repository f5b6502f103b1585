//! What other processes on the same tables did: which listings they changed and which sessions they ended. It is polled a few times
//! a second by one small query each. Sessions are read also where no other instance can run: `doorbuster admin` ends some beside it. It
//! never writes.

use super::{Shop, accounts};
use crate::store::StoreError;
use crate::store::sessions::RevocationCursor;
use engine::error_text::describe_error;
use std::time::Duration;

/// Between two polls: what another process changed is known here a quarter of a second later at most.
pub const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// What this process has read of other processes' changes.
#[derive(Clone, Debug)]
pub struct PeerChanges {
    /// The last revocation that was read.
    last_revocation: RevocationCursor,
    failing: bool,
}

impl PeerChanges {
    /// Reads all changes until now.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn start(shop: &Shop) -> Result<Self, StoreError> {
        let last_revocation = accounts::load_revocations(&shop.accounts).await?;
        Ok(Self { last_revocation, failing: false })
    }

    /// Reads new changes. When the tables cannot be read, the cached state stays in use; that is logged once.
    pub async fn poll(&mut self, shop: &Shop) {
        let listings = async {
            if shop.tenancy.is_cluster() { shop.catalogue.refresh(&shop.store).await } else { Ok(()) }
        };
        let (listings, sessions) = tokio::join!(
            listings,
            accounts::read_new_revocations(&shop.accounts, self.last_revocation.clone())
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
                let error = describe_error(&error);
                tracing::warn!(
                    error,
                    "the changes of other instances cannot be read; cached listings and sessions stay in use; retrying every 200 ms; check the database"
                );
            }
            Some(_) => {}
        }
    }
}
