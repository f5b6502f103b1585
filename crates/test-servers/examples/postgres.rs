//! A PostgreSQL for `scripts/fuzz-api.sh`: prints the address of an empty database, and runs until its standard input ends. It keeps
//! nothing.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for a script; a failure here ends it"
)]

use std::io::Read as _;
use test_servers::postgres::PostgresServer;

fn main() {
    let server = PostgresServer::start();
    println!("{}", server.create_database());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}
