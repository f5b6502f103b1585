//! Calls of the library: one call for a batch of requests of one sale, several calls in flight, and the restoring of a state. It
//! returns what the library replied and does not act on it.

use super::error::ValkeyError;
use super::library;
use super::nodes::{ValkeyNodes, is_unknown_function};
use super::records::{self, KEY_COUNT, StateHead, StatePiece};
use super::wire::{LibraryReply, LibraryRequest, WireError, decode_reply};
use crate::batch::Epoch;
use crate::valkey_connection::{ValkeyAddress, send_command};
use futures::{Stream, StreamExt};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, Value, cmd};
use sale::{EventSeq, SaleId, SaleState, Timestamp};
use std::time::Duration;

/// Requests in a call, at most: a server that decides for one sale makes the others wait no longer than a millisecond.
pub const CALL_LEN_MAX: usize = 128;
/// Full calls in flight: while one is on its way or being read, the server has the next.
pub const CALLS_IN_FLIGHT: usize = 2;
/// Redirections and reloads of the library that one call follows.
const TRIES_MAX: usize = 4;
/// Pieces of a state in flight.
const PIECES_IN_FLIGHT: usize = 16;

/// The clock by which a call is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallTime {
    ServerClock,
    /// For tests, and for a rehearsal with a clock of its own.
    FixedAt(Timestamp),
    /// No clock: the call reads the sale and decides nothing.
    ReadOnly,
}

#[derive(Clone, Debug)]
pub struct LibraryCall<'a> {
    pub sale: SaleId,
    pub time: CallTime,
    /// The epoch that the caller knows: the library must not decide from an older state.
    pub epoch_min: Epoch,
    /// The policy that the caller knows from that epoch, by the event that last changed it.
    pub known_policy: EventSeq,
    /// In order.
    pub requests: Vec<LibraryRequest<'a>>,
}

#[derive(Debug)]
pub enum CallResult {
    Decided(Box<LibraryReply>),
    /// It decided nothing, because it does not have the state: that must be restored first. With the reason.
    StateNeeded(String),
}

pub struct ValkeyLibrary {
    pub(super) nodes: ValkeyNodes,
    /// Identifies this process to others that may want to restore the same sale.
    name: String,
}

impl ValkeyLibrary {
    /// The library on the servers at `address`. No other process has the same `name`. Connects to nothing yet.
    #[must_use]
    pub fn new(address: &ValkeyAddress, name: &str) -> Self {
        Self { nodes: ValkeyNodes::new(address), name: name.to_owned() }
    }

    /// Waits longer or shorter for replies than the second that callers of a sale can bear.
    #[must_use]
    pub fn with_response_timeout(mut self, timeout: Duration) -> Self {
        self.nodes.response_timeout = timeout;
        self
    }

    /// Connects to the first server, checks that it may be decided in, and loads the library.
    ///
    /// # Errors
    /// When it cannot be reached or may not be decided in.
    pub async fn connect(&mut self) -> Result<(), ValkeyError> {
        self.nodes.connect().await
    }

    /// Connections made so far. Behind a new one may be another server process.
    pub(super) fn connection_count(&self) -> u64 {
        self.nodes.connection_count
    }

    /// The time by which the first server decides; its clock where it decides nothing.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn server_time(&mut self) -> Result<Timestamp, ValkeyError> {
        let mut connection = self.nodes.connection("").await?;
        let mut time = cmd("FCALL");
        let mut time: Result<i64, RedisError> =
            time.arg("doorbuster_time").arg(0).query_async(&mut connection).await;
        if time.as_ref().is_err_and(is_unknown_function) {
            // A replica of a cluster need not have the library.
            let parts: Result<(i64, i64), RedisError> = cmd("TIME").query_async(&mut connection).await;
            time = parts.map(|(seconds, micros)| seconds * 1000 + micros / 1000);
        }
        match time {
            Ok(ms) => Ok(Timestamp(ms)),
            Err(error) => {
                self.nodes.handle_error("", &error);
                Err(error.into())
            }
        }
    }

    /// Sends calls, several in flight and each sale's in their order. A call that failed may have been decided or not; its
    /// events wait in the outbox.
    pub async fn decide(
        &mut self,
        batches: &[LibraryCall<'_>],
        in_flight: usize,
    ) -> Vec<Result<CallResult, ValkeyError>> {
        let mut results: Vec<Option<Result<CallResult, ValkeyError>>> =
            batches.iter().map(|_| None).collect();
        let mut open: Vec<usize> = (0..batches.len()).collect();
        for tries in 1.. {
            let mut calls = Vec::with_capacity(open.len());
            for index in open {
                let (key, command) = encode_call(&batches[index]);
                match self.nodes.connection(&key).await {
                    Ok(connection) => calls.push((index, connection, command)),
                    Err(error) => results[index] = Some(Err(error)),
                }
            }
            // A connection sends its calls in the order in which they are polled first. Tokio's task budget would
            // break that order: it makes a busy task's calls wait, and wakes the last of them first.
            let sent = futures::stream::iter(calls).map(|(index, connection, command)| {
                tokio::task::unconstrained(async move { (index, send_command(connection, &command).await) })
            });
            let replies: Vec<(usize, Result<Value, RedisError>)> = sent.buffered(in_flight).collect().await;
            let mut again = Vec::new();
            for (index, reply) in replies {
                match reply {
                    Ok(value) => results[index] = Some(decode_result(&value, batches[index].requests.len())),
                    Err(error) => {
                        let may_again =
                            self.nodes.handle_error(&records::main_key(batches[index].sale), &error);
                        if may_again && tries < TRIES_MAX {
                            again.push(index);
                        } else {
                            let key = records::main_key(batches[index].sale);
                            results[index] = Some(Err(self.nodes.explain_error(&key, error)));
                        }
                    }
                }
            }
            if again.is_empty() {
                break;
            }
            open = again;
        }
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(WireError.into()))).collect()
    }

    /// Claims the restoring of a sale. `None` when this process has the claim, or how long to wait for another, in
    /// milliseconds.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn claim_restore(&mut self, sale: SaleId) -> Result<Option<u64>, ValkeyError> {
        let name = self.name.clone();
        let value = self.call_function("claim", sale, |command| {
            command.arg(&name);
        });
        match value.await? {
            Value::Int(ms) => Ok(u64::try_from(ms).ok().filter(|ms| *ms > 0)),
            _ => Err(WireError.into()),
        }
    }

    /// Restores a sale's state under an `epoch`, after [`Self::claim_restore`]. False when the server has a state of this epoch
    /// or a later one, another process has claimed the sale, or a part was lost.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn restore_state(
        &mut self,
        sale: SaleId,
        epoch: Epoch,
        state: &SaleState,
    ) -> Result<bool, ValkeyError> {
        let mut pieces = Vec::new();
        records::pack_state(state, |piece| {
            pieces.push(piece);
            true
        });
        self.restore_pieces(sale, epoch, &StateHead::from_state(state), futures::stream::iter(pieces)).await
    }

    /// As [`Self::restore_state`], of a state that is packed while it is sent.
    pub(super) async fn restore_pieces(
        &mut self,
        sale: SaleId,
        epoch: Epoch,
        head: &StateHead,
        pieces: impl Stream<Item = StatePiece>,
    ) -> Result<bool, ValkeyError> {
        let name = self.name.clone();
        let begun = self.call_function("begin", sale, |command| {
            command.arg(&name).arg(epoch.0).arg(&head.counters).arg(&head.policy);
        });
        if !is_ok(&begun.await?) {
            return Ok(false);
        }
        let connection = self.nodes.connection(&records::main_key(sale)).await?;
        let sent = pieces.map(|piece| {
            let command = build_load_call(sale, &name, &piece);
            let connection = connection.clone();
            // In their order, as in `decide`: the pieces of a list must not change places.
            tokio::task::unconstrained(async move { send_command(connection, &command).await })
        });
        let mut sent = std::pin::pin!(sent.buffered(PIECES_IN_FLIGHT));
        while let Some(loaded) = sent.next().await {
            match loaded {
                Ok(value) if is_ok(&value) => {}
                Ok(_) => return Ok(false),
                Err(error) => {
                    self.nodes.handle_error(&records::main_key(sale), &error);
                    return Err(error.into());
                }
            }
        }
        let finished = self.call_function("finish", sale, |command| {
            command.arg(&name);
        });
        Ok(is_ok(&finished.await?))
    }

    async fn call_function(
        &mut self,
        what: &str,
        sale: SaleId,
        fill: impl Fn(&mut Cmd),
    ) -> Result<Value, ValkeyError> {
        let mut tries = 1;
        loop {
            let mut command = build_function_call(what, sale);
            fill(&mut command);
            match self.send_for_sale(sale, command).await {
                Err((error, true)) if tries < TRIES_MAX => {
                    tracing::debug!(%error, "sent once more");
                    tries += 1;
                }
                result => return result.map_err(|(error, _)| error),
            }
        }
    }

    /// Sends a command to the node of a sale; an error comes with whether the command may be sent again.
    pub(super) async fn send_for_sale(
        &mut self,
        sale: SaleId,
        command: Cmd,
    ) -> Result<Value, (ValkeyError, bool)> {
        let key = records::main_key(sale);
        let connection: MultiplexedConnection =
            self.nodes.connection(&key).await.map_err(|error| (error, false))?;
        send_command(connection, &command).await.map_err(|error| {
            let again = self.nodes.handle_error(&key, &error);
            (self.nodes.explain_error(&key, error), again)
        })
    }
}

/// How many of these calls to send before a reply has come: [`CALLS_IN_FLIGHT`] when they are full, and of shorter ones more, so that a
/// hundred calls of two requests do not wait for fifty round trips. On average no server gets more requests at once by that.
pub(super) fn calls_in_flight(batches: &[LibraryCall<'_>]) -> usize {
    let requests: usize = batches.iter().map(|batch| batch.requests.len()).sum();
    (CALLS_IN_FLIGHT * CALL_LEN_MAX * batches.len() / requests.max(1)).max(CALLS_IN_FLIGHT)
}

fn build_function_call(what: &str, sale: SaleId) -> Cmd {
    let mut command = cmd("FCALL");
    command.arg(format!("doorbuster_{what}")).arg(KEY_COUNT).arg(&records::sale_keys(sale));
    command
}

fn build_load_call(sale: SaleId, name: &str, piece: &StatePiece) -> Cmd {
    let mut command = build_function_call("load", sale);
    command.arg(name).arg(piece.command).arg(piece.key);
    piece.values().for_each(|value| {
        command.arg(value);
    });
    command
}

fn encode_call(batch: &LibraryCall<'_>) -> (String, Cmd) {
    let (kind, at) = match batch.time {
        CallTime::ServerClock => (0_u8, Timestamp::default()),
        CallTime::FixedAt(at) => (1, at),
        CallTime::ReadOnly => (2, Timestamp::default()),
    };
    let mut head = Vec::with_capacity(32);
    head.extend(library::LIBRARY_VERSION.to_be_bytes());
    head.push(kind);
    head.extend(at.0.to_be_bytes());
    head.extend(batch.epoch_min.0.to_be_bytes());
    head.extend(batch.known_policy.0.to_be_bytes());
    let mut command = build_function_call("decide", batch.sale);
    command.arg(head);
    for request in &batch.requests {
        command.arg(request.encode());
    }
    (records::main_key(batch.sale), command)
}

fn decode_result(value: &Value, requests_len: usize) -> Result<CallResult, ValkeyError> {
    match value {
        Value::BulkString(bytes) => match bytes.split_first() {
            Some((b'R', why)) => Ok(CallResult::StateNeeded(String::from_utf8_lossy(why).into_owned())),
            _ => {
                let reply = decode_reply(bytes)?;
                if reply.answers.len() != requests_len {
                    return Err(WireError.into());
                }
                Ok(CallResult::Decided(Box::new(reply)))
            }
        },
        _ => Err(WireError.into()),
    }
}

fn is_ok(value: &Value) -> bool {
    match value {
        Value::Okay => true,
        Value::BulkString(bytes) => bytes == b"OK",
        _ => false,
    }
}
