//! What a tape tells of an answer, an event or the counters: words that must be so, and facts that may be named.

use super::{TapeError, word};
use crate::command::Command;
use crate::event::{Event, Release};
use crate::id::Ticket;
use crate::outcome::{OrderStatus, OrderView, Outcome, Place, Refusal};
use crate::state::Counters;
use std::fmt;

/// Words in order, then facts by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    words: Vec<String>,
    facts: Vec<Fact>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Fact {
    name: String,
    value: String,
    /// False for what can be compared, but would only clutter a printed line.
    is_shown: bool,
}

impl Told {
    /// Reads the right-hand side of a line. Moments are brought into one form, so that `5m` and `300s` are the same.
    pub(super) fn parse(text: &str) -> Self {
        let normal = |word: &str| word::duration_ms(word).map_or_else(|| word.to_owned(), word::duration);
        let mut told = Self::words(&[]);
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) => told = told.fact(name, normal(value)),
                None => told.words.push(normal(word)),
            }
        }
        told
    }

    /// The absence of an event.
    pub(super) fn nothing() -> Self {
        Self::words(&["nothing"])
    }

    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::nothing()
    }

    pub(super) fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    pub(super) fn has_facts_only_after(&self, word: &str) -> bool {
        self.words == [word]
    }

    pub(super) fn outcome(outcome: &Outcome, asked: &Command) -> Self {
        match *outcome {
            Outcome::Done => Self::words(&["done"]),
            Outcome::Joined { ticket, position } => {
                Self::words(&["joined"]).fact("ticket", ticket).fact("position", position)
            }
            Outcome::Left { ticket } => Self::words(&["left"]).fact("ticket", ticket),
            Outcome::Extended { ticket, until, repeated } => {
                let told = if repeated { Self::words(&["again"]) } else { Self::words(&[]) };
                told.word("extended").word("until").word(word::moment(until)).fact("ticket", ticket)
            }
            Outcome::Order { ref order, repeated } => Self::order(order, repeated, asked),
            Outcome::Refused(refusal) => {
                let told = Self::words(&["refused", refusal.code()]);
                match refusal {
                    Refusal::NotAdmitted { ticket, position } => {
                        told.place(ticket, Place::Waiting { position })
                    }
                    Refusal::AlreadyInLine { ticket, place } => told.place(ticket, place),
                    _ => told,
                }
            }
        }
    }

    pub(super) fn event(event: &Event) -> Self {
        let told = Self::words(&[event.name()]);
        match event {
            Event::Configured { policy } => word::policy(policy)
                .into_iter()
                .fold(told.word(word::admission(policy)), |told, (name, value)| told.fact(name, value)),
            Event::Paused | Event::Resumed | Event::Closed => told,
            Event::Restocked { quantity } => told.word(quantity),
            Event::Joined { buyer, ticket } | Event::Lapsed { buyer, ticket } => {
                told.word(word::name(buyer.0.as_bytes())).fact("ticket", ticket)
            }
            Event::Left { buyer, ticket, admitted } => told
                .word(word::name(buyer.0.as_bytes()))
                .fact("ticket", ticket)
                .fact("admitted", yes(*admitted)),
            Event::Admitted { buyer, ticket, until } | Event::Extended { buyer, ticket, until } => told
                .word(word::name(buyer.0.as_bytes()))
                .word("until")
                .word(word::moment(*until))
                .fact("ticket", ticket),
            Event::Held { buyer, order, quantity, until, from, key } => {
                let told = told.sold(buyer.0.as_bytes(), order.0.as_bytes(), *quantity);
                let told = told.word("until").word(word::moment(*until)).fact("from", word::source(*from));
                told.maybe("key", key.map(|key| word::name(&key.0)))
            }
            Event::Confirmed { buyer, order, quantity, from, key } => {
                let told = told.sold(buyer.0.as_bytes(), order.0.as_bytes(), *quantity);
                told.fact("from", word::source(*from)).maybe("key", key.map(|key| word::name(&key.0)))
            }
            Event::Released { buyer, order, quantity, reason } => {
                let told = told.sold(buyer.0.as_bytes(), order.0.as_bytes(), *quantity);
                told.word(match reason {
                    Release::Cancelled => "cancelled",
                    Release::Declined => "declined",
                    Release::Expired => "expired",
                })
            }
            Event::Refunded { buyer, order, quantity, restocked } => {
                let told = told.sold(buyer.0.as_bytes(), order.0.as_bytes(), *quantity);
                told.fact("restocked", yes(*restocked))
            }
        }
    }

    pub(super) fn counters(counters: &Counters) -> Self {
        let Counters { quantity, available, admitted, held, sold, waiting, short } = *counters;
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
        let told = Self::words(&["state"]).fact("availability", availability);
        counts.into_iter().fold(told, |told, (name, count)| told.fact(name, count))
    }

    /// Whether `got` is what is told here: the same words, and every fact that is named here.
    pub(super) fn compare(&self, line: usize, asked: &str, got: &Self) -> Result<(), TapeError> {
        let is_so = |fact: &Fact| got.facts.iter().any(|it| it.name == fact.name && it.value == fact.value);
        if self.words == got.words && self.facts.iter().all(is_so) {
            return Ok(());
        }
        let got = Self { facts: got.facts.iter().cloned().map(Fact::shown).collect(), ..got.clone() };
        Err(TapeError::Mismatch {
            line,
            asked: asked.to_owned(),
            expected: self.to_string(),
            got: got.to_string(),
        })
    }

    fn order(order: &OrderView, repeated: bool, asked: &Command) -> Self {
        let told = if repeated { Self::words(&["again"]) } else { Self::words(&[]) };
        let told = match order.status {
            OrderStatus::Pending { until } => told.word("held").word("until").word(word::moment(until)),
            OrderStatus::Refunded { restocked } => told.word("refunded").fact("restocked", yes(restocked)),
            status => told.word(status.as_str()),
        };
        let is_asked = match asked {
            Command::Reserve { order: asked, .. }
            | Command::Confirm { order: asked, .. }
            | Command::Release { order: asked, .. }
            | Command::Refund { order: asked, .. } => *asked == order.id,
            _ => false,
        };
        told.fact_if(!is_asked, "order", word::name(order.id.0.as_bytes()))
            .fact_if(false, "buyer", word::name(order.buyer.0.as_bytes()))
            .fact_if(false, "quantity", order.quantity)
            .fact_if(false, "made", word::moment(order.made_at))
            .fact_if(false, "changed", word::moment(order.changed_at))
    }

    fn words(words: &[&str]) -> Self {
        Self { words: words.iter().map(|word| (*word).to_owned()).collect(), facts: Vec::new() }
    }

    fn word(mut self, word: impl ToString) -> Self {
        self.words.push(word.to_string());
        self
    }

    fn fact(self, name: &str, value: impl ToString) -> Self {
        self.fact_if(true, name, value)
    }

    fn fact_if(mut self, is_shown: bool, name: &str, value: impl ToString) -> Self {
        self.facts.push(Fact { name: name.to_owned(), value: value.to_string(), is_shown });
        self
    }

    fn maybe(self, name: &str, value: Option<String>) -> Self {
        match value {
            Some(value) => self.fact(name, value),
            None => self,
        }
    }

    fn place(self, ticket: Ticket, place: Place) -> Self {
        let told = self.fact("ticket", ticket);
        match place {
            Place::Waiting { position } => told.fact("position", position),
            Place::Admitted { until, extension_s } => told.fact("until", word::moment(until)).fact_if(
                extension_s > 0,
                "extension",
                word::duration(i64::from(extension_s) * 1000),
            ),
        }
    }

    fn sold(self, buyer: &[u8; 16], order: &[u8; 16], quantity: u32) -> Self {
        self.word(word::name(buyer)).word(word::name(order)).word(quantity)
    }
}

impl Fact {
    fn shown(self) -> Self {
        Self { is_shown: true, ..self }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.join(" "))?;
        for fact in self.facts.iter().filter(|fact| fact.is_shown) {
            write!(f, " {}={}", fact.name, fact.value)?;
        }
        Ok(())
    }
}

fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}
