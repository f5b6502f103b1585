//! The API from outside: each test starts a shop of its own and speaks HTTP to it.

mod support;

mod merchant;

mod accounts;
mod connections;
mod edge;
mod limits;
mod ops;
mod payments;
mod problems;
mod tokens;

mod attempts;
mod flash_sales_admin;
mod products;
mod projector;
