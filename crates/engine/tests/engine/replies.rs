//! Each operation has its own result; a decider that replies with something else causes an internal error and no refusal.

use crate::support::{START, buyer_id, order_id, policy, request_key, sale_id};
use engine::clock::ManualClock;
use engine::decide::memory::MemoryDecider;
use engine::decide::{BatchDecider, DecideError, DecidedBatch, Reply, Request};
use engine::pipeline::PipelineLimits;
use engine::record::{LedgerReader, ReadError};
use engine::{Engine, EngineError, JoinedLine, RunningEngine, SaleView, start_on_sqlite_with};
use sale::{AdmissionMode, CommandOutcome, OrderStatus, Refusal, ReleaseReason, Ticket, Timestamp};
use std::sync::Arc;

const LINE: AdmissionMode =
    AdmissionMode::Fifo { per_second: 1, checkout_s: 60, line_opens_s: 0, extension_s: 30 };

/// Decides as the memory does and replaces its replies.
struct ReplacingDecider {
    memory: MemoryDecider,
    replace: fn(Reply) -> Reply,
}

impl BatchDecider for ReplacingDecider {
    async fn decide(&mut self, now: Timestamp, requests: &[Request]) -> Result<DecidedBatch, DecideError> {
        let mut decided = self.memory.decide(now, requests).await?;
        decided.replies = decided.replies.into_iter().map(self.replace).collect();
        Ok(decided)
    }

    async fn rebuild(&mut self, ledger: &dyn LedgerReader) -> Result<DecidedBatch, ReadError> {
        self.memory.rebuild(ledger).await
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.memory.next_due()
    }

    fn views(&self) -> Vec<Arc<SaleView>> {
        self.memory.views()
    }
}

fn start(folder: &tempfile::TempDir, replace: fn(Reply) -> Reply) -> RunningEngine {
    let clock = ManualClock::at(START);
    let decider = |memory| ReplacingDecider { memory, replace };
    start_on_sqlite_with(folder.path(), PipelineLimits::default(), |_| clock, decider, |recorder| recorder)
        .unwrap()
}

#[tokio::test]
async fn each_operation_returns_its_own_result() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(&folder, |reply| reply);
    let (engine, open, line) = (&running.engine, sale_id(1), sale_id(2));
    let (buyer, order) = (buyer_id(1), order_id(1, 1));
    for (sale, admission) in [(open, AdmissionMode::Open), (line, LINE)] {
        assert_eq!(engine.configure(sale, *policy(1, 60, START, admission)).await, Ok(Ok(())));
        assert_eq!(engine.pause(sale).await, Ok(Ok(())));
        assert_eq!(engine.resume(sale).await, Ok(Ok(())));
        assert_eq!(engine.restock(sale, 1).await, Ok(Ok(())));
    }
    let joined = engine.join(line, buyer).await.unwrap();
    assert_eq!(joined, Ok(JoinedLine { ticket: Ticket(1), position: 1 }));
    assert!(matches!(engine.join(line, buyer).await, Ok(Err(Refusal::AlreadyInLine { .. }))));
    let extended = engine.extend(line, buyer).await.unwrap().unwrap();
    assert_eq!((extended.ticket, extended.until, extended.repeated), (Ticket(1), START.plus_s(90), false));
    assert_eq!(engine.leave(line, buyer).await, Ok(Ok(Ticket(1))));

    let held = engine.reserve(open, buyer, order, 1, request_key(1)).await.unwrap().unwrap();
    assert_eq!((held.order.id, held.repeated), (order, false));
    let again = engine.reserve(open, buyer, order_id(1, 2), 1, request_key(1)).await.unwrap().unwrap();
    assert_eq!((again.order.id, again.repeated), (order, true));
    let confirmed = engine.confirm(open, buyer, order).await.unwrap().unwrap();
    assert_eq!(confirmed.order.status, OrderStatus::Confirmed);
    let released = engine.release(open, buyer, order, ReleaseReason::Cancelled).await;
    assert_eq!(released, Ok(Err(Refusal::OrderState)));
    let refunded = engine.refund(open, order, true).await.unwrap().unwrap();
    assert_eq!(refunded.order.status, OrderStatus::Refunded { restocked: true });
    assert_eq!(engine.close(open).await, Ok(Ok(())));
    assert_eq!(engine.pause(sale_id(3)).await, Err(EngineError::NoSuchSale));
}

#[tokio::test]
async fn an_outcome_of_another_operation_is_an_internal_error() {
    let folder = tempfile::tempdir().unwrap();
    let left = |reply| match reply {
        Reply::Outcome { outcome: CommandOutcome::Done, seq, at, unsold } => {
            Reply::Outcome { outcome: CommandOutcome::Left { ticket: Ticket(1) }, seq, at, unsold }
        }
        Reply::Outcome { seq, at, unsold, .. } => {
            Reply::Outcome { outcome: CommandOutcome::Done, seq, at, unsold }
        }
        other => other,
    };
    let running = start(&folder, left);
    let (engine, sale, buyer, order) = (&running.engine, sale_id(1), buyer_id(1), order_id(1, 1));
    let configured = engine.configure(sale, *policy(1, 60, START, LINE)).await;
    assert_eq!(configured, Err(EngineError::UnexpectedReply { operation: "configure" }));
    assert_eq!(engine.join(sale, buyer).await, Err(EngineError::UnexpectedReply { operation: "join" }));
    assert_eq!(engine.leave(sale, buyer).await, Err(EngineError::UnexpectedReply { operation: "leave" }));
    assert_eq!(engine.extend(sale, buyer).await, Err(EngineError::UnexpectedReply { operation: "extend" }));
    let reserved = engine.reserve(sale, buyer, order, 1, None).await;
    assert_eq!(reserved, Err(EngineError::UnexpectedReply { operation: "reserve" }));
}

#[tokio::test]
async fn a_reply_to_another_request_is_an_internal_error() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(&folder, |_| Reply::Orders(Vec::new()));
    let engine: &Engine = &running.engine;
    let (sale, unexpected) = (sale_id(1), |operation| Some(EngineError::UnexpectedReply { operation }));
    assert_eq!(engine.pause(sale).await.err(), unexpected("command"));
    assert_eq!(engine.sale(sale).await.err(), unexpected("sale"));
    assert_eq!(engine.buyer(sale, buyer_id(1)).await.err(), unexpected("buyer"));
    assert_eq!(engine.order(order_id(1, 1)).await.err(), unexpected("order"));
    assert_eq!(engine.line_members(sale, None, 1).await.err(), unexpected("line_members"));
}
