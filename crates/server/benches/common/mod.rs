//! What the benchmarks over HTTP share: the generator and what it sends, the bare endpoint that is the measure, and Doorbusters
//! with sales to be measured. It measures nothing.

pub mod bare;
pub mod files;
pub mod instance;
pub mod shop;
pub mod wrk;
