//! What differs between the provider's books and the shop's. Pure.

use crate::commands::verify::{LedgerOrders, OrderEnd};
use crate::payments::CapturedAtProvider;
use crate::store::payments::{PaymentState, ReconciledPayment};
use sale::{Money, OrderId, SaleId, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use uuid::Uuid;

pub(super) struct ReconcileInput<'a> {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// Also from some time before and behind.
    pub(super) captured: &'a [CapturedAtProvider],
    /// The shop's payments with the provider, also from before and behind.
    pub(super) payments: &'a BTreeMap<Uuid, ReconciledPayment>,
    /// The sales whose orders are paid through the provider.
    pub(super) sales: &'a BTreeSet<SaleId>,
    pub(super) orders: &'a LedgerOrders,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BooksDifference {
    /// Money was taken, and the ledger has no confirmed order for it.
    CapturedWithoutOrder { reference: String, order: Option<OrderId>, amount: Money },
    /// The order's money went back, all of it, and the order is confirmed.
    ConfirmedWithoutMoney { reference: String, order: OrderId, amount: Money },
    /// The order is refunded in the ledger, and its money, or some of it, was not paid back.
    RefundMissing { reference: String, order: OrderId, left: Money },
    /// The order is confirmed, and the provider captured nothing for it.
    NotCaptured { order: OrderId, sale: SaleId },
    /// The order was paid twice.
    PaidTwice { references: [String; 2], order: OrderId },
    /// The provider captured another amount than the shop asked for.
    OtherAmount { reference: String, order: OrderId, captured: Money, asked_minor: i64 },
    /// The provider paid back another amount than the shop has, and the order keeps the rest.
    OtherRefund { reference: String, order: OrderId, refunded: Money, booked_minor: i64 },
}

impl fmt::Display for BooksDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let money = |money: &Money| format!("{} {} (minor units)", money.minor, money.currency);
        match self {
            Self::CapturedWithoutOrder { reference, order: Some(order), amount } => write!(
                f,
                "captured without an order: {reference}, {}: the ledger has no confirmed order {order}; pay it back",
                money(amount)
            ),
            Self::CapturedWithoutOrder { reference, order: None, amount } => write!(
                f,
                "captured without an order: {reference}, {}: it names no order; look it up at the provider",
                money(amount)
            ),
            Self::ConfirmedWithoutMoney { reference, order, amount } => write!(
                f,
                "confirmed without money: order {order}: {reference}, {} was paid back at the provider; refund the order too, or collect the money",
                money(amount)
            ),
            Self::RefundMissing { reference, order, left } => write!(
                f,
                "refund missing: order {order} is refunded, and {} of {reference} was not paid back; pay it back",
                money(left)
            ),
            Self::NotCaptured { order, sale } => write!(
                f,
                "not captured: order {order} of sale {sale} is confirmed, and the provider has no money of it; collect it, or refund the order"
            ),
            Self::PaidTwice { references: [one, other], order } => {
                write!(f, "paid twice: order {order}: {one} and {other}; pay one of them back")
            }
            Self::OtherAmount { reference, order, captured, asked_minor } => write!(
                f,
                "other amount: order {order}: {reference} took {}, asked for {asked_minor}",
                money(captured)
            ),
            Self::OtherRefund { reference, order, refunded, booked_minor } => write!(
                f,
                "other refund: order {order}: {} of {reference} was paid back, and the shop has {booked_minor}; look the refunds up at the provider",
                money(refunded)
            ),
        }
    }
}

impl ReconcileInput<'_> {
    pub(super) fn is_in_time(&self, at: Timestamp) -> bool {
        (self.from..self.to).contains(&at)
    }
}

/// The differences, in the order of the provider's list, and then by order. Orders with a payment that the shop has not settled are left out: it
/// does so itself.
pub(super) fn find_differences(input: &ReconcileInput<'_>) -> Vec<BooksDifference> {
    let mut differences = Vec::new();
    let is_kept = |captured: &CapturedAtProvider| captured.refunded_minor < captured.amount.minor;
    let mut kept: HashMap<OrderId, &CapturedAtProvider> = HashMap::new();
    // An order may be paid again after an earlier payment went back.
    let paid: HashSet<OrderId> = input
        .captured
        .iter()
        .filter(|captured| captured.intent.is_some() && is_kept(captured))
        .filter_map(|captured| find_order(input, captured))
        .collect();
    let unsettled: HashSet<OrderId> =
        input.payments.values().filter(|row| !row.state.is_settled()).map(|row| row.order).collect();
    let mut seen: BTreeSet<OrderId> = BTreeSet::new();
    for captured in input.captured.iter().filter(|captured| captured.intent.is_some()) {
        seen.extend(captured.order);
        if let Some(order) = captured.order.filter(|_| is_kept(captured))
            && let Some(earlier) = kept.insert(order, captured)
            && (input.is_in_time(captured.captured_at) || input.is_in_time(earlier.captured_at))
        {
            let references = [earlier.reference.clone(), captured.reference.clone()];
            differences.push(BooksDifference::PaidTwice { references, order });
        }
        let is_unsettled = find_order(input, captured).is_some_and(|order| unsettled.contains(&order));
        if input.is_in_time(captured.captured_at) && !is_unsettled {
            differences.extend(compare_captured(input, captured, &paid));
        }
    }
    let mut confirmed: Vec<_> = input
        .orders
        .iter()
        .filter(|(order, found)| {
            found.end == OrderEnd::Confirmed
                && found.costs_money
                && input.is_in_time(found.at)
                && input.sales.contains(&found.sale)
                && !seen.contains(order)
                && !unsettled.contains(order)
        })
        .map(|(order, found)| BooksDifference::NotCaptured { order: *order, sale: found.sale })
        .collect();
    confirmed.sort_by_key(|difference| match difference {
        BooksDifference::NotCaptured { order, .. } => *order.0.as_bytes(),
        _ => [0; 16],
    });
    differences.extend(confirmed);
    differences
}

/// The order of a payment: what the shop's own row has counts before what the provider has.
fn find_order(input: &ReconcileInput<'_>, captured: &CapturedAtProvider) -> Option<OrderId> {
    let row = captured.intent.and_then(|intent| input.payments.get(&intent.0));
    row.map(|row| row.order).or(captured.order)
}

fn compare_captured(
    input: &ReconcileInput<'_>,
    captured: &CapturedAtProvider,
    paid: &HashSet<OrderId>,
) -> Vec<BooksDifference> {
    let CapturedAtProvider { reference, amount, refunded_minor, .. } = captured;
    let left = Money { minor: amount.minor - refunded_minor, ..*amount };
    let row = captured.intent.and_then(|intent| input.payments.get(&intent.0));
    let Some(order) = find_order(input, captured) else {
        return vec![BooksDifference::CapturedWithoutOrder {
            reference: reference.clone(),
            order: None,
            amount: left,
        }];
    };
    let reference = reference.clone();
    let mut differences = Vec::new();
    if let Some(row) = row.filter(|row| row.amount_minor != amount.minor) {
        differences.push(BooksDifference::OtherAmount {
            reference: reference.clone(),
            order,
            captured: *amount,
            asked_minor: row.amount_minor,
        });
    }
    differences.extend(match (input.orders.get(&order).map(|found| found.end), left.minor > 0) {
        (Some(OrderEnd::Refunded) | None, false) => None,
        (Some(OrderEnd::Confirmed), true) => {
            let may_be_refunded =
                |row: &ReconciledPayment| row.refunded_minor - row.pending_minor..=row.refunded_minor;
            let row = row.filter(|row| {
                row.state == PaymentState::Captured && !may_be_refunded(row).contains(refunded_minor)
            });
            row.map(|row| BooksDifference::OtherRefund {
                reference,
                order,
                refunded: Money { minor: *refunded_minor, ..*amount },
                booked_minor: row.refunded_minor,
            })
        }
        (Some(OrderEnd::Confirmed), false) if paid.contains(&order) => None,
        (Some(OrderEnd::Confirmed), false) => {
            Some(BooksDifference::ConfirmedWithoutMoney { reference, order, amount: *amount })
        }
        // The buyer has it from the bank.
        (Some(OrderEnd::Refunded), true) if row.is_some_and(|row| row.lost_minor >= left.minor) => None,
        (Some(OrderEnd::Refunded), true) => Some(BooksDifference::RefundMissing { reference, order, left }),
        (None, true) => {
            Some(BooksDifference::CapturedWithoutOrder { reference, order: Some(order), amount: left })
        }
    });
    differences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::verify::LedgerOrder;
    use crate::payments::IntentId;

    const FROM: Timestamp = Timestamp(1_700_000_000_000);
    const TO: Timestamp = Timestamp(1_700_000_100_000);
    const SALE: SaleId = SaleId(Uuid::from_u128(9));

    fn order(number: u128) -> OrderId {
        OrderId(Uuid::from_u128(number))
    }

    fn captured(number: u128, refunded_minor: i64) -> CapturedAtProvider {
        CapturedAtProvider {
            intent: Some(IntentId(Uuid::from_u128(100 + number))),
            order: Some(order(number)),
            reference: format!("pi_{number}"),
            amount: Money { minor: 500, currency: "EUR".parse().unwrap() },
            refunded_minor,
            captured_at: FROM.plus_ms(1),
        }
    }

    fn ledger(orders: &[(u128, OrderEnd)]) -> LedgerOrders {
        let entry = |(number, end): &(u128, OrderEnd)| {
            (order(*number), LedgerOrder { sale: SALE, end: *end, at: FROM.plus_ms(2), costs_money: true })
        };
        orders.iter().map(entry).collect()
    }

    /// The payment of order 1.
    const CAPTURED: ReconciledPayment = ReconciledPayment {
        order: OrderId(Uuid::from_u128(1)),
        state: PaymentState::Captured,
        amount_minor: 500,
        refunded_minor: 0,
        pending_minor: 0,
        lost_minor: 0,
    };

    fn rows(payment: ReconciledPayment) -> BTreeMap<Uuid, ReconciledPayment> {
        BTreeMap::from([(Uuid::from_u128(101), payment)])
    }

    fn compare(captured: &[CapturedAtProvider], orders: &[(u128, OrderEnd)]) -> Vec<String> {
        compare_with(captured, orders, &BTreeMap::new())
    }

    fn compare_with(
        captured: &[CapturedAtProvider],
        orders: &[(u128, OrderEnd)],
        payments: &BTreeMap<Uuid, ReconciledPayment>,
    ) -> Vec<String> {
        let (sales, orders) = (BTreeSet::from([SALE]), ledger(orders));
        let input = ReconcileInput { from: FROM, to: TO, captured, payments, sales: &sales, orders: &orders };
        let kind = |difference: BooksDifference| {
            difference.to_string().split(':').next().unwrap_or_default().to_owned()
        };
        find_differences(&input).into_iter().map(kind).collect()
    }

    #[test]
    fn books_that_agree_differ_in_nothing() {
        use OrderEnd::{Confirmed, Refunded};
        let all = [captured(1, 0), captured(2, 500), captured(3, 200), captured(4, 500)];
        assert!(
            compare(&all, &[(1, Confirmed), (2, Refunded), (3, Confirmed)]).is_empty(),
            "the fourth was voided late"
        );
    }

    #[test]
    fn each_difference_is_named() {
        use OrderEnd::{Confirmed, Refunded};
        assert_eq!(compare(&[captured(1, 0)], &[]), ["captured without an order"]);
        assert_eq!(compare(&[captured(1, 500)], &[(1, Confirmed)]), ["confirmed without money"]);
        assert_eq!(compare(&[captured(1, 100)], &[(1, Refunded)]), ["refund missing"]);
        assert_eq!(compare(&[], &[(1, Confirmed)]), ["not captured"]);
        let again = CapturedAtProvider { reference: "pi_again".to_owned(), ..captured(1, 0) };
        assert_eq!(compare(&[captured(1, 0), again], &[(1, Confirmed)]), ["paid twice"]);
        let row = |amount_minor: i64, refunded_minor: i64| {
            rows(ReconciledPayment { amount_minor, refunded_minor, ..CAPTURED })
        };
        assert_eq!(compare_with(&[captured(1, 0)], &[(1, Confirmed)], &row(400, 0)), ["other amount"]);
        assert_eq!(compare_with(&[captured(1, 200)], &[(1, Confirmed)], &row(500, 0)), ["other refund"]);
        assert_eq!(compare_with(&[captured(1, 0)], &[(1, Confirmed)], &row(500, 200)), ["other refund"]);
        assert!(compare_with(&[captured(1, 200)], &[(1, Confirmed)], &row(500, 200)).is_empty());
    }

    #[test]
    fn a_part_that_is_on_its_way_may_have_been_paid_back_or_not() {
        // Of 200 that were promised, 150 are on their way.
        let books = rows(ReconciledPayment { refunded_minor: 200, pending_minor: 150, ..CAPTURED });
        for (paid_back, expected) in
            [(49, &["other refund"][..]), (50, &[]), (200, &[]), (201, &["other refund"])]
        {
            let confirmed = [(1, OrderEnd::Confirmed)];
            assert_eq!(compare_with(&[captured(1, paid_back)], &confirmed, &books), expected, "{paid_back}");
        }
    }

    #[test]
    fn what_a_lost_dispute_took_is_not_paid_back() {
        let lost =
            |lost_minor: i64| rows(ReconciledPayment { state: PaymentState::Voided, lost_minor, ..CAPTURED });
        let compare =
            |lost_minor| compare_with(&[captured(1, 0)], &[(1, OrderEnd::Refunded)], &lost(lost_minor));
        assert!(compare(500).is_empty());
        assert_eq!(compare(400), ["refund missing"]);
    }

    #[test]
    fn what_the_shop_has_not_settled_is_no_difference() {
        let rows = |state: PaymentState| rows(ReconciledPayment { state, ..CAPTURED });
        let (captured, refunded) = ([captured(1, 0)], [(1, OrderEnd::Refunded)]);
        assert!(compare_with(&captured, &refunded, &rows(PaymentState::Refunding)).is_empty());
        assert_eq!(compare_with(&captured, &refunded, &rows(PaymentState::Refunded)), ["refund missing"]);
        assert!(compare_with(&captured, &[], &rows(PaymentState::Voiding)).is_empty());
        let confirmed = [(1, OrderEnd::Confirmed)];
        assert!(compare_with(&[], &confirmed, &rows(PaymentState::Authorised)).is_empty());
        assert_eq!(compare_with(&[], &confirmed, &rows(PaymentState::Captured)), ["not captured"]);
    }

    #[test]
    fn an_order_that_was_paid_again_has_its_money() {
        let again = CapturedAtProvider {
            intent: Some(IntentId(Uuid::from_u128(201))),
            reference: "pi_again".to_owned(),
            ..captured(1, 0)
        };
        for all in [[captured(1, 500), again.clone()], [again.clone(), captured(1, 500)]] {
            assert!(compare(&all, &[(1, OrderEnd::Confirmed)]).is_empty());
        }
    }

    #[test]
    fn what_is_foreign_or_of_another_time_is_passed_over() {
        let foreign = CapturedAtProvider { intent: None, ..captured(1, 0) };
        let early = CapturedAtProvider { captured_at: FROM.plus_ms(-1), ..captured(2, 0) };
        assert!(compare(&[foreign, early], &[]).is_empty());
        let early = CapturedAtProvider { captured_at: FROM.plus_ms(-1), ..captured(3, 0) };
        assert!(compare(&[early], &[(3, OrderEnd::Confirmed)]).is_empty(), "it was captured just before");
    }
}
