//! Judges of receivers, for the tests that break things: what arrived at another system is compared with what the shop has recorded. They
//! know a shop by its API, the tables of its payments and mails, and nothing of how it sends.

pub mod kafka;
pub mod mails;
pub mod records;
