//! What the benchmarks over HTTP share: the generator and what it sends, the bare endpoint that is the measure, Doorbusters
//! with sales to be measured, and the files of figures. It measures nothing.

pub mod bare;
pub mod figures;
pub mod files;
pub mod instance;
pub mod shop;
pub mod wrk;
