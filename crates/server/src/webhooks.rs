//! Calling the receivers of webhooks: which addresses may be called, how a request is signed (Standard Webhooks), when a delivery is tried
//! again, and the HTTP client. It knows no table and decides nothing about an endpoint: `shop::webhooks` does.

pub mod address;
pub mod client;
pub mod schedule;
pub mod secret;
