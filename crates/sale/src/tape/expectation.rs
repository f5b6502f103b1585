//! The right-hand side of a tape's line: what an outcome, an event or the counters must be, as words and named facts.

use super::{TapeError, token};
use crate::command::Command;
use crate::counters::SaleCounters;
use crate::event::{Event, ReleaseCause};
use crate::id::Ticket;
use crate::outcome::{CommandOutcome, LinePosition, OrderStatus, OrderView, Refusal};
use std::fmt;

/// Words in order, then facts by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TapeExpectation {
    words: Vec<String>,
    facts: Vec<TapeFact>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct TapeFact {
    name: String,
    value: String,
    /// False for what can be compared, but would only clutter a printed line.
    is_shown: bool,
}

impl TapeExpectation {
    /// Reads the right-hand side of a line. Moments are brought into one form, so that `5m` and `300s` are the same.
    pub(super) fn parse(text: &str) -> Self {
        let normal = |word: &str| {
            token::parse_duration_ms(word).map_or_else(|| word.to_owned(), token::format_duration)
        };
        let mut expected = Self::from_words(&[]);
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) => expected = expected.with_fact(name, normal(value)),
                None => expected.words.push(normal(word)),
            }
        }
        expected
    }

    /// The absence of an event.
    pub(super) fn no_event() -> Self {
        Self::from_words(&["nothing"])
    }

    pub(super) fn is_no_event(&self) -> bool {
        *self == Self::no_event()
    }

    pub(super) fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    pub(super) fn has_facts_only_after(&self, word: &str) -> bool {
        self.words == [word]
    }

    pub(super) fn from_outcome(outcome: &CommandOutcome, command: &Command) -> Self {
        match *outcome {
            CommandOutcome::Done => Self::from_words(&["done"]),
            CommandOutcome::Joined { ticket, position } => {
                Self::from_words(&["joined"]).with_fact("ticket", ticket).with_fact("position", position)
            }
            CommandOutcome::Left { ticket } => Self::from_words(&["left"]).with_fact("ticket", ticket),
            CommandOutcome::Extended { ticket, until, repeated } => {
                let expected = if repeated { Self::from_words(&["again"]) } else { Self::from_words(&[]) };
                expected
                    .with_word("extended")
                    .with_word("until")
                    .with_word(token::format_moment(until))
                    .with_fact("ticket", ticket)
            }
            CommandOutcome::Order { ref order, repeated } => Self::from_order(order, repeated, command),
            CommandOutcome::Refused(refusal) => {
                let expected = Self::from_words(&["refused", refusal.code()]);
                match refusal {
                    Refusal::NotAdmitted { ticket, position } => {
                        expected.with_line_position(ticket, LinePosition::Waiting { position })
                    }
                    Refusal::AlreadyInLine { ticket, place } => expected.with_line_position(ticket, place),
                    _ => expected,
                }
            }
        }
    }

    pub(super) fn from_event(event: &Event) -> Self {
        let expected = Self::from_words(&[event.name()]);
        match event {
            Event::Configured { policy } => token::policy_facts(policy)
                .into_iter()
                .fold(expected.with_word(policy.admission.name()), |expected, (name, value)| {
                    expected.with_fact(name, value)
                }),
            Event::Paused | Event::Resumed | Event::Closed => expected,
            Event::Restocked { quantity } => expected.with_word(quantity),
            Event::Joined { buyer, ticket } | Event::Lapsed { buyer, ticket } => {
                expected.with_word(token::format_name(buyer.0.as_bytes())).with_fact("ticket", ticket)
            }
            Event::Left { buyer, ticket, admitted } => expected
                .with_word(token::format_name(buyer.0.as_bytes()))
                .with_fact("ticket", ticket)
                .with_fact("admitted", format_bool(*admitted)),
            Event::Admitted { buyer, ticket, until } | Event::Extended { buyer, ticket, until } => expected
                .with_word(token::format_name(buyer.0.as_bytes()))
                .with_word("until")
                .with_word(token::format_moment(*until))
                .with_fact("ticket", ticket),
            Event::Held { buyer, order, quantity, until, from, key } => {
                let expected = expected.with_order_words(buyer.0.as_bytes(), order.0.as_bytes(), *quantity);
                let expected = expected
                    .with_word("until")
                    .with_word(token::format_moment(*until))
                    .with_fact("from", token::format_source(*from));
                expected.with_optional_fact("key", key.map(|key| token::format_name(&key.0)))
            }
            Event::Confirmed { buyer, order, quantity, from, key } => {
                let expected = expected.with_order_words(buyer.0.as_bytes(), order.0.as_bytes(), *quantity);
                expected
                    .with_fact("from", token::format_source(*from))
                    .with_optional_fact("key", key.map(|key| token::format_name(&key.0)))
            }
            Event::Released { buyer, order, quantity, reason } => {
                let expected = expected.with_order_words(buyer.0.as_bytes(), order.0.as_bytes(), *quantity);
                expected.with_word(match reason {
                    ReleaseCause::Cancelled => "cancelled",
                    ReleaseCause::Declined => "declined",
                    ReleaseCause::Expired => "expired",
                })
            }
            Event::PaymentBegun { buyer, order, quantity, held_until, until } => {
                let expected = expected.with_order_words(buyer.0.as_bytes(), order.0.as_bytes(), *quantity);
                expected
                    .with_word("until")
                    .with_word(token::format_moment(*until))
                    .with_fact("held", token::format_moment(*held_until))
            }
            Event::PaymentEnded { buyer, order, quantity, until } => {
                let expected = expected.with_order_words(buyer.0.as_bytes(), order.0.as_bytes(), *quantity);
                expected.with_word("until").with_word(token::format_moment(*until))
            }
            Event::Refunded { buyer, order, quantity, restocked } => {
                let expected = expected.with_order_words(buyer.0.as_bytes(), order.0.as_bytes(), *quantity);
                expected.with_fact("restocked", format_bool(*restocked))
            }
        }
    }

    pub(super) fn from_counters(counters: &SaleCounters) -> Self {
        let SaleCounters { quantity, available, admitted, held, sold, waiting, short } = *counters;
        let availability = match () {
            () if available > 0 => "available",
            () if sold >= quantity => "sold_out",
            () => "all_held",
        };
        let counts = [
            ("quantity", quantity),
            ("available", available),
            ("admitted", admitted),
            ("held", held),
            ("sold", sold),
            ("waiting", waiting),
            ("short", short),
        ];
        let expected = Self::from_words(&["state"]).with_fact("availability", availability);
        counts.into_iter().fold(expected, |expected, (name, count)| expected.with_fact(name, count))
    }

    /// Whether `got` meets this expectation: the same words, and every fact that is named here.
    pub(super) fn compare(&self, line: usize, command_text: &str, got: &Self) -> Result<(), TapeError> {
        let is_so =
            |fact: &TapeFact| got.facts.iter().any(|it| it.name == fact.name && it.value == fact.value);
        if self.words == got.words && self.facts.iter().all(is_so) {
            return Ok(());
        }
        let got =
            Self { facts: got.facts.iter().cloned().map(TapeFact::into_shown).collect(), ..got.clone() };
        Err(TapeError::Mismatch {
            line,
            command_text: command_text.to_owned(),
            expected: self.to_string(),
            got: got.to_string(),
        })
    }

    fn from_order(order: &OrderView, repeated: bool, command: &Command) -> Self {
        let expected = if repeated { Self::from_words(&["again"]) } else { Self::from_words(&[]) };
        let expected = match order.status {
            OrderStatus::Pending { until, paying_until: None } => {
                expected.with_word("held").with_word("until").with_word(token::format_moment(until))
            }
            OrderStatus::Pending { until, paying_until: Some(paying_until) } => expected
                .with_word("paying")
                .with_word("until")
                .with_word(token::format_moment(paying_until))
                .with_fact("held", token::format_moment(until)),
            OrderStatus::Refunded { restocked } => {
                expected.with_word("refunded").with_fact("restocked", format_bool(restocked))
            }
            status => expected.with_word(status.as_str()),
        };
        let is_own_id = match command {
            Command::Reserve { order: named, .. }
            | Command::BeginPayment { order: named, .. }
            | Command::EndPayment { order: named, .. }
            | Command::Confirm { order: named, .. }
            | Command::Release { order: named, .. }
            | Command::Refund { order: named, .. } => *named == order.id,
            _ => false,
        };
        expected
            .with_fact_if(!is_own_id, "order", token::format_name(order.id.0.as_bytes()))
            .with_fact_if(false, "buyer", token::format_name(order.buyer.0.as_bytes()))
            .with_fact_if(false, "quantity", order.quantity)
            .with_fact_if(false, "made", token::format_moment(order.made_at))
            .with_fact_if(false, "changed", token::format_moment(order.changed_at))
    }

    fn from_words(words: &[&str]) -> Self {
        Self { words: words.iter().map(|word| (*word).to_owned()).collect(), facts: Vec::new() }
    }

    fn with_word(mut self, word: impl ToString) -> Self {
        self.words.push(word.to_string());
        self
    }

    fn with_fact(self, name: &str, value: impl ToString) -> Self {
        self.with_fact_if(true, name, value)
    }

    fn with_fact_if(mut self, is_shown: bool, name: &str, value: impl ToString) -> Self {
        self.facts.push(TapeFact { name: name.to_owned(), value: value.to_string(), is_shown });
        self
    }

    fn with_optional_fact(self, name: &str, value: Option<String>) -> Self {
        match value {
            Some(value) => self.with_fact(name, value),
            None => self,
        }
    }

    fn with_line_position(self, ticket: Ticket, place: LinePosition) -> Self {
        let expected = self.with_fact("ticket", ticket);
        match place {
            LinePosition::Waiting { position } => expected.with_fact("position", position),
            LinePosition::Admitted { until, extension_s } => {
                expected.with_fact("until", token::format_moment(until)).with_fact_if(
                    extension_s > 0,
                    "extension",
                    token::format_duration(i64::from(extension_s) * 1000),
                )
            }
        }
    }

    fn with_order_words(self, buyer: &[u8; 16], order: &[u8; 16], quantity: u32) -> Self {
        self.with_word(token::format_name(buyer)).with_word(token::format_name(order)).with_word(quantity)
    }
}

impl TapeFact {
    fn into_shown(self) -> Self {
        Self { is_shown: true, ..self }
    }
}

impl fmt::Display for TapeExpectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.join(" "))?;
        for fact in self.facts.iter().filter(|fact| fact.is_shown) {
            write!(f, " {}={}", fact.name, fact.value)?;
        }
        Ok(())
    }
}

fn format_bool(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}
