//! Disputes about payments. A provider refunds nothing of a payment while a dispute holds its money, or has taken it, so it is asked before an
//! order is refunded, and again when it refuses: its notice of a dispute may be late, or never come.

use super::PaymentService;
use crate::payments::{NoProviderReply, ProviderDispute};
use crate::store::StoreError;
use crate::store::payment_findings::{self, FindingKind, FindingRow};
use crate::store::payments::PaymentRow;
use futures::FutureExt;
use uuid::Uuid;

/// Where the money of a payment is that may be disputed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DisputedMoney {
    /// With the shop: there is no dispute, an inquiry, or one that was won.
    Free,
    /// The bank holds it until the dispute is decided.
    Held,
    /// The bank has given it to the buyer.
    Lost,
}

impl PaymentService {
    /// Whether a dispute holds the money of a captured payment, or has taken it. The provider knows it; while it does not answer, what it last
    /// said counts.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub(super) async fn is_disputed(&self, payment: &PaymentRow) -> Result<bool, StoreError> {
        match self.refresh_disputes(payment).await? {
            Ok(money) => Ok(money != DisputedMoney::Free),
            Err(NoProviderReply) => payment_findings::has_dispute(self.tables.store(), payment.id).await,
        }
    }

    /// Reads the disputes about a payment from its provider, keeps them, and returns where the money is.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub(super) async fn refresh_disputes(
        &self,
        payment: &PaymentRow,
    ) -> Result<Result<DisputedMoney, NoProviderReply>, StoreError> {
        let disputes = match self.find_disputes(payment).await {
            Ok(disputes) => disputes,
            Err(silent) => return Ok(Err(silent)),
        };
        let has =
            |statuses: &[&str]| disputes.iter().any(|dispute| statuses.contains(&dispute.status.as_str()));
        let money = match (has(&["needs_response", "under_review"]), has(&["lost"])) {
            (true, _) => DisputedMoney::Held,
            (false, true) => DisputedMoney::Lost,
            (false, false) => DisputedMoney::Free,
        };
        for dispute in disputes {
            self.record_dispute((payment.id, &payment.provider), dispute).await?;
        }
        Ok(Ok(money))
    }

    /// Keeps a dispute about a payment as it is now, for the admin and the books.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn record_dispute(
        &self,
        (payment, provider): (Uuid, &str),
        dispute: ProviderDispute,
    ) -> Result<(), StoreError> {
        let finding = FindingRow {
            provider: provider.to_owned(),
            payment,
            kind: FindingKind::Dispute,
            id: dispute.id,
            status: dispute.status,
            reason: dispute.reason,
            amount: dispute.amount,
            due_at: dispute.due_at,
            updated_at: self.engine.now(),
        };
        if self.record_finding(&finding).await? {
            tracing::warn!(
                %payment, dispute = finding.id, status = finding.status,
                "a buyer disputes a payment at the bank, or the bank has decided; answer it in Stripe's dashboard before it is due"
            );
        }
        Ok(())
    }

    /// Keeps a finding about a payment as it is now. `false` when nothing has changed.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn record_finding(&self, finding: &FindingRow) -> Result<bool, StoreError> {
        let finding = finding.clone();
        let recorded = self.tables.write(finding.payment, move |writing| {
            let finding = finding.clone();
            async move { payment_findings::upsert(writing, &finding).await }.boxed()
        });
        recorded.await
    }
}
