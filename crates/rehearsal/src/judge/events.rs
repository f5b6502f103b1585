//! Whether the events that a receiver got are those of the ledger: each once or more, none invented, with ids and documents that stay the
//! same, and with versions that put them in order. Pure, as the rest of the judge.

use super::tally::JudgeTally;
use super::{PromiseFinding, PromiseOffence};
use crate::events::{CollectedEvent, CollectedEvents};
use documents::rfc3339;
use sale::{Event, EventSeq, LedgerEntry, OrderId, ReleaseCause, SaleId, Timestamp, UnitSource};
use std::collections::{BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// Digits of the checksum in an id.
const CHECKSUM_DIGITS: usize = 8;

/// Reads a ledger, and says which events a receiver must have got.
#[derive(Debug)]
pub struct EventJudge {
    sale: SaleId,
    /// The type of each event of the ledger, from the first on.
    types: Vec<&'static str>,
    /// Units that are sold after each of them; `None` from a refund on, of which the counters know more than this.
    sold: Vec<Option<u64>>,
    /// Units of the sale, and how many of them are sold, after the last of them.
    quantity: u64,
    sold_units: u64,
    /// The events that sold the last unit.
    sold_out: BTreeSet<u64>,
    starts: BTreeSet<Timestamp>,
    ends: BTreeSet<Timestamp>,
    /// The starts that were certainly reached.
    reached_starts: BTreeSet<Timestamp>,
    current_start: Option<Timestamp>,
    is_closed: bool,
    orders: HashSet<OrderId>,
    /// Orders whose hold was paid for.
    paid: HashSet<OrderId>,
}

/// What an id says about its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IdKind<'a> {
    /// An event of the ledger.
    Ledger(EventSeq),
    SoldOut(EventSeq),
    Started(&'a str),
    Ended(&'a str),
    Payment,
    Unknown,
}

impl EventJudge {
    #[must_use]
    pub fn new(sale: SaleId) -> Self {
        Self {
            sale,
            types: Vec::new(),
            sold: Vec::new(),
            quantity: 0,
            sold_units: 0,
            sold_out: BTreeSet::new(),
            starts: BTreeSet::new(),
            ends: BTreeSet::new(),
            reached_starts: BTreeSet::new(),
            current_start: None,
            is_closed: false,
            orders: HashSet::new(),
            paid: HashSet::new(),
        }
    }

    /// Reads the next event of the ledger, from the first one on.
    pub fn read(&mut self, entry: &LedgerEntry) {
        if let Some(start) = self.current_start.filter(|start| !self.is_closed && entry.at >= *start) {
            self.reached_starts.insert(start);
        }
        let sold = self.sold.last().copied().unwrap_or(Some(0));
        let sold = match entry.event {
            Event::Confirmed { quantity, .. } => sold.map(|sold| sold + u64::from(quantity)),
            Event::Refunded { .. } => None,
            _ => sold,
        };
        self.count_units(entry);
        match &entry.event {
            Event::Configured { policy } => {
                self.starts.insert(policy.starts_at);
                self.ends.insert(policy.ends_at);
                self.current_start = Some(policy.starts_at);
            }
            Event::Closed => self.is_closed = true,
            Event::Held { order, .. } => {
                self.orders.insert(*order);
            }
            Event::Confirmed { order, from, .. } => {
                self.orders.insert(*order);
                if *from == UnitSource::Hold {
                    self.paid.insert(*order);
                }
            }
            _ => {}
        }
        self.types.push(name_type(entry));
        self.sold.push(sold);
    }

    /// Counts the sold units, and notes where all of them are.
    fn count_units(&mut self, entry: &LedgerEntry) {
        let was_sold_out = !self.types.is_empty() && self.sold_units >= self.quantity;
        match &entry.event {
            Event::Configured { policy } => self.quantity = u64::from(policy.quantity),
            Event::Restocked { quantity } => self.quantity += u64::from(*quantity),
            Event::Confirmed { quantity, .. } => self.sold_units += u64::from(*quantity),
            Event::Refunded { quantity, restocked: true, .. } => {
                self.sold_units = self.sold_units.saturating_sub(u64::from(*quantity));
            }
            _ => {}
        }
        if self.sold_units >= self.quantity && !was_sold_out {
            self.sold_out.insert(entry.seq.0);
        }
    }

    /// Whether everything that must come has come: then nobody has to wait for more.
    #[must_use]
    pub fn has_everything(&self, events: &CollectedEvents) -> bool {
        self.count_arrivals(events).to_finding("", "").broken == 0
    }

    /// The promises to receivers.
    #[must_use]
    pub fn verdict(&self, events: &CollectedEvents) -> Vec<PromiseFinding> {
        vec![
            self.count_arrivals(events).to_finding(
                "events_sent",
                "Every event of the sale, its start, that it is sold out, and every payment reaches a receiver once or more.",
            ),
            self.check_truth(events).to_finding(
                "events_true",
                "A receiver gets no event that did not happen, and each with its own type.",
            ),
            self.check_stability(events).to_finding(
                "events_stable",
                "An event has one id, and each time it is sent it is the same document.",
            ),
            self.check_versions(events).to_finding(
                "events_ordered",
                "Sorted by their versions the events of a sale tell what happened, in order.",
            ),
        ]
    }

    fn count_arrivals(&self, events: &CollectedEvents) -> JudgeTally {
        let mut tally = JudgeTally::default();
        let (mut seqs, mut starts, mut captured) = (HashSet::new(), HashSet::new(), HashSet::new());
        let mut sold_out = HashSet::new();
        for (id, event) in self.own(events) {
            match self.classify(id) {
                IdKind::Ledger(seq) => {
                    seqs.insert(seq.0);
                }
                IdKind::SoldOut(seq) => {
                    sold_out.insert(seq.0);
                }
                IdKind::Started(at) => {
                    starts.insert(at);
                }
                IdKind::Payment if event.event_type == "doorbuster.payment.captured" => {
                    captured.extend(event.order);
                }
                _ => {}
            }
        }
        for (seq, event_type) in (1_u64..).zip(&self.types) {
            tally.check(seqs.contains(&seq), || {
                PromiseOffence::new(format!("{event_type} never arrived")).event(EventSeq(seq))
            });
        }
        for seq in &self.sold_out {
            tally.check(sold_out.contains(seq), || {
                PromiseOffence::new("that the sale is sold out never arrived").event(EventSeq(*seq))
            });
        }
        for start in &self.reached_starts {
            let start = rfc3339(*start);
            tally.check(starts.contains(start.as_str()), || {
                PromiseOffence::new(format!("the start at {start} never arrived"))
            });
        }
        for order in &self.paid {
            tally.check(captured.contains(&order.0), || {
                PromiseOffence::new("the payment of an order never arrived").order(*order)
            });
        }
        tally
    }

    fn check_truth(&self, events: &CollectedEvents) -> JudgeTally {
        let mut tally = JudgeTally::default();
        for (id, event) in self.own(events) {
            let is_type = |name: &str| event.event_type == name;
            let is_true = match self.classify(id) {
                IdKind::Ledger(seq) => self.find_type(seq).is_some_and(is_type),
                IdKind::SoldOut(seq) => self.sold_out.contains(&seq.0) && is_type("doorbuster.sale.sold_out"),
                IdKind::Started(at) => has_moment(&self.starts, at) && is_type("doorbuster.sale.started"),
                IdKind::Ended(at) => has_moment(&self.ends, at) && is_type("doorbuster.sale.ended"),
                // Money is taken for an order that is confirmed with it.
                IdKind::Payment if is_type("doorbuster.payment.captured") => {
                    event.order.is_some_and(|order| self.paid.contains(&OrderId(order)))
                }
                IdKind::Payment => {
                    event.event_type.starts_with("doorbuster.payment.")
                        && event.order.is_some_and(|order| self.orders.contains(&OrderId(order)))
                }
                IdKind::Unknown => false,
            };
            tally.check(is_true, || {
                let detail = format!("{} with the id {id} never happened", event.event_type);
                PromiseOffence::new(detail).order(event.order.map(OrderId))
            });
        }
        let malformed = events.malformed;
        tally.check(malformed == 0, || PromiseOffence::new(format!("{malformed} requests were no events")));
        tally
    }

    fn check_stability(&self, events: &CollectedEvents) -> JudgeTally {
        let mut tally = JudgeTally::default();
        let mut ids: HashMap<u64, &str> = HashMap::new();
        for (id, event) in self.own(events) {
            tally.check(event.changed == 0, || {
                PromiseOffence::new(format!("{id} came with {} other documents", event.changed))
            });
            if let IdKind::Ledger(seq) = self.classify(id) {
                let known = *ids.entry(seq.0).or_insert(id);
                tally.check(known == id, || {
                    PromiseOffence::new(format!("an event came as {known} and as {id}")).event(seq)
                });
            }
        }
        tally
    }

    fn check_versions(&self, events: &CollectedEvents) -> JudgeTally {
        let mut tally = JudgeTally::default();
        for (id, event) in self.own(events) {
            let (IdKind::Ledger(seq) | IdKind::SoldOut(seq)) = self.classify(id) else { continue };
            tally.check(event.version == Some(seq.0), || {
                PromiseOffence::new(format!("{id} has the version {:?}", event.version)).event(seq)
            });
            let at = usize::try_from(seq.0).unwrap_or(usize::MAX).saturating_sub(1);
            let Some(Some(sold)) = self.sold.get(at) else { continue };
            tally.check(event.sold == Some(*sold), || {
                let detail = format!("{id} says that {:?} units are sold, and {sold} were", event.sold);
                PromiseOffence::new(detail).event(seq)
            });
        }
        tally
    }

    /// The events of this sale.
    fn own<'a>(
        &self,
        events: &'a CollectedEvents,
    ) -> impl Iterator<Item = (&'a str, &'a CollectedEvent)> + use<'a> {
        let sale: Uuid = self.sale.0;
        let all = events.by_id.iter().map(|(id, event)| (id.as_str(), event));
        all.filter(move |(_, event)| event.sale == Some(sale))
    }

    fn find_type(&self, seq: EventSeq) -> Option<&'static str> {
        let at = usize::try_from(seq.0.checked_sub(1)?).ok()?;
        self.types.get(at).copied()
    }

    fn classify<'a>(&self, id: &'a str) -> IdKind<'a> {
        if id.starts_with("payments/") {
            return IdKind::Payment;
        }
        let sale = self.sale.to_string();
        let Some(rest) = id.strip_prefix(&sale).and_then(|rest| rest.strip_prefix('/')) else {
            return IdKind::Unknown;
        };
        let parts: Vec<&str> = rest.split('/').collect();
        match parts[..] {
            ["started", at] => IdKind::Started(at),
            ["ended", at] => IdKind::Ended(at),
            [seq, checksum] if is_checksum(checksum) => {
                parse_seq(seq).map_or(IdKind::Unknown, IdKind::Ledger)
            }
            [seq, checksum, "sold-out"] if is_checksum(checksum) => {
                parse_seq(seq).map_or(IdKind::Unknown, IdKind::SoldOut)
            }
            _ => IdKind::Unknown,
        }
    }
}

fn has_moment(moments: &BTreeSet<Timestamp>, text: &str) -> bool {
    moments.iter().any(|at| rfc3339(*at) == text)
}

fn is_checksum(text: &str) -> bool {
    text.len() == CHECKSUM_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn parse_seq(text: &str) -> Option<EventSeq> {
    text.parse().ok().map(EventSeq)
}

/// The type of an event of the ledger, as the contract names it.
fn name_type(entry: &LedgerEntry) -> &'static str {
    match &entry.event {
        Event::Configured { .. } if entry.seq == EventSeq(1) => "doorbuster.sale.announced",
        Event::Configured { .. } => "doorbuster.sale.changed",
        Event::Paused => "doorbuster.sale.paused",
        Event::Resumed => "doorbuster.sale.resumed",
        Event::Closed => "doorbuster.sale.closed",
        Event::Restocked { .. } => "doorbuster.sale.restocked",
        Event::Joined { .. } => "doorbuster.line.joined",
        Event::Left { .. } => "doorbuster.line.left",
        Event::Admitted { .. } => "doorbuster.line.admitted",
        Event::Extended { .. } => "doorbuster.line.extended",
        Event::Lapsed { .. } => "doorbuster.line.lapsed",
        Event::Held { .. } => "doorbuster.order.held",
        Event::PaymentBegun { .. } | Event::PaymentEnded { .. } => "doorbuster.order.extended",
        Event::Confirmed { .. } => "doorbuster.order.confirmed",
        Event::Released { reason: ReleaseCause::Expired, .. } => "doorbuster.order.expired",
        Event::Released { reason: ReleaseCause::Cancelled, .. } => "doorbuster.order.cancelled",
        Event::Released { reason: ReleaseCause::Declined, .. } => "doorbuster.order.declined",
        Event::Refunded { .. } => "doorbuster.order.refunded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sale::{AdmissionMode, BuyerId, Money, Policy};
    use serde_json::{Value, json};

    const SALE: SaleId = SaleId(Uuid::from_u128(7));
    const BUYER: BuyerId = BuyerId(Uuid::from_u128(8));
    const ORDER: OrderId = OrderId(Uuid::from_u128(9));
    const START: Timestamp = Timestamp(1_800_000_000_000);

    fn ledger() -> Vec<LedgerEntry> {
        let policy = Policy {
            quantity: 1,
            unit_price: Money { minor: 2_999, currency: "EUR".parse().unwrap() },
            starts_at: START,
            ends_at: START.plus_ms(60_000),
            limit_per_buyer: 1,
            hold_s: 60,
            admission: AdmissionMode::Open,
        };
        let held = Event::Held {
            buyer: BUYER,
            order: ORDER,
            quantity: 1,
            until: START.plus_ms(60_001),
            from: UnitSource::Stock,
            key: None,
        };
        let confirmed =
            Event::Confirmed { buyer: BUYER, order: ORDER, quantity: 1, from: UnitSource::Hold, key: None };
        let events = [Event::Configured { policy: Box::new(policy) }, held, confirmed, Event::Closed];
        let at = |n: i64| if n == 0 { START.plus_ms(-1_000) } else { START.plus_ms(n) };
        (0_i64..)
            .zip(events)
            .map(|(n, event)| LedgerEntry { seq: EventSeq(n.cast_unsigned() + 1), at: at(n), event })
            .collect()
    }

    fn judge() -> EventJudge {
        let mut judge = EventJudge::new(SALE);
        ledger().iter().for_each(|entry| judge.read(entry));
        judge
    }

    /// What a shop sends of that ledger: ids, types, versions, units sold.
    fn documents() -> Vec<Value> {
        let document = |id: String, event_type: &str, version: u64, sold: u64| {
            let data = json!({
                "saleId": SALE, "orderId": ORDER, "version": version, "counters": {"sold": sold},
            });
            json!({"id": id, "type": format!("doorbuster.{event_type}"), "data": data})
        };
        vec![
            document(format!("{SALE}/1/0000000a"), "sale.announced", 1, 0),
            document(format!("{SALE}/started/{}", rfc3339(START)), "sale.started", 1, 0),
            document(format!("{SALE}/2/0000000b"), "order.held", 2, 0),
            document(format!("{SALE}/3/0000000c"), "order.confirmed", 3, 1),
            document(format!("{SALE}/3/0000000c/sold-out"), "sale.sold_out", 3, 1),
            document(format!("{SALE}/4/0000000d"), "sale.closed", 4, 1),
            document("payments/p/captured".to_owned(), "payment.captured", 2, 1),
        ]
    }

    fn collect(documents: &[Value]) -> CollectedEvents {
        let mut events = CollectedEvents::default();
        for document in documents {
            events.record(document["id"].as_str(), document.to_string().as_bytes());
        }
        events
    }

    fn broken(documents: &[Value]) -> Vec<&'static str> {
        let findings = judge().verdict(&collect(documents));
        findings.iter().filter(|finding| finding.broken > 0).map(|finding| finding.name).collect()
    }

    #[test]
    fn events_in_any_order_and_with_repeats_keep_all_promises() {
        let mut documents = documents();
        documents.reverse();
        documents.push(documents[0].clone());
        assert_eq!(broken(&documents), Vec::<&str>::new());
        assert!(judge().has_everything(&collect(&documents)));
    }

    #[test]
    fn each_missing_event_is_found() {
        for (at, document) in documents().iter().enumerate() {
            let mut some = documents();
            some.remove(at);
            assert_eq!(broken(&some), ["events_sent"], "{document}");
            assert!(!judge().has_everything(&collect(&some)));
        }
    }

    #[test]
    fn what_never_happened_changed_or_is_out_of_order_is_found() {
        let with = |change: Value, at: usize, field: &str| {
            let mut documents = documents();
            let mut changed = documents[at].clone();
            match field {
                "version" | "orderId" => changed["data"][field] = change,
                "sold" => changed["data"]["counters"][field] = change,
                _ => changed[field] = change,
            }
            (documents.clone(), {
                documents[at] = changed;
                documents
            })
        };
        let (_, documents) = with(json!("doorbuster.order.expired"), 3, "type");
        assert_eq!(broken(&documents), ["events_true"]);
        let (_, documents) = with(json!(9), 2, "version");
        assert_eq!(broken(&documents), ["events_ordered"]);
        let (_, documents) = with(json!(0), 3, "sold");
        assert_eq!(broken(&documents), ["events_ordered"]);
        // A repeat that is another document, a second id of one event, and an event behind the last one.
        let (mut all, changed) = with(json!(5), 2, "sold");
        all.push(changed[2].clone());
        assert_eq!(broken(&all), ["events_stable"]);
        for (id, expected) in [
            (format!("{SALE}/2/000000ff"), "events_stable"),
            (format!("{SALE}/5/000000ff"), "events_true"),
            (format!("{SALE}/started/2020-01-01T00:00:00.000Z"), "events_true"),
            (format!("{SALE}/2/no-checksum"), "events_true"),
        ] {
            let (mut all, changed) = with(json!(id), 2, "id");
            let mut invented = changed[2].clone();
            if expected == "events_true" {
                invented["data"]["version"] = json!(5);
            }
            all.push(invented);
            assert_eq!(broken(&all), [expected], "{id}");
        }
        // Sold out before the last unit was sold.
        let (mut all, changed) = with(json!(format!("{SALE}/2/0000000b/sold-out")), 4, "id");
        let mut early = changed[4].clone();
        early["data"]["version"] = json!(2);
        early["data"]["counters"]["sold"] = json!(0);
        all.push(early);
        assert_eq!(broken(&all), ["events_true"]);
        let (mut all, changed) = with(json!(Uuid::from_u128(99)), 6, "orderId");
        let mut unknown = changed[6].clone();
        unknown["id"] = json!("payments/q/captured");
        all.push(unknown);
        assert_eq!(broken(&all), ["events_true"]);
    }

    #[test]
    fn money_that_was_taken_for_an_order_that_was_not_paid_is_found() {
        // The order is held, and never confirmed.
        let mut judge = EventJudge::new(SALE);
        ledger().iter().take(2).for_each(|entry| judge.read(entry));
        let some: Vec<Value> = [0, 1, 2, 6].map(|at| documents()[at].clone()).into();
        let findings = judge.verdict(&collect(&some));
        let broken: Vec<&str> =
            findings.iter().filter(|finding| finding.broken > 0).map(|finding| finding.name).collect();
        assert_eq!(broken, ["events_true"]);
    }
}
