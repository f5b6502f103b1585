//! A sale in Redis that can be played step by step, as a tape or a random history.

use crate::fixture::address;
use engine::batch::Epoch;
use engine::decide::valkey::{
    CallResult, CallTime, LibraryAnswer, LibraryCall, LibraryReply, LibraryRequest, ValkeyLibrary,
};
use sale::tape::SaleMachine;
use sale::{Command, CommandOutcome, EventSeq, LedgerEntry, SaleCounters, SaleId, SaleState, Timestamp};
use test_servers::wait::HANG_LIMIT;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Calls under way at once: tests need not be fair to others.
const CALLS_AT_ONCE: usize = 32;

/// A connection of its own, and the sales that were begun over it.
pub struct LibraryClient {
    pub library: ValkeyLibrary,
    /// Sales of one connection have ids of their own.
    no: u64,
    sales: u64,
}

impl LibraryClient {
    pub fn at(url: &str, no: u64) -> Self {
        let library = ValkeyLibrary::new(&address(url), &format!("test {no}"));
        // What a test asserts does not depend on how busy the machine is.
        Self { library: library.with_response_timeout(HANG_LIMIT), no, sales: 0 }
    }

    /// Hands a state over as a new sale.
    pub async fn begin(&mut self, state: &SaleState) -> SaleId {
        if self.sales == 0 {
            // With the timeout of a start: the machine may be busy with other tests.
            self.library.connect().await.unwrap();
        }
        self.sales += 1;
        let sale = SaleId(Uuid::from_u64_pair(self.no, self.sales));
        self.restore_state(sale, Epoch(1), state).await;
        sale
    }

    pub async fn restore_state(&mut self, sale: SaleId, epoch: Epoch, state: &SaleState) {
        assert_eq!(
            self.library.claim_restore(sale).await.unwrap(),
            None,
            "no other client claims a sale of this test"
        );
        assert!(self.library.restore_state(sale, epoch, state).await.unwrap());
    }

    /// Sends many calls at once.
    pub async fn decide(&mut self, batches: &[LibraryCall<'_>]) -> Vec<LibraryReply> {
        let results = self.library.decide(batches, CALLS_AT_ONCE).await;
        let decided = results.into_iter().map(|result| match result {
            Ok(CallResult::Decided(reply)) => *reply,
            Ok(CallResult::StateNeeded(why)) => panic!("the state was restored, and yet: {why}"),
            Err(error) => {
                panic!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string))
            }
        });
        decided.collect()
    }

    pub async fn call(
        &mut self,
        sale: SaleId,
        at: Timestamp,
        requests: Vec<LibraryRequest<'_>>,
    ) -> LibraryReply {
        self.decide(&[batch(sale, at, requests)]).await.remove(0)
    }
}

/// A runtime for a test that is not one itself.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

pub fn batch(sale: SaleId, at: Timestamp, requests: Vec<LibraryRequest<'_>>) -> LibraryCall<'_> {
    LibraryCall {
        sale,
        time: CallTime::FixedAt(at),
        epoch_min: Epoch(1),
        known_policy: EventSeq(u64::MAX),
        requests,
    }
}

pub fn outcome(answer: &LibraryAnswer) -> CommandOutcome {
    match answer {
        LibraryAnswer::Outcome(outcome) => outcome.clone(),
        other => panic!("a command was answered with {other:?}"),
    }
}

/// One sale of it, played step by step.
pub struct OneSale<'a> {
    pub runtime: &'a Runtime,
    pub redis: &'a mut LibraryClient,
    pub sale: SaleId,
    pub clock: Timestamp,
}

impl SaleMachine for OneSale<'_> {
    fn step(&mut self, now: Timestamp, command: &Command) -> (CommandOutcome, Vec<LedgerEntry>) {
        let Self { runtime, redis, sale, .. } = self;
        let reply = runtime.block_on(redis.call(*sale, now, vec![LibraryRequest::Command(command)]));
        self.clock = reply.at;
        (outcome(&reply.answers[0].1), reply.entries)
    }

    fn counters(&mut self) -> SaleCounters {
        let batch = LibraryCall { time: CallTime::ReadOnly, ..batch(self.sale, self.clock, vec![]) };
        self.runtime.block_on(self.redis.decide(&[batch])).remove(0).counters
    }
}

/// One sale of it, whose state is folded and restored again before every step.
pub struct RestoredSale<'a> {
    pub sale: OneSale<'a>,
    pub state: SaleState,
    pub epoch: Epoch,
}

impl SaleMachine for RestoredSale<'_> {
    fn step(&mut self, now: Timestamp, command: &Command) -> (CommandOutcome, Vec<LedgerEntry>) {
        self.epoch.0 += 1;
        let OneSale { runtime, redis, sale, .. } = &mut self.sale;
        runtime.block_on(redis.restore_state(*sale, self.epoch, &self.state));
        let (outcome, entries) = self.sale.step(now, command);
        entries.iter().for_each(|entry| self.state.apply(entry));
        (outcome, entries)
    }

    fn counters(&mut self) -> SaleCounters {
        self.sale.counters()
    }
}
