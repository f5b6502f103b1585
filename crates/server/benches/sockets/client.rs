//! A crowd of Socket.IO clients over raw WebSockets, on one thread. It knows as much of the protocol as it needs: it connects,
//! watches one sale, answers pings, and notes when updates arrive. The clients of [`super::crowd`] use the same frames.

use anyhow::Context;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Clients for each source address: fewer than `--sockets-per-address` allows by default.
const PER_ADDRESS: usize = 900;
/// Clients that connect at a time.
pub const COMING: usize = 64;
/// How long a client waits for one reply or update.
const TIMEOUT: Duration = Duration::from_secs(60);

/// All clients that watch the sale.
pub struct SocketCrowd {
    updates: mpsc::Receiver<Update>,
    sockets: usize,
    _leave: tokio::sync::oneshot::Sender<()>,
}

/// A client that received an update, and when.
type Update = (usize, Instant);

impl SocketCrowd {
    /// Connects the clients to `sale`, and waits until each has received its state.
    pub fn connect_all(url: &str, sale: &str, sockets: usize) -> anyhow::Result<Self> {
        let server: SocketAddr = url.trim_start_matches("http://").parse()?;
        let (updates_tx, updates) = mpsc::channel();
        let (leave, left) = tokio::sync::oneshot::channel::<()>();
        let watch = format!(r#"42["inventory:watch",{{"flashSaleId":"{sale}"}}]"#);
        std::thread::spawn(move || -> anyhow::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let coming = std::sync::Arc::new(tokio::sync::Semaphore::new(COMING));
                for n in 0..sockets {
                    let permit = std::sync::Arc::clone(&coming).acquire_owned().await?;
                    let (updates_tx, watch) = (updates_tx.clone(), watch.clone());
                    tokio::spawn(async move {
                        let mut stream = connect(server, n).await.expect("a client connects");
                        live(&mut stream, &watch, (n, &updates_tx), permit).await
                    });
                }
                let _left = left.await;
                anyhow::Ok(())
            })
        });
        let crowd = Self { updates, sockets, _leave: leave };
        crowd.arrivals(None)?;
        Ok(crowd)
    }

    /// Waits until every socket has received a change after `since`, and returns when each received the first.
    pub fn arrivals(&self, since: Option<Instant>) -> anyhow::Result<Vec<Instant>> {
        let mut first = vec![None; self.sockets];
        let mut missing = self.sockets;
        while missing > 0 {
            let result = self.updates.recv_timeout(TIMEOUT);
            let (client, at) = result.with_context(|| format!("{missing} updates did not arrive"))?;
            if since.is_none_or(|since| at > since) && first[client].is_none() {
                first[client] = Some(at);
                missing -= 1;
            }
        }
        Ok(first.into_iter().flatten().collect())
    }
}

/// Opens the WebSocket of a client, from the source address of its number.
pub async fn connect(server: SocketAddr, n: usize) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let host = u8::try_from(2 + n / PER_ADDRESS)?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0)))?;
    let mut stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    let head = format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    anyhow::ensure!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    Ok(stream)
}

async fn live(
    stream: &mut TcpStream,
    watch: &str,
    (n, updates_tx): (usize, &mpsc::Sender<Update>),
    coming: tokio::sync::OwnedSemaphorePermit,
) -> anyhow::Result<()> {
    let mut coming = Some(coming);
    // Grows to the longest message, some 300 bytes.
    let mut buffer = Vec::with_capacity(512);
    loop {
        while let Some((from, to)) = frame(&buffer) {
            let message = &buffer[from..to];
            if message.starts_with(b"0") {
                send(stream, "40").await?;
            } else if message.starts_with(b"40") {
                send(stream, watch).await?;
            } else if message.starts_with(b"2") {
                send(stream, "3").await?;
            } else if message.starts_with(b"42[\"inventory:update\"") {
                updates_tx.send((n, Instant::now()))?;
                drop(coming.take());
            }
            buffer.drain(..to);
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// Where the payload of the first whole frame lies.
pub fn frame(buffer: &[u8]) -> Option<(usize, usize)> {
    let (from, len) = match *buffer.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes([*buffer.get(2)?, *buffer.get(3)?]))),
        len => (2, usize::from(len)),
    };
    (buffer.len() >= from + len).then_some((from, from + len))
}

/// A text frame with a mask of zeros.
pub async fn send(stream: &mut TcpStream, text: &str) -> anyhow::Result<()> {
    let mut bytes = match u8::try_from(text.len()) {
        Ok(len) if len < 126 => vec![0x81, 0x80 | len],
        _ => {
            let [high, low] = u16::try_from(text.len()).context("a short message")?.to_be_bytes();
            vec![0x81, 0x80 | 126, high, low]
        }
    };
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(text.as_bytes());
    Ok(stream.write_all(&bytes).await?)
}
