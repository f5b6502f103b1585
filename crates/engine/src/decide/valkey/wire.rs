//! The bytes that go to the library and come back: requests, and the reply to a batch of them. Big-endian and of fixed widths,
//! because Lua's `struct` reads that at the least cost; `calls.lua` and `sale.lua` have the same layouts. Never stored: `record`
//! has its own encoding.

use super::records;
use crate::batch::Epoch;
use sale::{
    AdmissionMode, BuyerId, BuyerView, Command, CommandOutcome, Event, EventSeq, LedgerEntry, LineMember,
    LinePosition, Money, OrderId, OrderStatus, OrderView, Policy, Refusal, ReleaseCause, ReleaseReason,
    RequestKey, SaleCounters, SaleSwitches, Ticket, Timestamp, UnitSource,
};
use uuid::Uuid;

/// A request to the library, within a sale.
#[derive(Clone, Copy, Debug)]
pub enum LibraryRequest<'a> {
    Command(&'a Command),
    /// A buyer's place, holds and units.
    Buyer(BuyerId),
    /// An order.
    Order(OrderId),
    OrdersOf(BuyerId),
    /// Members of the line after a ticket (0: from the first on), at most so many.
    Line(u32, u32),
    /// The sale's counters. Every reply has them: the request is a tick.
    Counters,
}

impl LibraryRequest<'_> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let one = |kind: u8, id: Uuid| [&[kind][..], id.as_bytes()].concat();
        match self {
            Self::Command(command) => encode_command(command),
            Self::Counters => encode_command(&Command::Tick),
            Self::Buyer(buyer) => one(b'b', buyer.0),
            Self::Order(order) => one(b'o', order.0),
            Self::OrdersOf(buyer) => one(b'h', buyer.0),
            Self::Line(after, limit) => [&[b'l'][..], &after.to_be_bytes(), &limit.to_be_bytes()].concat(),
        }
    }
}

fn encode_command(command: &Command) -> Vec<u8> {
    let ids =
        |kind: u8, a: Uuid, b: Uuid, rest: &[u8]| [&[kind][..], a.as_bytes(), b.as_bytes(), rest].concat();
    let id = |kind: u8, a: Uuid, rest: &[u8]| [&[kind][..], a.as_bytes(), rest].concat();
    match command {
        // Only the policy itself decides whether it makes sense: it is checked here.
        Command::Configure { policy } if !policy.problems().is_empty() => vec![b'K'],
        Command::Configure { policy } => [&[b'K'][..], &records::encode_policy(policy)].concat(),
        Command::Pause => vec![b'P'],
        Command::Resume => vec![b'U'],
        Command::Close => vec![b'E'],
        Command::Restock { quantity } => [&[b'S'][..], &quantity.to_be_bytes()].concat(),
        Command::Join { buyer } => id(b'J', buyer.0, &[]),
        Command::Leave { buyer } => id(b'L', buyer.0, &[]),
        Command::Extend { buyer } => id(b'M', buyer.0, &[]),
        Command::Reserve { buyer, order, quantity, key } => {
            let mut bytes = ids(b'R', buyer.0, order.0, &quantity.to_be_bytes());
            bytes.extend(key.iter().flat_map(|key| key.0));
            bytes
        }
        Command::BeginPayment { buyer, order } => ids(b'G', buyer.0, order.0, &[]),
        Command::EndPayment { buyer, order } => ids(b'N', buyer.0, order.0, &[]),
        Command::Confirm { buyer, order } => ids(b'C', buyer.0, order.0, &[]),
        Command::Release { buyer, order, reason } => {
            let reason = match reason {
                ReleaseReason::Cancelled => 0,
                ReleaseReason::Declined => 1,
            };
            ids(b'X', buyer.0, order.0, &[reason])
        }
        Command::Refund { order, restock } => id(b'F', order.0, &[u8::from(*restock)]),
        Command::Tick => vec![b'T'],
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LibraryAnswer {
    Outcome(CommandOutcome),
    /// To [`LibraryRequest::Buyer`].
    Buyer(BuyerView),
    /// To [`LibraryRequest::Order`] and [`LibraryRequest::OrdersOf`].
    Orders(Vec<OrderView>),
    /// To [`LibraryRequest::Line`].
    Line(Vec<LineMember>),
}

/// The reply to a batch of requests of one sale.
#[derive(Clone, Debug)]
pub struct LibraryReply {
    /// The epoch of the state that it was decided from.
    pub epoch: Epoch,
    /// When it was decided, by the server's clock.
    pub at: Timestamp,
    /// The sale's last event before it.
    pub seq_before: EventSeq,
    /// The next moment at which a tick would do something.
    pub due: Option<Timestamp>,
    /// The counters after it.
    pub counters: SaleCounters,
    /// After it.
    pub switches: SaleSwitches,
    /// False when the sale was never announced.
    pub announced: bool,
    /// The event that last changed the policy, and the policy if the caller did not know it.
    pub policy: (EventSeq, Option<Policy>),
    /// One answer for each request, with the number of events that came with it.
    pub answers: Vec<(u32, LibraryAnswer)>,
    pub entries: Vec<LedgerEntry>,
}

#[derive(Debug, thiserror::Error)]
#[error("the library sent a reply that this version cannot read")]
pub struct WireError;

/// Reads the reply to a batch that was decided.
pub(super) fn decode_reply(bytes: &[u8]) -> Result<LibraryReply, WireError> {
    let mut reader = WireReader(bytes);
    if reader.byte()? != b'D' {
        return Err(WireError);
    }
    let (epoch, at) = (Epoch(reader.u64()?), reader.moment()?);
    let (seq_before, due) = (EventSeq(reader.u64()?), reader.i64()?);
    let flags = reader.byte()?;
    let paused_at = reader.moment()?;
    let mut units = || reader.u64().map(|units| u32::try_from(units).unwrap_or(u32::MAX));
    let (quantity, available, admitted) = (units()?, units()?, units()?);
    let (held, sold, short) = (units()?, units()?, units()?);
    let waiting = reader.u32()?;
    let (policy_seq, answers_len, entries_len) = (EventSeq(reader.u64()?), reader.u32()?, reader.u32()?);
    let policy = if flags & 8 == 0 { None } else { Some(reader.policy()?) };
    let answers = (0..answers_len).map(|_| Ok((reader.u32()?, reader.answer()?)));
    let answers = answers.collect::<Result<_, WireError>>()?;
    let entries = reader.entries(at, seq_before, entries_len)?;
    Ok(LibraryReply {
        epoch,
        at,
        seq_before,
        due: (due >= 0).then_some(Timestamp(due)),
        counters: SaleCounters { quantity, available, admitted, held, sold, waiting, short },
        switches: SaleSwitches {
            paused_at: (flags & 1 != 0).then_some(paused_at),
            is_closed: flags & 2 != 0,
        },
        announced: flags & 4 != 0,
        policy: (policy_seq, policy),
        answers,
        entries,
    })
}

/// Reads an outbox item: the epoch, and the events of one call.
pub(super) fn decode_outbox(bytes: &[u8]) -> Result<(Epoch, Vec<LedgerEntry>), WireError> {
    let mut reader = WireReader(bytes);
    let (epoch, at) = (Epoch(reader.u64()?), reader.moment()?);
    let (before, len) = (EventSeq(reader.u64()?), reader.u32()?);
    Ok((epoch, reader.entries(at, before, len)?))
}

struct WireReader<'a>(&'a [u8]);

impl WireReader<'_> {
    fn take_bytes<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(WireError)?;
        self.0 = rest;
        Ok(*first)
    }

    fn byte(&mut self) -> Result<u8, WireError> {
        self.take_bytes::<1>().map(|[byte]| byte)
    }

    fn flag(&mut self) -> Result<bool, WireError> {
        self.byte().map(|byte| byte != 0)
    }

    fn u32(&mut self) -> Result<u32, WireError> {
        self.take_bytes().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, WireError> {
        self.take_bytes().map(u64::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, WireError> {
        self.take_bytes().map(i64::from_be_bytes)
    }

    fn moment(&mut self) -> Result<Timestamp, WireError> {
        self.i64().map(Timestamp)
    }

    fn ticket(&mut self) -> Result<Ticket, WireError> {
        self.u32().map(Ticket)
    }

    fn buyer(&mut self) -> Result<BuyerId, WireError> {
        self.take_bytes().map(|bytes| BuyerId(Uuid::from_bytes(bytes)))
    }

    fn order(&mut self) -> Result<OrderId, WireError> {
        self.take_bytes().map(|bytes| OrderId(Uuid::from_bytes(bytes)))
    }

    fn policy(&mut self) -> Result<Policy, WireError> {
        let (quantity, minor) = (self.u32()?, self.i64()?);
        let currency = std::str::from_utf8(&self.take_bytes::<3>()?).map_err(|_| WireError)?.parse();
        let unit_price = Money { minor, currency: currency.map_err(|_| WireError)? };
        let (starts_at, ends_at) = (self.moment()?, self.moment()?);
        let (limit_per_buyer, hold_s, kind) = (self.u32()?, self.u32()?, self.byte()?);
        let (per_second, checkout_s) = (self.u32()?, self.u32()?);
        let (line_opens_s, extension_s) = (self.u32()?, self.u32()?);
        let admission = match kind {
            0 => AdmissionMode::Open,
            _ => AdmissionMode::Fifo { per_second, checkout_s, line_opens_s, extension_s },
        };
        Ok(Policy { quantity, unit_price, starts_at, ends_at, limit_per_buyer, hold_s, admission })
    }

    fn answer(&mut self) -> Result<LibraryAnswer, WireError> {
        let outcome = match self.byte()? {
            0 => CommandOutcome::Done,
            1 => CommandOutcome::Joined { ticket: self.ticket()?, position: self.u32()? },
            2 => CommandOutcome::Left { ticket: self.ticket()? },
            3 => {
                let repeated = self.flag()?;
                CommandOutcome::Order { order: self.order_view()?, repeated }
            }
            4 => CommandOutcome::Refused(self.refusal()?),
            5 => {
                let (ticket, until, repeated) = (self.ticket()?, self.moment()?, self.flag()?);
                CommandOutcome::Extended { ticket, until, repeated }
            }
            10 => return Ok(LibraryAnswer::Buyer(self.buyer_view()?)),
            11 => {
                let len = self.u32()?;
                let orders = (0..len).map(|_| self.order_view()).collect::<Result<_, _>>()?;
                return Ok(LibraryAnswer::Orders(orders));
            }
            12 => {
                let len = self.u32()?;
                let member = |reader: &mut Self| {
                    let buyer = reader.buyer()?;
                    let (ticket, place) = reader.place()?;
                    Ok(LineMember { buyer, ticket, place })
                };
                return Ok(LibraryAnswer::Line(
                    (0..len).map(|_| member(self)).collect::<Result<_, WireError>>()?,
                ));
            }
            _ => return Err(WireError),
        };
        Ok(LibraryAnswer::Outcome(outcome))
    }

    fn place(&mut self) -> Result<(Ticket, LinePosition), WireError> {
        let (ticket, is_admitted, value) = (self.ticket()?, self.flag()?, self.i64()?);
        let extension_s = self.u32()?;
        let place = if is_admitted {
            LinePosition::Admitted { until: Timestamp(value), extension_s }
        } else {
            LinePosition::Waiting { position: u32::try_from(value).map_err(|_| WireError)? }
        };
        Ok((ticket, place))
    }

    fn buyer_view(&mut self) -> Result<BuyerView, WireError> {
        let (has_history, has_place) = (self.flag()?, self.flag()?);
        let (held, owned) = (self.u32()?, self.u32()?);
        let place = if has_place { Some(self.place()?) } else { None };
        Ok(BuyerView {
            ticket: place.map(|(ticket, _)| ticket),
            place: place.map(|(_, place)| place),
            held,
            owned,
            has_history,
        })
    }

    fn order_view(&mut self) -> Result<OrderView, WireError> {
        let (id, buyer, quantity) = (self.order()?, self.buyer()?, self.u32()?);
        let (made_at, changed_at, stage, moment) =
            (self.moment()?, self.moment()?, self.byte()?, self.moment()?);
        let paying_until = self.moment().map(|until| (until.0 > 0).then_some(until))?;
        let status = match stage {
            0 => OrderStatus::Pending { until: moment, paying_until },
            1 => OrderStatus::Confirmed,
            2 => OrderStatus::Expired,
            3 => OrderStatus::Cancelled,
            4 => OrderStatus::Declined,
            5 => OrderStatus::Refunded { restocked: true },
            6 => OrderStatus::Refunded { restocked: false },
            _ => return Err(WireError),
        };
        Ok(OrderView { id, buyer, quantity, made_at, changed_at, status })
    }

    /// A refusal's number is its index in [`Refusal::CODES`].
    fn refusal(&mut self) -> Result<Refusal, WireError> {
        Ok(match self.byte()? {
            0 => Refusal::NotStarted,
            1 => Refusal::Ended,
            2 => Refusal::Paused,
            3 => Refusal::Closed,
            4 => Refusal::SoldOut,
            5 => Refusal::AllHeld,
            6 => Refusal::NotInLine,
            7 => Refusal::NotAdmitted { ticket: self.ticket()?, position: self.u32()? },
            8 => {
                let (ticket, place) = self.place()?;
                Refusal::AlreadyInLine { ticket, place }
            }
            9 => Refusal::NoLine,
            10 => Refusal::NoExtension,
            11 => Refusal::LimitReached,
            12 => Refusal::KeyReused,
            13 => Refusal::OrderUnknown,
            14 => Refusal::OrderExpired,
            15 => Refusal::NotYourOrder,
            16 => Refusal::OrderState,
            17 => Refusal::PromiseMade,
            18 => Refusal::BadPolicy,
            19 => Refusal::OrderPaying,
            _ => return Err(WireError),
        })
    }

    /// Reads the last part of a message: events of one moment.
    fn entries(mut self, at: Timestamp, before: EventSeq, len: u32) -> Result<Vec<LedgerEntry>, WireError> {
        let mut seq = before;
        let mut entries = Vec::with_capacity(len.min(4096) as usize);
        for _ in 0..len {
            seq = seq.next();
            entries.push(LedgerEntry { seq, at, event: self.event()? });
        }
        if self.0.is_empty() { Ok(entries) } else { Err(WireError) }
    }

    /// Kinds have the numbers of the ledger.
    fn event(&mut self) -> Result<Event, WireError> {
        Ok(match self.byte()? {
            0 => Event::Configured { policy: Box::new(self.policy()?) },
            1 => Event::Paused,
            2 => Event::Resumed,
            3 => Event::Closed,
            4 => Event::Restocked { quantity: self.u32()? },
            5 => Event::Joined { buyer: self.buyer()?, ticket: self.ticket()? },
            6 => Event::Left { buyer: self.buyer()?, ticket: self.ticket()?, admitted: self.flag()? },
            7 => Event::Admitted { buyer: self.buyer()?, ticket: self.ticket()?, until: self.moment()? },
            8 => Event::Lapsed { buyer: self.buyer()?, ticket: self.ticket()? },
            9 => {
                let (buyer, order, quantity) = (self.buyer()?, self.order()?, self.u32()?);
                let until = self.moment()?;
                Event::Held { buyer, order, quantity, until, from: self.source()?, key: self.key()? }
            }
            10 => {
                let (buyer, order, quantity) = (self.buyer()?, self.order()?, self.u32()?);
                Event::Confirmed { buyer, order, quantity, from: self.source()?, key: self.key()? }
            }
            11 => {
                let (buyer, order, quantity) = (self.buyer()?, self.order()?, self.u32()?);
                let reason = match self.byte()? {
                    0 => ReleaseCause::Cancelled,
                    1 => ReleaseCause::Declined,
                    2 => ReleaseCause::Expired,
                    _ => return Err(WireError),
                };
                Event::Released { buyer, order, quantity, reason }
            }
            12 => {
                let (buyer, order, quantity) = (self.buyer()?, self.order()?, self.u32()?);
                Event::Refunded { buyer, order, quantity, restocked: self.flag()? }
            }
            13 => Event::Extended { buyer: self.buyer()?, ticket: self.ticket()?, until: self.moment()? },
            14 => {
                let (buyer, order, quantity) = (self.buyer()?, self.order()?, self.u32()?);
                let (held_until, until) = (self.moment()?, self.moment()?);
                Event::PaymentBegun { buyer, order, quantity, held_until, until }
            }
            15 => {
                let (buyer, order, quantity) = (self.buyer()?, self.order()?, self.u32()?);
                Event::PaymentEnded { buyer, order, quantity, until: self.moment()? }
            }
            _ => return Err(WireError),
        })
    }

    fn source(&mut self) -> Result<UnitSource, WireError> {
        let (kind, ticket) = (self.byte()?, self.ticket()?);
        match kind {
            0 => Ok(UnitSource::Stock),
            1 => Ok(UnitSource::Admission { ticket }),
            2 => Ok(UnitSource::Hold),
            _ => Err(WireError),
        }
    }

    fn key(&mut self) -> Result<Option<RequestKey>, WireError> {
        if self.flag()? { self.take_bytes().map(|bytes| Some(RequestKey(bytes))) } else { Ok(None) }
    }
}
