//! Doorbuster's shop around the engine: HTTP API, accounts, catalogue, payments and the followers of the ledger.
//!
//! Imports go downwards only: `commands` wires everything and alone reads settings, `http` and `realtime` turn requests into calls of
//! `shop`, which has one function per use case, and `store` and `auth` know none of their callers. ARCHITECTURE.md has the table.

pub mod commands;

pub mod followers;
pub mod http;
pub mod realtime;
pub mod shop;
pub mod shop_documents;

pub mod auth;
pub mod client_network;
pub mod clock;
pub mod mail;
pub mod payments;
pub mod store;
pub mod telemetry;
pub mod webhooks;
