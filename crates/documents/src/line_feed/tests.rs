use super::*;
use sale::WaitingTickets;
use serde_json::{Value, json};
use uuid::Uuid;

const START: Timestamp = Timestamp(1_790_000_000_000);
/// What clients are tested with, in whatever language they are written.
const VECTORS: &str = include_str!("../../tests/line-feed-vectors.json");
/// With this variable the test writes the file instead of comparing it.
const WRITE_VARIABLE: &str = "DOORBUSTER_WRITE_VECTORS";

/// Numbers from a seed (SplitMix64).
struct SeededNumbers(u64);

impl SeededNumbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// A line of so many tickets, of which the first were served and so many of a hundred of the others left.
fn line(seed: u64, served: u32, last: u32, leave_percent: u64) -> LineFeed {
    let mut numbers = SeededNumbers(seed);
    let mut waiting = WaitingTickets::default();
    for ticket in served + 1..=last {
        if numbers.below(100) >= leave_percent {
            waiting.insert(Ticket(ticket));
        }
    }
    LineFeed::new(&waiting, Ticket(last))
}

fn document(feed: Option<&LineFeed>) -> LineFeedDocument {
    LineFeedDocument {
        flash_sale_id: SaleId(Uuid::from_u128(7)),
        version: 12_345,
        server_time: START.plus_s(30),
        status: SaleStatusDocument::Active,
        paused: false,
        availability: AvailabilityDocument::Available,
        starts_at: START,
        ends_at: START.plus_s(3_600),
        per_second: 20,
        limit_per_buyer: 1,
        units_left: 15_000,
        available: 14_400,
        admitted: 100,
        held: 500,
        sold: 400,
        line: feed.map(LineDocument::from),
    }
}

/// A document, and what a client with each ticket computes from it at a moment.
fn vector(name: &str, document: &LineFeedDocument, at_s: i64, tickets: &[u32]) -> Value {
    let now = START.plus_ms(at_s * 1_000);
    let feed = document.line.as_ref().and_then(LineDocument::to_feed);
    let places: Vec<Value> = tickets
        .iter()
        .map(|ticket| {
            let position = feed.as_ref().and_then(|feed| feed.position(Ticket(*ticket)));
            let estimate =
                position.and_then(|position| document.pace().estimate_wait_s(now, Ticket(*ticket), position));
            json!({"ticket": ticket, "position": position, "estimatedWaitSeconds": estimate})
        })
        .collect();
    json!({"name": name, "now": moment::rfc3339(now), "feed": document, "places": places})
}

fn vectors() -> Value {
    let short = line(1, 3, 40, 25);
    let front = line(2, 700, 20_000, 20);
    let long = line(3, 5_000, 400_000, 40);
    let untouched = line(4, 0, 100_000, 0);
    let all: Vec<u32> = (0..=42).collect();
    let near_and_far = |feed: &LineFeed| -> Vec<u32> {
        let (first, last) = (feed.serving.0, feed.last_ticket.0);
        let step = (last - first) / 40;
        let edge = first + feed.exact_tickets;
        (0..40)
            .map(|number| first + 1 + number * step)
            .chain(edge - 2..=edge + 2)
            .chain([last, last + 1])
            .collect()
    };
    let small = LineFeedDocument {
        available: 12,
        admitted: 3,
        held: 4,
        sold: 9,
        units_left: 19,
        ..document(Some(&short))
    };
    let several = LineFeedDocument { limit_per_buyer: 4, ..small.clone() };
    let paused = LineFeedDocument { paused: true, status: SaleStatusDocument::Paused, ..small.clone() };
    let ending = LineFeedDocument { ends_at: START.plus_s(31), per_second: 2, ..small.clone() };
    let in_carts =
        LineFeedDocument { available: 0, availability: AvailabilityDocument::AllHeld, ..small.clone() };
    let over = LineFeedDocument {
        status: SaleStatusDocument::Ended,
        availability: AvailabilityDocument::Over,
        ..document(None)
    };
    let upcoming = |feed: &LineFeed| LineFeedDocument {
        status: SaleStatusDocument::Upcoming,
        available: 16_000,
        admitted: 0,
        held: 0,
        sold: 0,
        units_left: 16_000,
        ..document(Some(feed))
    };
    Value::Array(vec![
        vector("nobody has joined", &upcoming(&line(5, 0, 0, 0)), -60, &[0, 1, 2]),
        vector("a short line, of which some have left", &small, 30, &all),
        vector("buyers who may take several units", &several, 30, &all),
        vector("a pause", &paused, 30, &all),
        vector("the sale ends before most turns", &ending, 30, &all),
        vector("every unit is in a cart", &in_carts, 30, &all),
        vector("the sale is over", &over, 4_000, &all),
        vector("before the start, nobody has left", &upcoming(&untouched), -90, &near_and_far(&untouched)),
        vector("one of five has left", &document(Some(&front)), 35, &near_and_far(&front)),
        vector("a long line", &document(Some(&long)), 250, &near_and_far(&long)),
    ])
}

#[test]
fn the_vectors_of_clients_are_what_the_law_answers() {
    let fresh = vectors();
    if std::env::var_os(WRITE_VARIABLE).is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/line-feed-vectors.json");
        std::fs::write(path, serde_json::to_string_pretty(&fresh).unwrap() + "\n").unwrap();
        return;
    }
    let known: Value = serde_json::from_str(VECTORS).unwrap();
    assert!(
        known == fresh,
        "tests/line-feed-vectors.json is outdated: run this test with {WRITE_VARIABLE}=1"
    );
    let places = fresh.as_array().unwrap().iter().flat_map(|vector| vector["places"].as_array().unwrap());
    let estimated = places.filter(|place| place["estimatedWaitSeconds"].is_u64()).count();
    assert!(estimated > 50, "{estimated} of the places have an estimate");
}

#[test]
fn a_document_is_read_as_it_was_written() {
    for feed in [line(1, 0, 0, 0), line(2, 10, 9_000, 30), line(3, 0, 200_000, 45)] {
        let document = document(Some(&feed));
        let text = serde_json::to_string(&document).unwrap();
        let read: LineFeedDocument = serde_json::from_str(&text).unwrap();
        assert_eq!(read, document);
        assert_eq!(read.line.unwrap().to_feed(), Some(feed));
    }
    let wrong = LineDocument { gone: "?".into(), ..LineDocument::from(&line(1, 0, 3, 0)) };
    assert_eq!(wrong.to_feed(), None);
}

#[test]
fn the_longest_document_has_four_kibibytes() {
    // More leave than fit ticket by ticket, in crowds of all lengths.
    let mut numbers = SeededNumbers(9);
    let mut waiting = WaitingTickets::default();
    let (mut ticket, mut stays) = (4_000_000_000_u32, true);
    let last = ticket + 3_000_000;
    while ticket < last {
        let next = ticket + 1 + u32::try_from(numbers.below(120)).unwrap();
        if stays {
            (ticket..next).for_each(|ticket| waiting.insert(Ticket(ticket)));
        }
        (ticket, stays) = (next, !stays);
    }
    let feed = LineFeed::new(&waiting, Ticket(last));
    assert!(feed.gone.len() > 1_500 && feed.encode_blocks().len() > 250, "{feed:?}");
    let document = LineFeedDocument {
        version: u64::MAX,
        status: SaleStatusDocument::Upcoming,
        availability: AvailabilityDocument::Available,
        starts_at: Timestamp::MAX,
        ends_at: Timestamp::MAX,
        per_second: u32::MAX,
        limit_per_buyer: u32::MAX,
        units_left: u32::MAX,
        available: u32::MAX,
        admitted: u32::MAX,
        held: u32::MAX,
        sold: u32::MAX,
        ..document(Some(&feed))
    };
    let filled = LineDocument {
        serving: Ticket(u32::MAX),
        last_ticket: Ticket(u32::MAX),
        waiting: u32::MAX,
        exact_tickets: u32::MAX,
        error_per_mille: u32::MAX,
        gone: STANDARD.encode(vec![0xff; 2_048]),
        blocks: STANDARD.encode(vec![0xff; sale::line_feed::FEED_LEN_MAX - 2_048]),
    };
    let longest = LineFeedDocument { line: Some(filled), paused: false, ..document.clone() };
    for document in [document, longest] {
        let len = serde_json::to_vec(&document).unwrap().len();
        assert!(len <= LINE_FEED_LEN_MAX, "{len} bytes");
    }
}
