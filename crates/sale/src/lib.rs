//! The law of a flash sale.
//!
//! A sale is a fold over its ledger: [`SaleState::apply`] takes one [`LedgerEntry`] after the other, and
//! [`SaleState::decide`] answers a [`Command`] with a [`CommandOutcome`] and the events that follow from it. An engine, a
//! simulation and a test run the law by [`SaleState::step`], which first lets time pass and then decides.
//!
//! What this crate never does: read a clock, use randomness, do I/O, start a thread, or panic on a
//! ledger it does not understand. Time and ids are arguments; the same arguments give the same answer, always.
//!
//! ```
//! use sale::{Command, CommandOutcome, SaleState, tape};
//!
//! let story = "0s configure quantity=1 hold=300s
//!              1s reserve alice o1 1";
//! let (mut state, mut ledger) = (SaleState::new(), Vec::new());
//! for (now, command) in sale::Tape::parse(story)?.commands() {
//!     state.step(now, command, &mut ledger);
//! }
//! assert_eq!(state.counters().held, 1);
//!
//! // The same state again, from the ledger alone; and five minutes later the unit is free.
//! let mut rebuilt = SaleState::new();
//! ledger.iter().for_each(|entry| rebuilt.apply(entry));
//! let due = rebuilt.next_due().expect("the hold runs out");
//! assert_eq!(due, tape::ORIGIN.plus_s(301));
//! assert_eq!(rebuilt.step(due, &Command::Tick, &mut ledger), CommandOutcome::Done);
//! assert_eq!(rebuilt.counters().available, 1);
//! # Ok::<(), sale::tape::TapeError>(())
//! ```

pub mod policy;

mod admission_mode;

mod admission;

pub mod command;

pub mod outcome;

pub mod event;

pub mod state;

mod counters;

mod phase;

mod waiting_tickets;

pub mod line_feed;

mod estimate;

mod decide;

pub mod audit;

pub mod tape;

pub mod id;

pub mod time;

pub mod money;

mod hash;

pub use admission_mode::AdmissionMode;
pub use audit::{BrokenPromise, LedgerAuditor, SalePromise};
pub use command::{Command, ReleaseReason};
pub use counters::{Availability, SaleCounters};
pub use estimate::{LineMoment, LinePace};
pub use event::{Event, LedgerEntry, ReleaseCause, UnitSource};
pub use id::{BuyerId, EventSeq, OrderId, RequestKey, SaleId, Ticket};
pub use line_feed::LineFeed;
pub use money::{Currency, Money};
pub use outcome::{CommandOutcome, LinePosition, OrderStatus, OrderView, Refusal};
pub use phase::{SalePhase, SaleSwitches, refusal_for_every_join, refusal_for_every_reservation};
pub use policy::{Policy, PolicyProblem};
pub use state::{BuyerView, ExportedBuyer, ExportedOrder, LineMember, SaleState};
pub use tape::Tape;
pub use time::Timestamp;
pub use waiting_tickets::WaitingTickets;
