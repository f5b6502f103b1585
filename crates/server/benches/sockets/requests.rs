//! Requests over HTTP at a fixed pace, from one thread: each has a due time, whether or not those before it are answered, and its latency
//! counts from there. It knows no socket.

use anyhow::Context;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Connections to each instance. A request waits for the one before it on its connection, so there are many: at 2,500 a second over three
/// instances the next one is due after 240 ms.
const CONNECTIONS: usize = 200;
/// A request without a reply after this time has failed.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// Between connecting and the first request.
const LEAD: Duration = Duration::from_secs(1);
/// Headers of a reply at most.
const HEADERS_MAX: usize = 64;

/// What is sent: joins, each by another buyer, and reads of positions by those who wait, in turn.
pub struct PacedLoad<'a> {
    pub urls: &'a [String],
    pub sale: &'a str,
    pub joining: &'a [&'a str],
    pub waiting: &'a [&'a str],
    pub joins_per_second: u64,
    pub positions_per_second: u64,
    pub duration: Duration,
}

/// What came back for requests of one kind.
#[derive(Default)]
pub struct PacedReplies {
    /// From the due time to the whole reply, of those that succeeded.
    pub latencies_ms: Vec<f64>,
    pub failed: usize,
    pub first_failure: Option<String>,
}

#[derive(Clone, Copy)]
enum RequestKind {
    Join,
    Position,
}

/// One request, and when it is due after the beginning.
struct PacedRequest {
    due: Duration,
    kind: RequestKind,
    text: String,
}

impl PacedLoad<'_> {
    /// Sends everything. Returns the replies to joins and to reads of positions.
    pub fn run(&self) -> anyhow::Result<(PacedReplies, PacedReplies)> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(self.send_all())
    }

    async fn send_all(&self) -> anyhow::Result<(PacedReplies, PacedReplies)> {
        let mut connections = Vec::new();
        for n in 0..CONNECTIONS * self.urls.len() {
            let server: SocketAddr = self.urls[n % self.urls.len()].trim_start_matches("http://").parse()?;
            connections.push((PacedConnection::open(server).await?, Vec::new()));
        }
        let count = connections.len();
        for (n, request) in self.schedule().into_iter().enumerate() {
            connections[n % count].1.push(request);
        }
        let began = Instant::now() + LEAD;
        let sending: Vec<_> = connections
            .into_iter()
            .map(|(connection, requests)| tokio::spawn(connection.send_paced(requests, began)))
            .collect();
        let (mut joins, mut positions) = (PacedReplies::default(), PacedReplies::default());
        for sent in sending {
            for (kind, result) in sent.await? {
                let replies = match kind {
                    RequestKind::Join => &mut joins,
                    RequestKind::Position => &mut positions,
                };
                match result {
                    Ok(latency) => replies.latencies_ms.push(latency.as_secs_f64() * 1e3),
                    Err(error) => {
                        replies.failed += 1;
                        replies.first_failure.get_or_insert_with(|| format!("{error:#}"));
                    }
                }
            }
        }
        Ok((joins, positions))
    }

    /// All requests by their due times.
    fn schedule(&self) -> Vec<PacedRequest> {
        let sale = self.sale;
        let join = |token: &&str| {
            let body = format!(r#"{{"flashSaleId":"{sale}"}}"#);
            format!(
                "POST /api/v1/queue/join HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let position = |token: &&str| {
            format!(
                "GET /api/v1/queue/position?flashSaleId={sale} HTTP/1.1\r\nHost: localhost\r\n\
                 Authorization: Bearer {token}\r\n\r\n"
            )
        };
        let joins = due_times(self.joins_per_second, self.duration).zip(self.joining);
        let joins =
            joins.map(|(due, token)| PacedRequest { due, kind: RequestKind::Join, text: join(token) });
        // A stride, so that buyers from all over the line read their positions.
        let readers = (0..).map(|n: usize| &self.waiting[n * READER_STRIDE % self.waiting.len()]);
        let positions = due_times(self.positions_per_second, self.duration).zip(readers);
        let positions = positions.map(|(due, token)| PacedRequest {
            due,
            kind: RequestKind::Position,
            text: position(token),
        });
        let mut all: Vec<PacedRequest> = joins.chain(positions).collect();
        all.sort_by_key(|request| request.due);
        all
    }
}

/// A prime: it divides no round number of buyers.
const READER_STRIDE: usize = 7_919;

/// So many a second, in equal steps.
fn due_times(per_second: u64, duration: Duration) -> impl Iterator<Item = Duration> {
    let step = Duration::from_secs(1).div_f64((per_second as f64).max(1.0));
    let count = per_second * duration.as_secs();
    (0..count).map(move |n| step.mul_f64(n as f64 + 0.5))
}

/// A connection that is kept alive, and opened again after a failure.
struct PacedConnection {
    server: SocketAddr,
    stream: Option<TcpStream>,
}

impl PacedConnection {
    async fn open(server: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { server, stream: Some(connect(server).await?) })
    }

    /// Sends one request after the other, none before it is due.
    async fn send_paced(
        mut self,
        requests: Vec<PacedRequest>,
        began: Instant,
    ) -> Vec<(RequestKind, anyhow::Result<Duration>)> {
        let mut results = Vec::with_capacity(requests.len());
        for PacedRequest { due, kind, text } in requests {
            let due = began + due;
            tokio::time::sleep_until(due).await;
            let reply = tokio::time::timeout(REPLY_TIMEOUT, self.exchange(&text)).await;
            let latency = due.elapsed();
            let result = reply.unwrap_or_else(|late| Err(late.into())).and_then(|status| {
                let is_expected = match kind {
                    RequestKind::Join => status == 201,
                    RequestKind::Position => status == 200,
                };
                anyhow::ensure!(is_expected, "the reply's status was {status}");
                Ok(latency)
            });
            results.push((kind, result));
        }
        results
    }

    /// Sends a request, and returns the status of its reply.
    async fn exchange(&mut self, request: &str) -> anyhow::Result<u16> {
        // After a failure, or a time that ran out, the connection is not used again.
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.server).await?,
        };
        stream.write_all(request.as_bytes()).await?;
        let mut buffer = Vec::with_capacity(2048);
        loop {
            anyhow::ensure!(stream.read_buf(&mut buffer).await? > 0, "the server closed the connection");
            if let Some(status) = parse_reply(&buffer)? {
                self.stream = Some(stream);
                return Ok(status);
            }
        }
    }
}

async fn connect(server: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(server).await.context("an instance accepts no connection")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The status of a reply that is there as a whole.
fn parse_reply(buffer: &[u8]) -> anyhow::Result<Option<u16>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut reply = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_len) = reply.parse(buffer)? else { return Ok(None) };
    let length = reply.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let body_len: usize = str::from_utf8(length.context("a reply without a length")?.value)?.parse()?;
    Ok(reply.code.filter(|_| buffer.len() >= head_len + body_len))
}
