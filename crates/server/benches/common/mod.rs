//! What the benchmarks over HTTP share: the generator and what it sends, the bare endpoint that is the measure, Doorbusters
//! with sales to be measured, alone and in a cluster, and the files of figures. It measures nothing but processor time.

pub mod bare;
pub mod figures;
pub mod files;
pub mod ground;
pub mod instance;
pub mod processor;
pub mod shop;
pub mod wrk;
