//! Calling the library: a batch of requests of one sale a call, several calls in flight, and handing a state over. It says
//! what the library said; what to do about it is for others.

use super::nodes::{Servers, ValkeyError, send};
use super::records::{self, KEYS, Packed};
use super::wire::{Reply, Request, WireError, decode_reply};
use crate::decide::valkey::library;
use crate::record::Epoch;
use futures::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, Value, cmd};
use sale::{SaleId, Seq, State, Timestamp};

/// Requests a call at most: a server that decides for one sale lets the others wait no longer than a millisecond.
pub const CALL_LEN_MAX: usize = 128;
/// Calls in flight: while one is under way or being read, the server has the next.
pub const CALLS_IN_FLIGHT: usize = 2;
/// Redirections and reloads of the library that one call follows.
const TRIES: usize = 4;
/// Pieces of a state that are under way at once.
const PIECES_IN_FLIGHT: usize = 8;

/// Whose time a call has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// The server's own clock's.
    OfServer,
    /// This one: for tests, and for a rehearsal with a clock of its own.
    At(Timestamp),
    /// None: the call looks at the sale and decides nothing.
    StandsStill,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    /// Of which sale.
    pub sale: SaleId,
    /// When.
    pub time: Time,
    /// The epoch that the caller knows: the library shall not decide from an older state.
    pub epoch_min: Epoch,
    /// The policy that the caller knows from that epoch, by the event that last changed it.
    pub known_policy: Seq,
    /// What is asked, in order.
    pub requests: Vec<Request<'a>>,
}

/// What the library said.
#[derive(Debug)]
pub enum Said {
    /// It decided.
    Decided(Box<Reply>),
    /// It decided nothing, because it has not the state: that must be handed over first. With why.
    StateNeeded(String),
}

/// The library on its servers.
pub struct Library {
    servers: Servers,
    /// Who this is, for others who may want to hand the same sale over.
    name: String,
}

impl Library {
    /// The library at `url` (`redis://host:port`; any node of a cluster). `name` is a word that nobody else has.
    ///
    /// # Errors
    /// When the address is none. Nothing is connected to yet.
    pub fn at(url: &str, name: &str) -> Result<Self, ValkeyError> {
        Ok(Self { servers: Servers::new(url)?, name: name.to_owned() })
    }

    /// Connects to the first server, looks whether it may be decided in, and brings the library.
    ///
    /// # Errors
    /// When it cannot be reached or may not be decided in.
    pub async fn connect(&mut self) -> Result<(), ValkeyError> {
        self.servers.connect().await
    }

    /// The time of the first server.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn time(&mut self) -> Result<Timestamp, ValkeyError> {
        let mut connection = self.servers.connection("").await?;
        let told: Result<(i64, i64), RedisError> = cmd("TIME").query_async(&mut connection).await;
        match told {
            Ok((seconds, micros)) => Ok(Timestamp(seconds * 1000 + micros / 1000)),
            Err(error) => {
                self.servers.learn("", &error);
                Err(error.into())
            }
        }
    }

    /// Calls, several in flight and each sale's in their order. One that failed may have been decided or not; what was decided
    /// waits in the outbox.
    pub async fn decide(
        &mut self,
        batches: &[Batch<'_>],
        in_flight: usize,
    ) -> Vec<Result<Said, ValkeyError>> {
        let mut said: Vec<Option<Result<Said, ValkeyError>>> = batches.iter().map(|_| None).collect();
        let mut open: Vec<usize> = (0..batches.len()).collect();
        for tries in 1.. {
            let mut calls = Vec::with_capacity(open.len());
            for index in open {
                let (key, command) = call_of(&batches[index]);
                match self.servers.connection(&key).await {
                    Ok(connection) => calls.push((index, connection, command)),
                    Err(error) => said[index] = Some(Err(error)),
                }
            }
            // A connection sends in the order in which its calls are polled first. Tokio's budget would break that order: it
            // makes a busy task's calls wait, and wakes the last of them first.
            let sent = futures::stream::iter(calls).map(|(index, connection, command)| {
                tokio::task::unconstrained(async move { (index, send(connection, command).await) })
            });
            let results: Vec<(usize, Result<Value, RedisError>)> = sent.buffered(in_flight).collect().await;
            let mut again = Vec::new();
            for (index, result) in results {
                match result {
                    Ok(value) => said[index] = Some(read(&value)),
                    Err(error) => {
                        let may_again = self.servers.learn(&key_of(batches[index].sale), &error);
                        if may_again && tries < TRIES {
                            again.push(index);
                        } else {
                            said[index] = Some(Err(error.into()));
                        }
                    }
                }
            }
            if again.is_empty() {
                break;
            }
            open = again;
        }
        said.into_iter().map(|said| said.unwrap_or_else(|| Err(WireError.into()))).collect()
    }

    /// Asks to be the one who hands a sale over. `None` when it is so, or how long to wait for another, in milliseconds.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn claim(&mut self, sale: SaleId) -> Result<Option<u64>, ValkeyError> {
        let name = self.name.clone();
        let value = self.function("claim", sale, |command| {
            command.arg(&name);
        });
        match value.await? {
            Value::Int(ms) => Ok(u64::try_from(ms).ok().filter(|ms| *ms > 0)),
            _ => Err(WireError.into()),
        }
    }

    /// Hands a sale's state over, as its `epoch`, after a [`Library::claim`]. False when the server has one that is as new,
    /// or another has claimed the sale, or it was lost on the way.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn hand_over(
        &mut self,
        sale: SaleId,
        epoch: Epoch,
        state: &State,
    ) -> Result<bool, ValkeyError> {
        self.hand_over_packed(sale, epoch, Packed::of(state)).await
    }

    pub(super) async fn hand_over_packed(
        &mut self,
        sale: SaleId,
        epoch: Epoch,
        packed: Packed,
    ) -> Result<bool, ValkeyError> {
        let name = self.name.clone();
        let begun = self.function("begin", sale, |command| {
            command.arg(&name).arg(epoch.0).arg(&packed.sums).arg(&packed.policy);
        });
        if !is_ok(&begun.await?) {
            return Ok(false);
        }
        let connection = self.servers.connection(&key_of(sale)).await?;
        let pieces = packed.pieces.into_iter().map(|piece| {
            let mut command = function("load", sale);
            command.arg(&name).arg(piece.command).arg(piece.key).arg(piece.values);
            send(connection.clone(), command)
        });
        let mut pieces = futures::stream::iter(pieces).buffered(PIECES_IN_FLIGHT);
        while let Some(loaded) = pieces.next().await {
            match loaded {
                Ok(value) if is_ok(&value) => {}
                Ok(_) => return Ok(false),
                Err(error) => {
                    self.servers.learn(&key_of(sale), &error);
                    return Err(error.into());
                }
            }
        }
        let finished = self.function("finish", sale, |command| {
            command.arg(&name);
        });
        Ok(is_ok(&finished.await?))
    }

    async fn function(
        &mut self,
        what: &str,
        sale: SaleId,
        fill: impl Fn(&mut Cmd),
    ) -> Result<Value, ValkeyError> {
        let mut tries = 1;
        loop {
            let mut command = function(what, sale);
            fill(&mut command);
            match self.send(sale, command).await {
                Err((error, true)) if tries < TRIES => {
                    tracing::debug!(%error, "sent once more");
                    tries += 1;
                }
                result => return result.map_err(|(error, _)| error),
            }
        }
    }

    /// Sends a command that goes where a sale is; after a failure, with whether it may be sent again.
    pub(super) async fn send(&mut self, sale: SaleId, command: Cmd) -> Result<Value, (ValkeyError, bool)> {
        let key = key_of(sale);
        let connection: MultiplexedConnection =
            self.servers.connection(&key).await.map_err(|error| (error, false))?;
        send(connection, command).await.map_err(|error| {
            let again = self.servers.learn(&key, &error);
            (error.into(), again)
        })
    }
}

fn key_of(sale: SaleId) -> String {
    let [key, ..] = records::keys(sale);
    key
}

fn function(what: &str, sale: SaleId) -> Cmd {
    let mut command = cmd("FCALL");
    command.arg(format!("doorbuster_{what}")).arg(KEYS).arg(&records::keys(sale));
    command
}

fn call_of(batch: &Batch<'_>) -> (String, Cmd) {
    let (kind, at) = match batch.time {
        Time::OfServer => (0_u8, Timestamp::default()),
        Time::At(at) => (1, at),
        Time::StandsStill => (2, Timestamp::default()),
    };
    let mut head = Vec::with_capacity(32);
    head.extend(library::VERSION.to_be_bytes());
    head.push(kind);
    head.extend(at.0.to_be_bytes());
    head.extend(batch.epoch_min.0.to_be_bytes());
    head.extend(batch.known_policy.0.to_be_bytes());
    let mut command = function("decide", batch.sale);
    command.arg(head);
    for request in &batch.requests {
        command.arg(request.encode());
    }
    (key_of(batch.sale), command)
}

fn read(value: &Value) -> Result<Said, ValkeyError> {
    match value {
        Value::BulkString(bytes) => match bytes.split_first() {
            Some((b'R', why)) => Ok(Said::StateNeeded(String::from_utf8_lossy(why).into_owned())),
            _ => Ok(Said::Decided(Box::new(decode_reply(bytes)?))),
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
