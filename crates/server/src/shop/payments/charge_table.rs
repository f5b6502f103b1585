//! Connects the sandbox provider with the tables of its charges. The sandbox knows no table, and the tables know no provider.

use crate::clock::TimeSource;
use crate::payments::sandbox::{CapturedCharge, ChargePage, ChargeRecord, ChargeStore, ChargeStoreError};
use crate::payments::{IntentId, PaymentStatus, RefundId};
use crate::shop::grouped_store::GroupedStore;
use crate::store::sandbox::{self as table, ChargeChange, ChargeRow};
use futures::FutureExt;
use futures::future::BoxFuture;
use sale::Timestamp;

/// The sandbox's charges in the tables `sandbox_charges` and `sandbox_refunds`. A write is durable when the call returns.
pub struct ChargeTable {
    pub tables: GroupedStore,
    pub now: TimeSource,
}

impl ChargeStore for ChargeTable {
    fn read(&self, intent: IntentId) -> BoxFuture<'_, Result<Option<ChargeRecord>, ChargeStoreError>> {
        Box::pin(async move {
            let found = table::find(self.tables.store(), intent.0).await.map_err(charge_store_error)?;
            found.map(read_charge).transpose()
        })
    }

    fn add<'a>(&'a self, charge: &'a ChargeRecord) -> BoxFuture<'a, Result<bool, ChargeStoreError>> {
        Box::pin(async move {
            let page = charge.page.clone();
            let row = ChargeRow {
                intent: charge.intent.0,
                amount: charge.amount,
                status: charge.status.as_str().to_owned(),
                refunded_minor: charge.refunded_minor,
                order: charge.order,
                page: page.map(|page| (page.description, page.language)),
                captured_at: None,
            };
            self.tables.add_charge(row).await.map_err(charge_store_error)
        })
    }

    fn change(
        &self,
        intent: IntentId,
        from: PaymentStatus,
        to: PaymentStatus,
    ) -> BoxFuture<'_, Result<Option<ChargeRecord>, ChargeStoreError>> {
        Box::pin(async move {
            let change = ChargeChange {
                intent: intent.0,
                from: from.as_str(),
                to: to.as_str(),
                captured_at: (to == PaymentStatus::Captured).then(|| (self.now)()),
            };
            let changed = self.tables.change_charge(change).await.map_err(charge_store_error)?;
            changed.map(read_charge).transpose()
        })
    }

    fn refund(
        &self,
        intent: IntentId,
        refund: RefundId,
        minor: i64,
    ) -> BoxFuture<'_, Result<bool, ChargeStoreError>> {
        Box::pin(async move {
            self.tables
                .write(intent.0, move |writing| {
                    async move { table::refund(writing, intent.0, refund.0, minor).await }.boxed()
                })
                .await
                .map_err(charge_store_error)
        })
    }

    fn list_captured(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<CapturedCharge>, ChargeStoreError>> {
        Box::pin(async move {
            let rows = table::list_captured(self.tables.store(), from, to).await;
            let captured = rows.map_err(charge_store_error)?.into_iter().filter_map(|row| {
                Some(CapturedCharge {
                    intent: IntentId(row.intent),
                    order: row.order,
                    amount: row.amount?,
                    refunded_minor: row.refunded_minor,
                    captured_at: row.captured_at?,
                })
            });
            Ok(captured.collect())
        })
    }
}

fn read_charge(row: ChargeRow) -> Result<ChargeRecord, ChargeStoreError> {
    let ChargeRow { intent, amount, refunded_minor, order, .. } = row;
    let status = row.status.parse().map_err(charge_store_error)?;
    let page = row.page.map(|(description, language)| ChargePage { description, language });
    Ok(ChargeRecord { intent: IntentId(intent), amount, status, refunded_minor, order, page })
}

fn charge_store_error(error: impl std::error::Error + Send + Sync + 'static) -> ChargeStoreError {
    ChargeStoreError(Box::new(error))
}
