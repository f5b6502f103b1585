//! A TCP proxy between clients and a server on this machine, which a test can cut, stall, slow and heal. It never reads what it
//! forwards.

use crate::ReservedPort;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

use std::sync::Arc;

/// Bytes of one read: about what a system delivers at once.
const CHUNK_LEN: usize = 64 << 10;
/// Connections at a time; those beyond it wait to be accepted. More than all the clients of a test.
const CONNECTIONS_MAX: usize = 4_096;

/// A running proxy. Its connections are closed when it is dropped.
pub struct TcpProxy {
    port: ReservedPort,
    route: watch::Sender<ProxyRoute>,
    runtime: Option<Runtime>,
}

/// Where connections lead, and whether their bytes pass.
#[derive(Clone, Copy)]
struct ProxyRoute {
    to: u16,
    state: ProxyState,
    /// How often all connections were cut. A connection ends when this grows.
    cuts: u64,
    /// How often all connections were silenced. A connection forwards nothing more when this grows.
    silences: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ProxyState {
    Connected,
    Cut,
    Stalled,
    RepliesStalled,
    Slow { delay: Duration },
}

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ProxyDirection {
    ToServer,
    ToClient,
}

impl ProxyState {
    fn stalls(self, direction: ProxyDirection) -> bool {
        self == Self::Stalled || (self == Self::RepliesStalled && direction == ProxyDirection::ToClient)
    }
}

impl TcpProxy {
    /// Starts a proxy to a port of this machine.
    #[must_use]
    pub fn to(port: u16) -> Self {
        let (route, routes) =
            watch::channel(ProxyRoute { to: port, state: ProxyState::Connected, cuts: 0, silences: 0 });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let port = ReservedPort::reserve();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port.get())).unwrap();
        listener.set_nonblocking(true).unwrap();
        runtime.spawn(async { accept_connections(TcpListener::from_std(listener).unwrap(), routes).await });
        Self { port, route, runtime: Some(runtime) }
    }

    /// The port that its clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.get()
    }

    /// Resets all connections, and those that are opened until it is healed.
    pub fn cut(&self) {
        self.route.send_modify(|route| {
            route.cuts += 1;
            route.state = ProxyState::Cut;
        });
    }

    /// Forwards nothing in either direction and keeps connections open, as a network that loses packets does.
    pub fn stall(&self) {
        self.set_state(ProxyState::Stalled);
    }

    /// Forwards what clients send, and none of the server's replies until it is healed: the server does what it is asked, and its
    /// clients do not learn of it.
    pub fn stall_replies(&self) {
        self.set_state(ProxyState::RepliesStalled);
    }

    /// Never again forwards anything on the connections that are open now, and keeps them open, as a firewall does that has forgotten them.
    /// New connections work.
    pub fn silence_connections(&self) {
        self.route.send_modify(|route| route.silences += 1);
    }

    /// Delays each piece by so many milliseconds.
    pub fn slow(&self, delay_ms: u64) {
        self.set_state(ProxyState::Slow { delay: Duration::from_millis(delay_ms) });
    }

    /// Forwards again, also what was stalled.
    pub fn heal(&self) {
        self.set_state(ProxyState::Connected);
    }

    /// Resets all connections, and leads new ones to another port.
    pub fn redirect_to(&self, port: u16) {
        self.route.send_modify(|route| {
            *route = ProxyRoute { to: port, state: ProxyState::Connected, cuts: route.cuts + 1, ..*route };
        });
    }

    fn set_state(&self, state: ProxyState) {
        self.route.send_modify(|route| route.state = state);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        // A test may drop it inside its own runtime, where a blocking shutdown panics.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept_connections(listener: TcpListener, route: watch::Receiver<ProxyRoute>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await.unwrap();
        let Ok((near, _)) = listener.accept().await else { continue };
        let route = route.clone();
        tokio::spawn(async move {
            proxy_connection(near, route).await;
            drop(permit);
        });
    }
}

/// Forwards a connection's bytes until one side ends it, or it is cut.
async fn proxy_connection(mut client: TcpStream, mut route: watch::Receiver<ProxyRoute>) {
    let first = *route.borrow();
    if first.state == ProxyState::Cut {
        return reset(&client);
    }
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, first.to)).await else {
        return reset(&client);
    };
    let _latency = (client.set_nodelay(true), server.set_nodelay(true));
    let routes = route.clone();
    let was_cut = {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        tokio::select! {
            _ = route.wait_for(|now| now.cuts != first.cuts) => true,
            is_clean = join_directions(
                copy_direction(client_read, server_write, routes.clone(), ProxyDirection::ToServer),
                copy_direction(server_read, client_write, routes, ProxyDirection::ToClient),
            ) => !is_clean,
        }
    };
    if was_cut {
        reset(&client);
        reset(&server);
    }
}

/// True when both directions ended without an error.
async fn join_directions(request: impl Future<Output = bool>, reply: impl Future<Output = bool>) -> bool {
    tokio::try_join!(async { request.await.then_some(()).ok_or(()) }, async {
        reply.await.then_some(()).ok_or(())
    })
    .is_ok()
}

/// Forwards one side's bytes until that side ends its stream.
async fn copy_direction(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut route: watch::Receiver<ProxyRoute>,
    direction: ProxyDirection,
) -> bool {
    let silences = route.borrow().silences;
    let mut chunk = vec![0; CHUNK_LEN];
    loop {
        let Ok(len) = from.read(&mut chunk).await else { return false };
        let passes = route.wait_for(|now| now.silences == silences && !now.state.stalls(direction)).await;
        let Ok(now) = passes.map(|now| *now) else { return false };
        if let ProxyState::Slow { delay } = now.state {
            tokio::time::sleep(delay).await;
        }
        let written = if len == 0 { to.shutdown().await } else { to.write_all(&chunk[..len]).await };
        if len == 0 || written.is_err() {
            return written.is_ok();
        }
    }
}

/// Makes the close of a stream a reset, which the other side takes for a failure and not for the end of the stream.
fn reset(stream: &TcpStream) {
    let _closed = stream.set_zero_linger();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Instant;

    /// A server that echoes each word after its own letter.
    fn echo(letter: u8) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut word = [0; 4];
                    while stream.read_exact(&mut word).is_ok() {
                        let reply = [&[letter][..], &word].concat();
                        if stream.write_all(&reply).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        port
    }

    fn connect(proxy: &TcpProxy) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    fn request(stream: &mut TcpStream) -> std::io::Result<String> {
        stream.write_all(b"word")?;
        read_reply(stream)
    }

    fn read_reply(stream: &mut TcpStream) -> std::io::Result<String> {
        let mut reply = [0; 5];
        stream.read_exact(&mut reply)?;
        Ok(String::from_utf8_lossy(&reply).into_owned())
    }

    #[test]
    fn a_cut_resets_connections_old_and_new_until_it_is_healed() {
        let proxy = TcpProxy::to(echo(b'a'));
        let mut stream = connect(&proxy);
        assert_eq!(request(&mut stream).unwrap(), "aword");
        proxy.cut();
        assert_eq!(read_reply(&mut stream).unwrap_err().kind(), ErrorKind::ConnectionReset);
        let second =
            TcpStream::connect(("127.0.0.1", proxy.port())).and_then(|mut stream| request(&mut stream));
        assert!(second.is_err());
        proxy.heal();
        assert!(request(&mut stream).is_err(), "what was cut stays cut");
        assert_eq!(request(&mut connect(&proxy)).unwrap(), "aword");
    }

    #[test]
    fn stalled_bytes_arrive_when_it_is_healed() {
        let proxy = TcpProxy::to(echo(b'a'));
        let mut stream = connect(&proxy);
        assert_eq!(request(&mut stream).unwrap(), "aword");
        proxy.stall();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert_eq!(request(&mut stream).unwrap_err().kind(), ErrorKind::WouldBlock);
        proxy.heal();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(read_reply(&mut stream).unwrap(), "aword");
    }

    #[test]
    fn silenced_connections_stay_silent_and_new_ones_work() {
        let proxy = TcpProxy::to(echo(b'a'));
        let mut silent = connect(&proxy);
        assert_eq!(request(&mut silent).unwrap(), "aword");
        proxy.silence_connections();
        assert_eq!(request(&mut connect(&proxy)).unwrap(), "aword");
        proxy.heal();
        silent.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert_eq!(request(&mut silent).unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    #[test]
    fn a_server_gets_requests_whose_replies_are_stalled() {
        let (received, requests) = std::sync::mpsc::channel();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = TcpProxy::to(listener.local_addr().unwrap().port());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut word = [0; 4];
            while stream.read_exact(&mut word).is_ok() {
                received.send(word).unwrap();
                stream.write_all(&[b"a", &word[..]].concat()).unwrap();
            }
        });
        let mut stream = connect(&proxy);
        assert_eq!(request(&mut stream).unwrap(), "aword");
        proxy.stall_replies();
        stream.write_all(b"more").unwrap();
        let limit = Duration::from_secs(60);
        assert_eq!([(); 2].map(|()| requests.recv_timeout(limit).unwrap()), [*b"word", *b"more"]);
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert_eq!(read_reply(&mut stream).unwrap_err().kind(), ErrorKind::WouldBlock);
        proxy.heal();
        stream.set_read_timeout(Some(limit)).unwrap();
        assert_eq!(read_reply(&mut stream).unwrap(), "amore");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "it is about real time")]
    fn a_slow_proxy_delays_both_directions() {
        let proxy = TcpProxy::to(echo(b'a'));
        let mut stream = connect(&proxy);
        proxy.slow(100);
        let started = Instant::now();
        assert_eq!(request(&mut stream).unwrap(), "aword");
        assert!(started.elapsed() >= Duration::from_millis(200));
    }

    #[test]
    fn it_can_be_redirected_and_forwards_the_end_of_a_stream() {
        let proxy = TcpProxy::to(echo(b'a'));
        let mut stream = connect(&proxy);
        assert_eq!(request(&mut stream).unwrap(), "aword");
        proxy.redirect_to(echo(b'b'));
        assert!(read_reply(&mut stream).is_err());
        let mut stream = connect(&proxy);
        assert_eq!(request(&mut stream).unwrap(), "bword");
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "an end, and no reset");
        let closed = ReservedPort::reserve();
        proxy.redirect_to(closed.get());
        let refused =
            TcpStream::connect(("127.0.0.1", proxy.port())).and_then(|mut stream| request(&mut stream));
        assert!(refused.is_err());
    }
}
