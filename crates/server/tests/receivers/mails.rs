//! The judge of mails that a real SMTP server took: they are compared with the ledger, the payments' outbox and the rows of mails.
//!
//! Exact are the receipt of each confirmed order, the mail about each refund, and the one about each missed turn: one row for the event and
//! its buyer, and one mail with one `Message-ID`; after a kill in the middle of sending at most once more. "It is your turn" may be given
//! up, and so may be missing. A row that the relay or the merchant ended has no mail. No mail is about an event that is not recorded.

use super::records::{PaymentRecord, SaleRecords, ShopAccess, text};
use std::collections::{BTreeMap, HashMap, HashSet};
use test_servers::mail::{ArrivedMail, MailServer};
use test_servers::wait::{HANG_LIMIT, eventually_some};

/// Kinds of mails that report an event. All others are asked for, or are for admins.
const EVENT_KINDS: [&str; 4] = ["order_confirmed", "order_refunded", "your_turn", "turn_missed"];

/// A mail that must be there.
struct DueMail {
    /// The event and the recipient.
    key: String,
    kind: &'static str,
    /// What its text must have.
    parts: Vec<String>,
}

/// A row of the shop's mails.
struct MailRecord {
    id: String,
    key: String,
    kind: String,
    recipient: String,
    state: String,
}

/// Waits until no mail about these sales is to be sent, and judges what arrived, where a process that sends was killed so many times.
pub async fn assert_mails_match(shop: &ShopAccess, sales: &[&str], server: &MailServer, kills: usize) {
    let mut records = Vec::new();
    for sale in sales {
        records.push(SaleRecords::read(shop, sale).await);
    }
    let due: Vec<DueMail> = records.iter().flat_map(list_due).collect();
    let rows = eventually_some("the mails about all events are sent", HANG_LIMIT, async || {
        let rows = read_rows(shop).await;
        let is_ended = |due: &DueMail| rows.get(&due.key).is_some_and(|row| row.state != "waiting");
        let none_waits = rows.values().all(|row| row.state != "waiting");
        (none_waits && due.iter().all(is_ended)).then_some(rows)
    })
    .await;
    let mut arrived: HashMap<String, Vec<ArrivedMail>> = HashMap::new();
    for mail in server.list_mails() {
        let id = mail.header("Message-ID").trim_start_matches('<').split('@').next().unwrap().to_owned();
        arrived.entry(id).or_default().push(mail);
    }

    let recorded: HashSet<String> = records.iter().flat_map(SaleRecords::due_ids).collect();
    for row in rows.values().filter(|row| EVENT_KINDS.contains(&row.kind.as_str())) {
        let event = row.key.strip_suffix(&format!("/{}", row.recipient)).unwrap();
        assert!(recorded.contains(event), "the mail {} is about no event", row.key);
    }
    for due in &due {
        let row = &rows[&due.key];
        assert_eq!(row.kind, due.kind, "{}", due.key);
        for mail in arrived.get(&row.id).into_iter().flatten() {
            for part in &due.parts {
                // German writes a comma in amounts.
                assert!(mail.text.replace(',', ".").contains(part), "{part} is missing: {}", mail.text);
            }
        }
    }
    let mut by_id: HashMap<&str, &MailRecord> = rows.values().map(|row| (row.id.as_str(), row)).collect();
    for (id, copies) in &arrived {
        let row = by_id.remove(id.as_str()).unwrap_or_else(|| panic!("nobody wrote {}", copies[0].head));
        assert!(copies.len() <= 1 + kills, "{} arrived {} times", row.key, copies.len());
        assert!(copies.iter().all(|mail| mail.recipient == row.recipient), "{} went elsewhere", row.key);
        assert!(copies.iter().all(|mail| mail.text == copies[0].text), "the copies of {} differ", row.key);
    }
    let lost: Vec<&str> =
        by_id.values().filter(|row| row.state == "sent").map(|row| row.key.as_str()).collect();
    assert!(lost.is_empty(), "sent, and not arrived: {lost:?}");
}

/// The rows by their keys, which are unique.
async fn read_rows(shop: &ShopAccess) -> BTreeMap<String, MailRecord> {
    let rows = shop.query("SELECT id, mail_key, kind, recipient, state FROM mails".to_owned()).await;
    let rows = rows.into_iter().map(|row| {
        let [id, key, kind, recipient, state] = row.try_into().unwrap();
        (key.clone(), MailRecord { id, key, kind, recipient, state })
    });
    rows.collect()
}

/// The mails that must be there about the events of a sale, as far as their buyers have accounts.
fn list_due(records: &SaleRecords) -> Vec<DueMail> {
    let paid: HashSet<&String> = records.payments.iter().map(|step| &step.order).collect();
    let mut due = Vec::new();
    let mut add = |event: &str, buyer: &str, kind, parts| {
        if let Some(email) = records.emails.get(buyer) {
            due.push(DueMail { key: format!("{event}/{email}"), kind, parts });
        }
    };
    for event in &records.ledger {
        let kind = match event["kind"].as_str().unwrap() {
            "confirmed" => "order_confirmed",
            // Each refund of a payment is mailed by itself.
            "refunded" if !paid.contains(&text(event, "orderId")) => "order_refunded",
            "lapsed" => "turn_missed",
            _ => continue,
        };
        let order = event["orderId"].as_str().map(ToOwned::to_owned);
        add(&text(event, "id"), &text(event, "buyerId"), kind, order.into_iter().collect());
    }
    for step in records.payments.iter().filter(|step| step.state == "refunded") {
        let PaymentRecord { id, buyer, order, amount_minor, .. } = step;
        let amount = format!("{}.{:02}", amount_minor / 100, amount_minor % 100);
        add(id, buyer, "order_refunded", vec![order.clone(), amount]);
    }
    due
}
