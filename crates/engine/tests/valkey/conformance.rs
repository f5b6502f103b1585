//! The law in Lua against the law in Rust: every tape, and thousands of random histories, with the same outcomes and the
//! same events.

use crate::machine::{LibraryClient, OneSale, RestoredSale, runtime};
use engine::batch::Epoch;
use sale::{SaleState, Tape, Timestamp, tape::TapeError};
use std::path::{Path, PathBuf};
use test_servers::redis::RedisServer;

#[test]
fn every_tape_comes_out_as_it_says() {
    play_all(|tape, mut machine| tape.run(&mut machine));
}

#[test]
fn every_tape_comes_out_as_it_says_though_the_state_is_handed_over_before_each_line() {
    play_all(|tape, sale| tape.run(&mut RestoredSale { sale, state: SaleState::new(), epoch: Epoch(1) }));
}

fn play_all(play: impl Fn(&Tape, OneSale<'_>) -> Result<(), TapeError>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sale/tapes");
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|it| it == "tape")).collect();
    files.sort();
    assert!(!files.is_empty(), "no tapes in {}", folder.display());
    let server = RedisServer::start();
    let (runtime, mut redis) = (runtime(), LibraryClient::at(&server.url(), 0));
    let mut failures = Vec::new();
    for file in files {
        let tape = Tape::parse(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let sale = runtime.block_on(redis.begin(&SaleState::new()));
        let machine = OneSale { runtime: &runtime, redis: &mut redis, sale, clock: Timestamp::default() };
        if let Err(error) = play(&tape, machine) {
            failures.push(format!("{}:{}\n{error}\n", file.display(), error.line()));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
