//! The feed of a line, compared with the law's own answer for every buyer who waits: random sales and random long lines, each from a
//! seed, which a failure prints.

#![expect(clippy::unwrap_used, reason = "a test program: what fails ends it")]

use sale::line_feed::{EXACT_PLACES, EXACT_TICKETS_MAX, FEED_LEN_MAX};
use sale::{
    AdmissionMode, BuyerId, Command, Event, LineFeed, LinePosition, Money, Policy, SaleState, Ticket,
    Timestamp, WaitingTickets,
};
use uuid::Uuid;

const START: Timestamp = Timestamp(1_000_000_000);

/// Numbers from a seed (SplitMix64).
struct SeededNumbers(u64);

impl SeededNumbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From `low` to `high`, both included.
    fn between(&mut self, low: u32, high: u32) -> u32 {
        low + u32::try_from(self.next() % u64::from(high - low + 1)).unwrap()
    }

    fn percent(&mut self, share: u32) -> bool {
        self.between(1, 100) <= share
    }
}

/// How many of how many tickets wait up to each ticket; the law's answers by another way.
struct TrueLine {
    waiting: WaitingTickets,
    last: u32,
}

impl TrueLine {
    fn feed(&self) -> LineFeed {
        LineFeed::new(&self.waiting, Ticket(self.last))
    }
}

/// Compares a feed with the true place of a ticket that waits.
fn assert_place(feed: &LineFeed, ticket: Ticket, position: u32, context: &str) {
    let shown = feed.position(ticket);
    let Some(place) = shown else {
        panic!("{context}: ticket {ticket} waits at {position}, and the feed has no place for it")
    };
    if ticket.0 <= feed.serving.0 + feed.exact_tickets {
        assert_eq!(place, position, "{context}: ticket {ticket} is one of the exact ones");
    }
    let error = u64::from(place.abs_diff(position)) * 1_000;
    let error_max = u64::from(position) * u64::from(feed.error_per_mille);
    assert!(
        error <= error_max,
        "{context}: ticket {ticket} is at {position}, and the feed says {place}: {feed:?}"
    );
}

/// What holds of every feed.
fn assert_sound(feed: &LineFeed, waiting: u32, context: &str) {
    let encoded = feed.encode_blocks();
    assert!(feed.gone.len() + encoded.len() <= FEED_LEN_MAX, "{context}: {} bytes", encoded.len());
    assert_eq!(LineFeed::decode_blocks(&encoded).as_ref(), Some(&feed.blocks), "{context}");
    assert_eq!(feed.waiting(), waiting, "{context}");
    let tickets = feed.exact_tickets + feed.blocks.iter().map(|block| block.tickets).sum::<u32>();
    assert_eq!(feed.serving.0 + tickets, feed.last_ticket.0, "{context}: every ticket is told of");
}

/// A sale in which many join, some leave, and the line moves on.
struct RandomSale {
    numbers: SeededNumbers,
    state: SaleState,
    line: TrueLine,
    now: Timestamp,
    joined: u32,
    leave_percent: u32,
}

impl RandomSale {
    fn new(seed: u64) -> Self {
        let mut numbers = SeededNumbers(seed);
        let policy = Policy {
            quantity: numbers.between(1, 20_000),
            unit_price: Money { minor: 1_000, currency: "EUR".parse().unwrap() },
            starts_at: START,
            ends_at: START.plus_s(3_600),
            limit_per_buyer: numbers.between(1, 3),
            hold_s: 60,
            admission: AdmissionMode::Fifo {
                per_second: numbers.between(1, 3_000),
                checkout_s: numbers.between(1, 30),
                line_opens_s: 600,
                extension_s: 0,
            },
        };
        let leave_percent = numbers.between(0, 45);
        let (now, state) = (START.plus_ms(-600_000), SaleState::new());
        let line = TrueLine { waiting: WaitingTickets::default(), last: 0 };
        let mut sale = Self { numbers, state, line, now, joined: 0, leave_percent };
        sale.step(&Command::Configure { policy: Box::new(policy) });
        sale
    }

    fn step(&mut self, command: &Command) {
        let mut entries = Vec::new();
        self.state.step(self.now, command, &mut entries);
        for entry in entries {
            if let Event::Joined { ticket, .. } = entry.event {
                self.line.last = ticket.0;
            }
            self.line.waiting.apply(&entry.event);
        }
    }

    /// So many arrivals, with those who leave meanwhile, one by one or as a crowd.
    fn play(&mut self, arrivals: u32) {
        for _ in 0..arrivals {
            self.step(&Command::Join { buyer: buyer(self.joined) });
            self.joined += 1;
            if self.numbers.percent(self.leave_percent) {
                let leaves = self.numbers.between(0, self.joined - 1);
                self.step(&Command::Leave { buyer: buyer(leaves) });
            }
            if self.numbers.between(1, 5_000) == 1 {
                let first = self.numbers.between(0, self.joined - 1);
                for leaves in first..(first + self.numbers.between(1, 300)).min(self.joined) {
                    self.step(&Command::Leave { buyer: buyer(leaves) });
                }
            }
            if self.numbers.between(1, 500) == 1 {
                self.now = self.now.plus_ms(i64::from(self.numbers.between(0, 20_000)));
                self.step(&Command::Tick);
            }
        }
    }

    fn compare(&self, context: &str) {
        let feed = self.line.feed();
        let mut waiting = 0;
        for member in self.state.line_members(None, usize::MAX) {
            let position = match member.place {
                LinePosition::Waiting { position } => position,
                LinePosition::Admitted { .. } => {
                    assert_eq!(
                        feed.position(member.ticket),
                        None,
                        "{context}: an admitted ticket has no place"
                    );
                    continue;
                }
            };
            waiting += 1;
            assert_place(&feed, member.ticket, position, context);
            if position <= EXACT_PLACES {
                assert_eq!(feed.position(member.ticket), Some(position), "{context}: a place of the front");
            }
        }
        assert_sound(&feed, waiting, context);
        assert_eq!(feed.error_per_mille, 1, "{context}: {feed:?}");
    }
}

fn buyer(number: u32) -> BuyerId {
    BuyerId(Uuid::from_u128(u128::from(number) + 1))
}

#[test]
fn every_place_of_a_random_sale_is_exact_in_front_and_near_behind() {
    for seed in 0..6 {
        println!("seed {seed}");
        let mut sale = RandomSale::new(seed);
        sale.compare(&format!("seed {seed}, before anyone joined"));
        for part in 1..=4 {
            let arrivals = sale.numbers.between(1, 9_000);
            sale.play(arrivals);
            sale.compare(&format!("seed {seed}, part {part}"));
        }
    }
}

/// Who leaves a long line.
#[derive(Clone, Copy, Debug)]
enum LeavingPattern {
    /// So many of a hundred, anywhere.
    Anywhere(u32),
    /// More and more towards the end, up to so many of a hundred.
    Impatient(u32),
    /// Crowds that came together and leave together: of each so many tickets, so many.
    Crowds(u32, u32),
    /// All but one of so many.
    AllBut(u32),
}

fn long_line(numbers: &mut SeededNumbers, last: u32, leaving: LeavingPattern) -> TrueLine {
    let mut waiting = WaitingTickets::default();
    let served = numbers.between(0, last / 4);
    let mut crowd = (0, false);
    for ticket in 1..=last {
        let leaves = match leaving {
            LeavingPattern::Anywhere(share) => numbers.percent(share),
            LeavingPattern::Impatient(share) => numbers
                .percent(1 + u32::try_from(u64::from(share) * u64::from(ticket) / u64::from(last)).unwrap()),
            LeavingPattern::Crowds(stay, leave) => {
                if crowd.0 == 0 {
                    crowd = (numbers.between(1, 2 * if crowd.1 { stay } else { leave }), !crowd.1);
                }
                crowd.0 -= 1;
                crowd.1
            }
            LeavingPattern::AllBut(one_of) => numbers.between(1, one_of) > 1,
        };
        if ticket > served && !leaves {
            waiting.insert(Ticket(ticket));
        }
    }
    TrueLine { waiting, last }
}

/// Compares every so many tickets of a line that wait.
fn compare_long_line(line: &TrueLine, sampled: u32, context: &str) -> LineFeed {
    let feed = line.feed();
    let mut waiting = 0;
    for ticket in line.waiting.iter_after(None) {
        waiting += 1;
        if waiting <= EXACT_PLACES.min(64) || waiting % sampled == 0 {
            assert_place(&feed, ticket, waiting, context);
        }
    }
    assert_sound(&feed, waiting, context);
    feed
}

#[test]
fn long_lines_stay_within_a_thousandth() {
    for (seed, leaving) in [
        LeavingPattern::Anywhere(0),
        LeavingPattern::Anywhere(1),
        LeavingPattern::Anywhere(10),
        LeavingPattern::Anywhere(30),
        LeavingPattern::Anywhere(50),
        LeavingPattern::Impatient(40),
        LeavingPattern::Crowds(400, 20),
        LeavingPattern::Crowds(20_000, 8_000),
    ]
    .into_iter()
    .enumerate()
    {
        let mut numbers = SeededNumbers(seed as u64);
        let line = long_line(&mut numbers, 1_000_000, leaving);
        let feed = compare_long_line(&line, 37, &format!("seed {seed}, {leaving:?}"));
        println!(
            "seed {seed}, {leaving:?}: {} bytes of tickets, {} of {} blocks, {} of a thousand",
            feed.gone.len(),
            feed.encode_blocks().len(),
            feed.blocks.len(),
            feed.error_per_mille
        );
        assert_eq!(feed.error_per_mille, 1, "seed {seed}, {leaving:?}");
        let exact_places = line.waiting.position(Ticket(feed.serving.0 + feed.exact_tickets));
        assert!(exact_places.is_none_or(|places| places >= EXACT_PLACES), "seed {seed}, {leaving:?}");
    }
}

#[test]
fn a_line_that_does_not_fit_says_how_far_it_may_be_off() {
    for (seed, leaving) in [
        LeavingPattern::Crowds(40, 40),
        LeavingPattern::Crowds(100, 60),
        LeavingPattern::Crowds(3_000, 1_500),
        LeavingPattern::AllBut(3),
        LeavingPattern::AllBut(100),
        LeavingPattern::AllBut(20_000),
    ]
    .into_iter()
    .enumerate()
    {
        let mut numbers = SeededNumbers(seed as u64);
        let line = long_line(&mut numbers, 1_000_000, leaving);
        let feed = compare_long_line(&line, 7, &format!("seed {seed}, {leaving:?}"));
        println!(
            "seed {seed}, {leaving:?}: {} tickets, {} bytes of {} blocks, {} of a thousand",
            feed.exact_tickets,
            feed.encode_blocks().len(),
            feed.blocks.len(),
            feed.error_per_mille
        );
        assert!(feed.exact_tickets <= EXACT_TICKETS_MAX + 63, "seed {seed}, {leaving:?}");
        assert!(feed.error_per_mille <= 16, "seed {seed}, {leaving:?}: {}", feed.error_per_mille);
    }
}

#[test]
fn tickets_without_a_place_have_none() {
    let mut waiting = WaitingTickets::default();
    let empty = LineFeed::new(&waiting, Ticket(0));
    assert_eq!((empty.serving, empty.last_ticket, empty.waiting()), (Ticket(0), Ticket(0), 0));
    assert_eq!((empty.position(Ticket(0)), empty.position(Ticket(1))), (None, None));
    for ticket in [3, 4, 6] {
        waiting.insert(Ticket(ticket));
    }
    let feed = LineFeed::new(&waiting, Ticket(7));
    assert_eq!((feed.serving, feed.last_ticket, feed.exact_tickets), (Ticket(2), Ticket(7), 5));
    assert_eq!(feed.gone, [0b1_0100], "the fifth and the seventh ticket");
    let places: Vec<Option<u32>> = (0..=9).map(|ticket| feed.position(Ticket(ticket))).collect();
    assert_eq!(places, [None, None, None, Some(1), Some(2), None, Some(3), None, None, None]);
    for ticket in [3, 4, 6] {
        waiting.remove(Ticket(ticket));
    }
    let over = LineFeed::new(&waiting, Ticket(7));
    assert_eq!((over.serving, over.last_ticket, over.waiting()), (Ticket(7), Ticket(7), 0));
    assert_eq!((over.gone.len(), over.blocks.len(), over.position(Ticket(7))), (0, 0, None));
}
