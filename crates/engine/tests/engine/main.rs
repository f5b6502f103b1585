//! The engine from outside: in a simulated world, on real files, under a real clock.

mod behaviour;
mod executor;
mod files;
mod ledger;
mod simulation;
mod support;
