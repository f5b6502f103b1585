//! Servers of one's own, for tests: made in temporary folders on free ports, killed, frozen and mended as the test wants, and gone
//! when the test has ended. It never touches a server that it did not make, and nothing that ships knows it.
#![expect(clippy::missing_panics_doc, reason = "what fails ends the test")]
#![expect(clippy::unwrap_used, reason = "for tests: what fails ends them")]

pub mod nginx;
pub mod postgres;
pub mod redis;

pub mod process;
pub mod proxy;

mod port;

pub use port::free_port;
