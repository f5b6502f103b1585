//! The rehearsal: a whole drop, played against an instance before the day, and judged from outside.
//!
//! It knows an instance by its API alone, as its buyers do. Of the house it shares only `sale`: the words, and the auditor
//! that reads a ledger. It never shares code with what it judges: a fault of the engine must not be a fault of the judge too.

pub mod play;

pub mod crowd;

pub mod buyer;
pub mod client;
pub mod scene;

pub mod stage;

pub mod ledger;

pub mod archive;

pub mod private;

pub mod told;

pub mod judge;

pub mod live;
pub mod meter;
pub mod report;
pub mod watch;
