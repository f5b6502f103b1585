//! Reading a tape. Whatever is not understood is refused with its line, never skipped.

use super::expectation::TapeExpectation;
use super::{ORIGIN, TapeError, TapeLine, token};
use crate::admission_mode::AdmissionMode;
use crate::command::{Command, ReleaseReason};
use crate::id::{BuyerId, OrderId, RequestKey};
use crate::money::{Currency, Money};
use crate::policy::Policy;
use crate::time::Timestamp;
use uuid::Uuid;

/// The price of a policy that names none, in minor units: tapes are seldom about money.
const PRICE_MINOR: i64 = 1_000;

/// What is wrong with a line.
type ParseResult<T> = Result<T, String>;

pub(super) fn parse(text: &str) -> Result<Vec<TapeLine>, TapeError> {
    let mut lines = Vec::new();
    let mut at = ORIGIN;
    for (index, raw) in text.lines().enumerate() {
        let number = index + 1;
        let content = raw.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        let parsed = match content.strip_prefix('+') {
            Some(event) => add_event(&mut lines, number, event),
            None => parse_line(number, &mut at, content).map(|line| lines.push(line)),
        };
        parsed.map_err(|detail| TapeError::Syntax { line: number, detail })?;
    }
    Ok(lines)
}

fn add_event(lines: &mut [TapeLine], number: usize, text: &str) -> ParseResult<()> {
    let Some(TapeLine::Command { events, .. }) = lines.last_mut() else {
        return Err("an event follows the command that it is expected of".into());
    };
    let expected = TapeExpectation::parse(text);
    let events = events.get_or_insert_default();
    if !expected.is_no_event() {
        events.push((number, expected));
    }
    Ok(())
}

fn parse_line(number: usize, at: &mut Timestamp, content: &str) -> ParseResult<TapeLine> {
    if content.starts_with("state ") {
        let expected = TapeExpectation::parse(content);
        if !expected.has_facts_only_after("state") {
            return Err("state is followed by counters, such as held=1".into());
        }
        return Ok(TapeLine::State { number, expected });
    }
    let (command, outcome) = match content.split_once("->") {
        Some((command, outcome)) => (command, Some(TapeExpectation::parse(outcome))),
        None => (content, None),
    };
    if outcome.as_ref().is_some_and(|outcome| !outcome.has_words()) {
        return Err("an answer follows the arrow".into());
    }
    let mut words = LineTokens::split_line(command)?;
    if let Some(moment) = words.peek().and_then(token::parse_moment) {
        *at = moment;
        words.next("a moment")?;
    }
    let command = parse_command(&mut words)?;
    words.expect_end()?;
    Ok(TapeLine::Command { number, at: *at, command, outcome, events: None })
}

fn parse_command(words: &mut LineTokens<'_>) -> ParseResult<Command> {
    let name = words.next("a command")?;
    Ok(match name {
        "configure" => Command::Configure { policy: Box::new(parse_policy(words)?) },
        "pause" => Command::Pause,
        "resume" => Command::Resume,
        "close" => Command::Close,
        "tick" => Command::Tick,
        "restock" => Command::Restock { quantity: words.take_number("a quantity")? },
        "join" => Command::Join { buyer: words.take_buyer()? },
        "leave" => Command::Leave { buyer: words.take_buyer()? },
        "extend" => Command::Extend { buyer: words.take_buyer()? },
        "reserve" => Command::Reserve {
            buyer: words.take_buyer()?,
            order: words.take_order()?,
            quantity: words.take_number("a quantity")?,
            key: words.take_fact("key").map(parse_id).transpose()?.map(RequestKey),
        },
        "begin_payment" => Command::BeginPayment { buyer: words.take_buyer()?, order: words.take_order()? },
        "end_payment" => Command::EndPayment { buyer: words.take_buyer()?, order: words.take_order()? },
        "confirm" => Command::Confirm { buyer: words.take_buyer()?, order: words.take_order()? },
        "release" => Command::Release {
            buyer: words.take_buyer()?,
            order: words.take_order()?,
            reason: match words.next("cancelled or declined")? {
                "cancelled" => ReleaseReason::Cancelled,
                "declined" => ReleaseReason::Declined,
                other => {
                    return Err(format!("an order is released as cancelled or declined, not as {other}"));
                }
            },
        },
        "refund" => Command::Refund { order: words.take_order()?, restock: words.take_word("restock") },
        other => return Err(format!("{other} is not a command")),
    })
}

/// Reads a policy; what it does not name is one unit of ten euro for each, held for five minutes, for one hour.
fn parse_policy(words: &mut LineTokens<'_>) -> ParseResult<Policy> {
    let moment = |text: &str| token::parse_moment(text).ok_or_else(|| format!("{text} is not a moment"));
    let is_fifo = words.take_word("fifo");
    if !is_fifo {
        words.take_word("open");
    }
    let admission = if is_fifo {
        AdmissionMode::Fifo {
            per_second: words.take_number_fact("per_second", 100)?,
            checkout_s: words.take_seconds_fact("checkout", 60)?,
            line_opens_s: words.take_seconds_fact("opens", 0)?,
            extension_s: words.take_seconds_fact("extension", 0)?,
        }
    } else {
        AdmissionMode::Open
    };
    Ok(Policy {
        quantity: words.take_number_fact("quantity", 1)?,
        unit_price: match words.take_fact("price") {
            Some(text) => parse_price(text)?,
            None => parse_price(&format!("{PRICE_MINOR}EUR"))?,
        },
        starts_at: words.take_fact("starts").map_or(Ok(ORIGIN), moment)?,
        ends_at: words.take_fact("ends").map_or(Ok(ORIGIN.plus_s(3_600)), moment)?,
        limit_per_buyer: words.take_number_fact("limit", 1)?,
        hold_s: words.take_seconds_fact("hold", 300)?,
        admission,
    })
}

/// Reads minor units with their currency, such as `1999EUR`.
fn parse_price(text: &str) -> ParseResult<Money> {
    let wrong = || format!("{text} is not a price, such as 1999EUR");
    let (minor, currency) = text.split_at_checked(text.len().saturating_sub(3)).ok_or_else(wrong)?;
    let minor = minor.parse().map_err(|_| wrong())?;
    let currency: Currency = currency.parse().map_err(|_| wrong())?;
    Ok(Money { minor, currency })
}

fn parse_id(word: &str) -> ParseResult<[u8; 16]> {
    token::parse_bytes(word).ok_or_else(|| {
        format!("{word} is not a name: up to 16 of a-z, 0-9, _ and -, a letter first, or a UUID")
    })
}

fn parse_number(word: &str) -> ParseResult<u32> {
    word.parse().map_err(|_| format!("{word} is not a whole number of 0 or more"))
}

/// The words of a line, and its facts, each to be taken once.
struct LineTokens<'a> {
    words: Vec<&'a str>,
    facts: Vec<(&'a str, &'a str)>,
}

impl<'a> LineTokens<'a> {
    fn split_line(text: &'a str) -> ParseResult<Self> {
        let mut words = Vec::new();
        let mut facts: Vec<(&str, &str)> = Vec::new();
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some((name, _)) if facts.iter().any(|(known, _)| *known == name) => {
                    return Err(format!("{name} is named twice"));
                }
                Some(fact) => facts.push(fact),
                None => words.push(word),
            }
        }
        words.reverse();
        Ok(Self { words, facts })
    }

    fn peek(&self) -> Option<&'a str> {
        self.words.last().copied()
    }

    fn next(&mut self, what: &str) -> ParseResult<&'a str> {
        self.words.pop().ok_or_else(|| format!("{what} is missing"))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is_next = self.peek() == Some(word);
        if is_next {
            self.words.pop();
        }
        is_next
    }

    fn take_buyer(&mut self) -> ParseResult<BuyerId> {
        parse_id(self.next("a buyer")?).map(|bytes| BuyerId(Uuid::from_bytes(bytes)))
    }

    fn take_order(&mut self) -> ParseResult<OrderId> {
        parse_id(self.next("an order")?).map(|bytes| OrderId(Uuid::from_bytes(bytes)))
    }

    fn take_number(&mut self, what: &str) -> ParseResult<u32> {
        parse_number(self.next(what)?)
    }

    fn take_fact(&mut self, name: &str) -> Option<&'a str> {
        let index = self.facts.iter().position(|(known, _)| *known == name)?;
        Some(self.facts.swap_remove(index).1)
    }

    fn take_number_fact(&mut self, name: &str, default: u32) -> ParseResult<u32> {
        self.take_fact(name).map_or(Ok(default), parse_number)
    }

    fn take_seconds_fact(&mut self, name: &str, default: u32) -> ParseResult<u32> {
        let Some(text) = self.take_fact(name) else {
            return Ok(default);
        };
        let whole = token::parse_duration_ms(text).filter(|ms| ms % 1000 == 0);
        let seconds = whole.and_then(|ms| u32::try_from(ms / 1000).ok());
        seconds.ok_or_else(|| format!("{name} takes whole seconds, such as 300s, not {text}"))
    }

    fn expect_end(self) -> ParseResult<()> {
        match (self.words.last(), self.facts.first()) {
            (Some(word), _) => Err(format!("{word} is one word too many")),
            (None, Some((name, _))) => Err(format!("{name} means nothing here")),
            (None, None) => Ok(()),
        }
    }
}
