//! Connects the sandbox provider with the table of its charges. The sandbox knows no table, and the table knows no provider.

use crate::payments::sandbox::{ChargeRecord, ChargeStore, ChargeStoreError};
use crate::payments::{IntentId, PaymentStatus};
use crate::shop::grouped_store::GroupedStore;
use crate::store::sandbox::{self as table, ChargeRow};
use futures::FutureExt;
use futures::future::BoxFuture;

/// The sandbox's charges in the `sandbox_charges` table. A write is durable when the call returns.
pub struct ChargeTable(pub GroupedStore);

impl ChargeStore for ChargeTable {
    fn read(&self, intent: IntentId) -> BoxFuture<'_, Result<Option<ChargeRecord>, ChargeStoreError>> {
        Box::pin(async move {
            let Some(row) = table::find(self.0.store(), intent.0).await.map_err(charge_store_error)? else {
                return Ok(None);
            };
            let status = row.status.parse().map_err(charge_store_error)?;
            Ok(Some(ChargeRecord { intent, amount: row.amount, status }))
        })
    }

    fn add<'a>(&'a self, charge: &'a ChargeRecord) -> BoxFuture<'a, Result<bool, ChargeStoreError>> {
        Box::pin(async move {
            let row = ChargeRow {
                intent: charge.intent.0,
                amount: charge.amount,
                status: charge.status.as_str().to_owned(),
            };
            self.0
                .write(move |writing| async move { table::insert(writing, &row).await }.boxed())
                .await
                .map_err(charge_store_error)
        })
    }

    fn change(
        &self,
        intent: IntentId,
        from: PaymentStatus,
        to: PaymentStatus,
    ) -> BoxFuture<'_, Result<bool, ChargeStoreError>> {
        Box::pin(async move {
            self.0
                .write(move |writing| {
                    async move { table::change_status(writing, intent.0, from.as_str(), to.as_str()).await }
                        .boxed()
                })
                .await
                .map_err(charge_store_error)
        })
    }
}

fn charge_store_error(error: impl std::error::Error + Send + Sync + 'static) -> ChargeStoreError {
    ChargeStoreError(Box::new(error))
}
