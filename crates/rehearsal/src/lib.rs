//! The rehearsal: a whole drop, played against an instance before the day, and judged from outside.
//!
//! It knows an instance by its API alone, as its buyers do. It shares with the server only `sale`: the law's types, and the auditor
//! that reads a ledger. It never shares code with what it judges: a fault of the engine must not be a fault of the judge too.

pub mod run;

pub mod crowd;

pub mod buyer;
pub mod client;
pub mod context;

pub mod dialects;
pub mod estimates;

pub mod merchant;

pub mod events;

pub mod ledger;

pub mod evidence;

pub mod private_instance;

pub mod observations;

pub mod judge;

pub mod clock;
pub mod live;
pub mod metrics;
pub mod report;
