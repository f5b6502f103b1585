//! The claim of an instance that decides alone: a later claim ends the earlier one. It never touches an event.

use super::connect::{PostgresAddress, with_timeout};
use super::{ANSWER_TIMEOUT, schema};
use crate::record::RecordError;
use crate::record::row::sale_checksum;
use sale::SaleId;
use sqlx::{Connection, PgConnection, Row};
use std::collections::HashMap;
use uuid::Uuid;

/// The row of `ledger_epochs` that stands for the ledger as a whole.
pub(super) const LEDGER_ROW: i64 = 0;

/// In the order in which writers lock them, so that there is no deadlock.
const LOCK_ALL: &str = "SELECT no FROM ledger_epochs ORDER BY no FOR UPDATE";

const RAISE_ALL: &str = "
UPDATE ledger_epochs SET epoch = epoch + 1, holder = CASE WHEN no = 0 THEN $1 END RETURNING no, epoch";

/// Only from the expected epoch: a request that was delayed must not end an epoch that was begun since.
const RAISE_OWN: &str = "
UPDATE ledger_epochs SET epoch = epoch + 1 WHERE no = 0 AND holder = $1 AND epoch = $2 RETURNING epoch";

const OWN_EPOCH: &str = "
SELECT epoch FROM ledger_epochs WHERE no = 0 AND holder = $1";

const SALES: &str = "SELECT no, id::TEXT AS id FROM ledger_sales";

const FIND_SALE: &str = "
SELECT no, epoch FROM ledger_sales JOIN ledger_epochs USING (no) WHERE id = $1::TEXT::UUID";

const NEXT_NO: &str = "SELECT nextval(pg_get_serial_sequence('ledger_sales', 'no'))";

const ADD_SALE: &str = "
INSERT INTO ledger_sales (no, id, crc) VALUES ($1, $2::TEXT::UUID, $3)";

const ADD_EPOCH: &str = "
INSERT INTO ledger_epochs (no, epoch) VALUES ($1, 1) RETURNING epoch";

/// The right to write, at the moment of the claim.
pub(super) struct LedgerClaim {
    /// No other process ever has this name.
    holder: String,
    pub(super) epoch: i64,
    pub(super) sales: HashMap<SaleId, ClaimedSale>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ClaimedSale {
    pub(super) no: i64,
    pub(super) epoch: i64,
}

/// Claims the ledger: the instance that wrote before is refused from now on, and a batch that it was writing is recorded or
/// never will be.
pub(super) async fn claim_ledger(address: &PostgresAddress) -> Result<LedgerClaim, RecordError> {
    with_timeout(ANSWER_TIMEOUT * 2, async {
        let mut connection = address.connect().await?;
        schema::check_format(&mut connection).await?;
        schema::log_risks(&mut connection).await?;
        let holder = Uuid::new_v4().to_string();
        let mut transaction = connection.begin().await?;
        sqlx::query(LOCK_ALL).execute(&mut *transaction).await?;
        let raised = sqlx::query(RAISE_ALL).bind(&holder).fetch_all(&mut *transaction).await?;
        let sales = sqlx::query(SALES).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        connection.close().await?;
        let epochs = raised.iter().map(|row| Ok((row.try_get("no")?, row.try_get("epoch")?)));
        let epochs = epochs.collect::<Result<HashMap<i64, i64>, sqlx::Error>>()?;
        let sales = sales.iter().map(|row| {
            let (no, id): (i64, String) = (row.try_get("no")?, row.try_get("id")?);
            let id = id.parse().map_err(|_| sqlx::Error::Decode("a sale's id is no UUID".into()))?;
            Ok(epochs.get(&no).map(|epoch| (id, ClaimedSale { no, epoch: *epoch })))
        });
        let sales = sales.filter_map(Result::transpose).collect::<Result<HashMap<_, _>, sqlx::Error>>()?;
        let epoch = *epochs.get(&LEDGER_ROW).ok_or(RecordError::TakenOver)?;
        Ok(LedgerClaim { holder, epoch, sales })
    })
    .await
}

impl LedgerClaim {
    pub(super) fn holder(&self) -> &str {
        &self.holder
    }

    /// Begins a new epoch of this holder. Waits for a batch that is being written under the old one: it is recorded then, or
    /// never will be.
    pub(super) async fn renew(&mut self, connection: &mut PgConnection) -> Result<(), RecordError> {
        loop {
            let raise = sqlx::query_scalar(RAISE_OWN).bind(&self.holder).bind(self.epoch);
            if let Some(raised) = raise.fetch_optional(&mut *connection).await? {
                self.epoch = raised;
                return Ok(());
            }
            // An earlier renewal of ours may have succeeded without its reply.
            self.epoch =
                find_own_epoch(&mut *connection, &self.holder).await?.ok_or(RecordError::TakenOver)?;
        }
    }
}

/// The ledger's epoch, if this holder has the latest claim.
pub(super) async fn find_own_epoch(
    connection: &mut PgConnection,
    holder: &str,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar(OWN_EPOCH).bind(holder).fetch_optional(connection).await
}

/// The number and epoch of a sale that this process has not recorded yet. A sale that the ledger does not know gets both, in the
/// caller's transaction.
pub(super) async fn find_or_add_sale(
    connection: &mut PgConnection,
    sale: SaleId,
) -> Result<ClaimedSale, RecordError> {
    let id = sale.0.to_string();
    let found = sqlx::query(FIND_SALE).bind(&id).fetch_optional(&mut *connection).await?;
    if let Some(row) = found {
        return Ok(ClaimedSale { no: row.try_get("no")?, epoch: row.try_get("epoch")? });
    }
    let no: i64 = sqlx::query_scalar(NEXT_NO).fetch_one(&mut *connection).await?;
    sqlx::query(ADD_SALE).bind(no).bind(&id).bind(sale_checksum(no, sale)).execute(&mut *connection).await?;
    let epoch = sqlx::query_scalar(ADD_EPOCH).bind(no).fetch_one(connection).await?;
    Ok(ClaimedSale { no, epoch })
}
