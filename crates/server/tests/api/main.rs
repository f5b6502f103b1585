//! The API from outside: each test starts a shop of its own and speaks HTTP to it.

#![expect(clippy::unwrap_used, reason = "a test program: what fails ends it")]

#[path = "../receivers/mod.rs"]
#[expect(dead_code, reason = "the tests of Kafka use more")]
mod receivers;

mod described;
mod support;

mod merchant;

mod journey;

mod accounts;
mod command_line;
mod connections;
mod edge;
mod environment;
mod limits;
mod mails;
mod ops;
mod payments;
mod problems;
mod shared_limits;
mod sockets;
mod stripe;
mod tokens;
mod web;
mod webhooks;

mod bad_days;
mod contract;
mod databases;
mod description;
mod hostile;
mod line_estimates;
mod line_feed;
mod load_shedding;
mod more_time;
mod place_endings;
mod races;

mod admin_keys;
mod all_held;
mod attempts;
mod export;
mod flash_sales_admin;
mod followers;
mod guests;
mod importing;
mod mailboxes;
mod moving;
mod products;
mod projector;
mod published_events;
mod records;
mod restored_tables;
mod series;
mod sessions;
mod sharing;
mod sold_things;
