//! A random history of a line over a running engine, and the line that is read from the ledger, compared with the engine's own answer for
//! every buyer. It is the same wherever sales are decided and recorded.

use crate::support::{buyer_id, policy, sale_id};
use engine::line_reader::LineReader;
use engine::{CommandReply, Engine, EngineError};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sale::{AdmissionMode, Command, CommandOutcome, LinePosition, SaleId};
use std::time::Duration;
use test_servers::wait::{HANG_LIMIT, eventually};

const STEPS_OF_A_PART: u32 = 120;

/// Each history has a sale of its own.
fn sale_of(seed: u64) -> SaleId {
    sale_id(1_000 + seed)
}

/// Plays joins and leaves on engines that share a sale while its line moves on, and compares after each part.
pub async fn play_and_compare(engines: &[&Engine], seed: u64) {
    let sale = sale_of(seed);
    let mut numbers = StdRng::seed_from_u64(seed);
    let line = AdmissionMode::Fifo { per_second: 40, checkout_s: 1, line_opens_s: 0, extension_s: 0 };
    let policy = policy(numbers.random_range(1..60), 60, engines[0].now().plus_ms(-1), line);
    insist(engines[0], sale, Command::Configure { policy }).await;
    let mut readers: Vec<LineReader> = engines.iter().map(|_| LineReader::default()).collect();
    let mut joined = 0;
    for part in 0..4 {
        for _ in 0..numbers.random_range(1..STEPS_OF_A_PART) {
            let engine = engines[numbers.random_range(0..engines.len())];
            if joined == 0 || numbers.random_bool(0.7) {
                insist(engine, sale, Command::Join { buyer: buyer_id(joined) }).await;
                joined += 1;
            } else {
                insist(engine, sale, Command::Leave { buyer: buyer_id(numbers.random_range(0..joined)) })
                    .await;
            }
        }
        // In a pause nothing changes by time alone.
        let paused = insist(engines[0], sale, Command::Pause).await;
        for (engine, reader) in engines.iter().zip(&mut readers) {
            eventually("the pause is shown", HANG_LIMIT, async || {
                engine.views().get(sale).is_some_and(|view| view.seq == paused.seq)
            })
            .await;
            reader.read_to(engine.ledger().as_ref(), sale, paused.seq).await.unwrap();
            compare(engine, reader, (sale, joined), &format!("seed {seed}, part {part}")).await;
        }
        insist(engines[0], sale, Command::Resume).await;
    }
    // A reader that begins now reads the same.
    let view = insist(engines[0], sale, Command::Pause).await;
    let mut late = LineReader::default();
    for reader in [&mut late, &mut readers[0]] {
        reader.read_to(engines[0].ledger().as_ref(), sale, view.seq).await.unwrap();
    }
    assert_eq!(late.feed(), readers[0].feed(), "seed {seed}");
}

async fn compare(engine: &Engine, reader: &LineReader, (sale, joined): (SaleId, u64), context: &str) {
    let feed = reader.feed();
    let mut waiting = 0;
    for no in 0..joined {
        let answer = engine.buyer(sale, buyer_id(no)).await.unwrap();
        let Some((ticket, place)) = answer.ticket.zip(answer.place) else { continue };
        let expected = match place {
            LinePosition::Waiting { position } => Some(position),
            LinePosition::Admitted { .. } => None,
        };
        waiting += u32::from(expected.is_some());
        assert_eq!(feed.position(ticket), expected, "{context}: buyer {no} with ticket {ticket}: {feed:?}");
    }
    assert_eq!(feed.waiting(), waiting, "{context}");
    assert_eq!(u64::from(feed.last_ticket.0), joined, "{context}: every buyer joined once");
}

/// Repeats a command until it has an outcome, as a client does after a 503.
async fn insist(engine: &Engine, sale: SaleId, command: Command) -> CommandReply {
    loop {
        match engine.command(sale, command.clone()).await {
            Ok(reply) => {
                let is_expected = !matches!(reply.outcome, CommandOutcome::Refused(_))
                    || matches!(command, Command::Leave { .. });
                assert!(is_expected, "{command:?}: {reply:?}");
                return reply;
            }
            Err(EngineError::NotRecorded | EngineError::Overloaded) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{command:?}: {error}"),
        }
    }
}
