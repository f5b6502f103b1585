//! The requests that wait to be decided, in two queues: those of buyers who pay are taken before all others, so that a rush for the
//! last units does not keep those from paying who have one. In each queue the first to come is the first to be decided. A queue that is full
//! refuses; the other is not affected.

use crate::decide::Request;
use crate::job::PipelineJob;
use sale::Command;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

/// Where requests are sent.
pub(crate) struct JobSender {
    payments: mpsc::Sender<PipelineJob>,
    others: mpsc::Sender<PipelineJob>,
}

/// Where the deciding stage takes them from.
pub(super) struct JobInbox {
    payments: mpsc::Receiver<PipelineJob>,
    others: mpsc::Receiver<PipelineJob>,
    /// Becomes true when the engine shall answer what it has and stop.
    stopping: watch::Receiver<bool>,
    /// Requests in a batch, at most.
    batch_len_max: usize,
}

/// Two empty queues of at most `queue_len` requests each.
pub(super) fn open_queues(
    queue_len: usize,
    batch_len_max: usize,
    stopping: watch::Receiver<bool>,
) -> (JobSender, JobInbox) {
    let (to_payments, payments) = mpsc::channel(queue_len);
    let (to_others, others) = mpsc::channel(queue_len);
    (
        JobSender { payments: to_payments, others: to_others },
        JobInbox { payments, others, stopping, batch_len_max },
    )
}

/// Whether a request is a step of a payment. A look at an order is one only where its caller says so: buyers look at theirs all the time.
fn is_payment_step(request: &Request) -> bool {
    matches!(
        request,
        Request::Command {
            command: Command::BeginPayment { .. } | Command::Confirm { .. } | Command::EndPayment { .. },
            ..
        }
    )
}

impl JobSender {
    pub(crate) fn try_send(&self, job: PipelineJob) -> Result<(), TrySendError<PipelineJob>> {
        if is_payment_step(&job.request) { self.try_send_for_payment(job) } else { self.others.try_send(job) }
    }

    /// The same for what a payment needs to know before its next step.
    pub(crate) fn try_send_for_payment(&self, job: PipelineJob) -> Result<(), TrySendError<PipelineJob>> {
        self.payments.try_send(job)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.others.is_closed()
    }

    pub(crate) async fn closed(&self) {
        self.others.closed().await;
    }
}

impl JobInbox {
    /// Requests that wait.
    pub(super) fn len(&self) -> usize {
        self.payments.len() + self.others.len()
    }

    pub(super) fn batch_len_max(&self) -> usize {
        self.batch_len_max
    }

    /// Waits for requests and takes those that are there; 0 when the engine has stopped. Loses nothing when dropped.
    pub(super) async fn receive(&mut self, jobs: &mut Vec<PipelineJob>) -> usize {
        let first = tokio::select! {
            biased;
            _ = self.stopping.wait_for(|is_stopping| *is_stopping) => None,
            Some(job) = self.payments.recv() => Some(job),
            Some(job) = self.others.recv() => Some(job),
            else => None,
        };
        if first.is_none() {
            self.payments.close();
            self.others.close();
        }
        let before = jobs.len();
        jobs.extend(first);
        while jobs.len() - before < self.batch_len_max
            && let Ok(job) = self.payments.try_recv().or_else(|_| self.others.try_recv())
        {
            jobs.push(job);
        }
        jobs.len() - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::WaitingCaller;
    use sale::{BuyerId, OrderId, SaleId};
    use tokio::sync::oneshot;
    use uuid::Uuid;

    const SALE: SaleId = SaleId(Uuid::nil());

    fn job(request: Request) -> PipelineJob {
        PipelineJob { request, caller: WaitingCaller { reply: oneshot::channel().0, tries: 0 } }
    }

    fn confirm(number: u128) -> PipelineJob {
        let (buyer, order) = (BuyerId(Uuid::nil()), OrderId(Uuid::from_u128(number)));
        job(Request::Command { sale: SALE, command: Command::Confirm { buyer, order } })
    }

    fn is_confirm(job: &PipelineJob) -> bool {
        matches!(job.request, Request::Command { command: Command::Confirm { .. }, .. })
    }

    #[tokio::test]
    async fn buyers_who_pay_are_served_before_all_others_and_each_queue_in_order() {
        let (_stop, stopping) = watch::channel(false);
        let (sender, mut inbox) = open_queues(10, 4, stopping);
        for _ in 0..3 {
            sender.try_send(job(Request::Sale { sale: SALE })).ok().unwrap();
        }
        for number in 1..=3 {
            sender.try_send(confirm(number)).ok().unwrap();
        }
        let mut jobs = Vec::new();
        assert_eq!(inbox.receive(&mut jobs).await, 4);
        assert_eq!(jobs.iter().map(is_confirm).collect::<Vec<_>>(), [true, true, true, false]);
        assert_eq!(inbox.len(), 2);
        assert_eq!(inbox.receive(&mut jobs).await, 2);
    }

    #[tokio::test]
    async fn those_who_look_at_orders_are_not_served_before_those_who_pay() {
        let (_stop, stopping) = watch::channel(false);
        let (sender, mut inbox) = open_queues(10, 10, stopping);
        let look = |number| job(Request::Order { order: OrderId(Uuid::from_u128(number)) });
        sender.try_send(look(1)).ok().unwrap();
        sender.try_send(confirm(2)).ok().unwrap();
        sender.try_send_for_payment(look(3)).ok().unwrap();
        let mut jobs = Vec::new();
        inbox.receive(&mut jobs).await;
        let order_of = |job: &PipelineJob| match job.request {
            Request::Order { order } => Some(order.0.as_u128()),
            _ => None,
        };
        assert_eq!(jobs.iter().map(order_of).collect::<Vec<_>>(), [None, Some(3), Some(1)]);
    }

    #[tokio::test]
    async fn a_rush_that_fills_its_queue_leaves_room_for_those_who_pay() {
        let (_stop, stopping) = watch::channel(false);
        let (sender, _inbox) = open_queues(2, 4, stopping);
        for _ in 0..2 {
            sender.try_send(job(Request::Sale { sale: SALE })).ok().unwrap();
        }
        assert!(matches!(sender.try_send(job(Request::Sale { sale: SALE })), Err(TrySendError::Full(_))));
        assert!(sender.try_send(confirm(1)).is_ok());
    }

    #[tokio::test]
    async fn what_waits_is_answered_before_the_end() {
        let (stop, stopping) = watch::channel(false);
        let (sender, mut inbox) = open_queues(10, 2, stopping);
        for number in 1..=3 {
            sender.try_send(confirm(number)).ok().unwrap();
            sender.try_send(job(Request::Sale { sale: SALE })).ok().unwrap();
        }
        stop.send_replace(true);
        let mut jobs = Vec::new();
        while inbox.receive(&mut jobs).await > 0 {}
        assert_eq!(jobs.len(), 6);
        assert!(sender.is_closed());
        assert!(matches!(sender.try_send(confirm(4)), Err(TrySendError::Closed(_))));
    }
}
