//! Doorbuster's shop around the engine: HTTP API, accounts, catalogue, payments and the followers of the ledger.
//!
//! Imports go downwards only: `commands` wires everything and is the sole reader of settings, `http` parses requests into domain
//! types, `shop` has one function per use case, `store` and `auth` know nothing of their callers.

pub mod commands;

pub mod followers;
pub mod http;
pub mod realtime;
pub mod shop;
pub mod shop_documents;

pub mod auth;
pub mod clock;
pub mod payments;
pub mod store;
pub mod telemetry;
