//! Moves a payment from one state to the next, by compare-and-set, and only for the process that holds its lease.

use super::{LeasedPayment, PaymentRow, PaymentState, keys, read_id, refunds};
use crate::store::bulk_insert::BoundQuery;
use crate::store::bulk_write::BulkWrite;
use crate::store::payment_events::{self, PaymentEventState};
use crate::store::{StoreError, StoreTransaction};
use sale::Timestamp;
use std::collections::HashSet;
use uuid::Uuid;

pub(super) const STATEMENTS: &[&str] = &[OPEN, DECLINE, ABANDON];

/// A settled payment has no lease. Only a refunded one has given everything back.
pub(in crate::store) static CHANGE: BulkWrite = BulkWrite::new(
    "WITH step (
    payment_id, from_state, holder, to_state, next_holder, provider_reference, is_refunded, moved_at, next_try_at
) AS (",
    9,
    ") UPDATE payments
SET
    state = step.to_state,
    updated_at = CAST(step.moved_at AS BIGINT),
    try_at = CAST(step.next_try_at AS BIGINT),
    tries = 0,
    lease = step.next_holder,
    action_url = NULL,
    reference = COALESCE(step.provider_reference, reference),
    refunded_minor = CASE WHEN CAST(step.is_refunded AS BIGINT) = 1 THEN amount_minor ELSE refunded_minor END
FROM step
WHERE payments.id = step.payment_id AND payments.state = step.from_state AND payments.lease = step.holder
RETURNING id",
);

const OPEN: &str = "
UPDATE payments
SET state = 'open', reference = $1, action_url = $2, updated_at = $3, try_at = $4, tries = 0
WHERE id = $5 AND state = 'started' AND lease = $6
RETURNING id";

const DECLINE: &str = "
UPDATE payments
SET state = 'declined', reason = $1, action_url = NULL, updated_at = $2, tries = 0, lease = NULL
WHERE id = $3 AND state = $4 AND lease = $5
RETURNING id";

const ABANDON: &str = "
UPDATE payments
SET state = 'voiding', action_url = NULL, updated_at = $1, try_at = $2, tries = 0
WHERE id = $3 AND state = $4 AND lease = $5
RETURNING id";

/// What moves a payment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentStep {
    /// From the state that it is in to this one.
    Change(PaymentState),
    /// From the state that it is in to [`PaymentState::Authorised`], with the provider's own id of it.
    Authorise { reference: Option<String> },
    /// From [`PaymentState::Started`] to [`PaymentState::Open`].
    Open { reference: Option<String>, action_url: Option<String> },
    /// From [`PaymentState::Started`] or [`PaymentState::Open`] to [`PaymentState::Declined`], with the reason that the buyer reads.
    Decline(String),
    /// From [`PaymentState::Started`] or [`PaymentState::Open`] to [`PaymentState::Voiding`], because the buyer has not paid. Its keys are
    /// freed: nothing was done under them.
    Abandon,
}

/// A step of a leased payment.
#[derive(Clone, Debug)]
pub struct StepWrite {
    pub leased: LeasedPayment,
    pub step: PaymentStep,
    pub now: Timestamp,
    /// When the reconciler looks at the payment.
    pub try_at: Timestamp,
}

impl StepWrite {
    /// Whether it is a change of the state, which is written with those of other payments.
    const fn is_change(&self) -> bool {
        matches!(self.step, PaymentStep::Change(_) | PaymentStep::Authorise { .. })
    }
}

/// Moves different payments on, with the events that are published of them, and returns each as it is then, in their order. `None` for one
/// that is in another state, or whose lease is lost.
///
/// # Errors
/// When the database fails.
pub async fn take_steps(
    writing: &mut StoreTransaction,
    steps: &[&StepWrite],
) -> Result<Vec<Option<LeasedPayment>>, StoreError> {
    let changes: Vec<&StepWrite> = steps.iter().copied().filter(|step| step.is_change()).collect();
    let changed = CHANGE.write_rows(writing, &changes, bind_change).await?;
    let changed = changed.iter().map(|row| read_id(row, "id")).collect::<Result<HashSet<Uuid>, _>>()?;
    let (mut results, mut events) = (Vec::with_capacity(steps.len()), Vec::new());
    for step in steps {
        let is_moved = if step.is_change() {
            changed.contains(&step.leased.id)
        } else {
            take_single_step(writing, step).await?
        };
        if !is_moved {
            results.push(None);
            continue;
        }
        let moved = moved_row(&step.leased, &step.step, step.now);
        if step.leased.state == PaymentState::Refunding && moved.state == PaymentState::Voided {
            refunds::refuse_whole(writing, moved.id, step.now).await?;
        }
        match PaymentEventState::from_state(moved.state) {
            Some(PaymentEventState::Refunded) => refunds::finish_whole(writing, moved.id, step.now).await?,
            Some(published) => events.push((moved.clone(), published)),
            None => {}
        }
        results.push(Some(step.leased.moved(moved)));
    }
    payment_events::insert_steps(writing, &events).await?;
    Ok(results)
}

fn bind_change(query: BoundQuery, step: &&StepWrite) -> BoundQuery {
    let StepWrite { leased, now, try_at, .. } = step;
    let moved = moved_row(leased, &step.step, *now);
    query
        .bind(leased.id.to_string())
        .bind(leased.state.as_str())
        .bind(leased.holder())
        .bind(moved.state.as_str())
        .bind((!moved.state.is_settled()).then(|| leased.holder()))
        .bind(moved.reference)
        .bind(i64::from(moved.state == PaymentState::Refunded))
        .bind(now.0)
        .bind(try_at.0)
}

/// Takes a step that is no [`StepWrite::is_change`]. `false` when the payment is in another state, or its lease is lost.
async fn take_single_step(writing: &mut StoreTransaction, step: &StepWrite) -> Result<bool, StoreError> {
    let StepWrite { leased, now, try_at, .. } = step;
    let is_early = matches!(leased.state, PaymentState::Started | PaymentState::Open);
    let (id, from) = (leased.id.to_string(), leased.state.as_str());
    let query = match &step.step {
        PaymentStep::Open { reference, action_url } => sqlx::query(OPEN)
            .bind(reference.clone())
            .bind(action_url.clone())
            .bind(now.0)
            .bind(try_at.0)
            .bind(id)
            .bind(leased.holder()),
        PaymentStep::Decline(reason) if is_early => {
            sqlx::query(DECLINE).bind(reason.clone()).bind(now.0).bind(id).bind(from).bind(leased.holder())
        }
        PaymentStep::Abandon if is_early => {
            sqlx::query(ABANDON).bind(now.0).bind(try_at.0).bind(id).bind(from).bind(leased.holder())
        }
        _ => return Ok(false),
    };
    if query.fetch_optional(writing.connection()).await?.is_none() {
        return Ok(false);
    }
    if step.step == PaymentStep::Abandon {
        keys::delete_keys_of_payment(writing, leased.id).await?;
    }
    Ok(true)
}

/// The payment after a step.
fn moved_row(payment: &PaymentRow, step: &PaymentStep, now: Timestamp) -> PaymentRow {
    let before = PaymentRow { updated_at: now, tries: 0, action_url: None, ..payment.clone() };
    match step {
        PaymentStep::Change(PaymentState::Refunded) => {
            PaymentRow { state: PaymentState::Refunded, refunded_minor: payment.amount.minor, ..before }
        }
        PaymentStep::Change(to) => PaymentRow { state: *to, ..before },
        PaymentStep::Authorise { reference } => PaymentRow {
            state: PaymentState::Authorised,
            reference: reference.clone().or(before.reference.clone()),
            ..before
        },
        PaymentStep::Open { reference, action_url } => PaymentRow {
            state: PaymentState::Open,
            reference: reference.clone(),
            action_url: action_url.clone(),
            ..before
        },
        PaymentStep::Decline(reason) => {
            PaymentRow { state: PaymentState::Declined, reason: reason.clone(), ..before }
        }
        PaymentStep::Abandon => PaymentRow { state: PaymentState::Voiding, ..before },
    }
}
