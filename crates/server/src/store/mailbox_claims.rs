//! The `mailbox_claims` table: in a sale that counts its limit by mailbox, the one account with which each mailbox buys. A claim is
//! never given back, so two accounts of a mailbox cannot take turns.

use super::{Store, StoreError};
use sale::{BuyerId, SaleId};

pub(super) const STATEMENTS: &[&str] = &[CLAIM, FIND];

const CLAIM: &str = "
INSERT INTO mailbox_claims (sale_id, mailbox, user_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

const FIND: &str = "
SELECT user_id FROM mailbox_claims WHERE sale_id = $1 AND mailbox = $2";

/// Claims a mailbox in a sale for an account, unless another one has claimed it. Returns whose it is.
///
/// # Errors
/// When the database fails.
pub async fn claim(
    store: &Store,
    sale: SaleId,
    mailbox: &str,
    account: BuyerId,
) -> Result<BuyerId, StoreError> {
    let (sale, account) = (sale.to_string(), account.to_string());
    sqlx::query(CLAIM).bind(&sale).bind(mailbox).bind(&account).execute(store.writer()).await?;
    // The writer sees what the statement before it waited for.
    let owner: String = sqlx::query_scalar(FIND).bind(&sale).bind(mailbox).fetch_one(store.writer()).await?;
    match owner.parse() {
        Ok(owner) => Ok(owner),
        Err(_) => {
            let (table, reason) = ("mailbox_claims", "its account is not a UUID");
            Err(StoreError::Damaged { table, id: owner, reason })
        }
    }
}
