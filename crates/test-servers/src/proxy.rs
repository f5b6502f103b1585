//! A wire between clients and a server on this machine, that a test can cut, stall, slow and heal. It never looks at what passes.

use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

use std::sync::Arc;

/// Bytes that pass at once: as much as a system hands over in one piece.
const CHUNK_LEN: usize = 64 << 10;
/// Connections at a time; those beyond it wait to be accepted. More than all the clients of a test.
const CONNECTIONS_MAX: usize = 4_096;

/// A wire. Its connections are cut when it goes.
pub struct TcpProxy {
    port: u16,
    route: watch::Sender<ProxyRoute>,
    runtime: Option<Runtime>,
}

/// What becomes of that which comes in.
#[derive(Clone, Copy)]
struct ProxyRoute {
    to: u16,
    state: ProxyState,
    /// How often all connections were cut; a connection belongs to one of these times.
    cuts: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ProxyState {
    Connected,
    Cut,
    Stalled,
    Slow { delay: Duration },
}

impl TcpProxy {
    /// A wire to a port of this machine.
    #[must_use]
    pub fn to(port: u16) -> Self {
        let (course, seen) = watch::channel(ProxyRoute { to: port, state: ProxyState::Connected, cuts: 0 });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        // Those who ask a wire that was cut must not be given its port by chance.
        let port = crate::free_port();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        runtime.spawn(async { accept_connections(TcpListener::from_std(listener).unwrap(), seen).await });
        Self { port, route: course, runtime: Some(runtime) }
    }

    /// Where its clients' end is.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Resets all connections, and those that are opened from now on.
    pub fn cut(&self) {
        self.route.send_modify(|course| {
            course.cuts += 1;
            course.state = ProxyState::Cut;
        });
    }

    /// Lets nothing pass, in either direction, and tells nobody: as when packets are lost.
    pub fn stall(&self) {
        self.set_state(ProxyState::Stalled);
    }

    /// Keeps each piece that passes for so long.
    pub fn slow(&self, delay_ms: u64) {
        self.set_state(ProxyState::Slow { delay: Duration::from_millis(delay_ms) });
    }

    /// Lets all pass again, also what was kept back.
    pub fn heal(&self) {
        self.set_state(ProxyState::Connected);
    }

    /// From now on it leads to another port: resets all connections, and mends itself.
    pub fn redirect_to(&self, port: u16) {
        self.route.send_modify(|course| {
            *course = ProxyRoute { to: port, state: ProxyState::Connected, cuts: course.cuts + 1 };
        });
    }

    fn set_state(&self, state: ProxyState) {
        self.route.send_modify(|course| course.state = state);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        // A test may drop it where it must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept_connections(listener: TcpListener, course: watch::Receiver<ProxyRoute>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let Ok((near, _)) = listener.accept().await else { continue };
        let course = course.clone();
        tokio::spawn(async move {
            proxy_connection(near, course).await;
            drop(place);
        });
    }
}

/// Carries a connection until one side ends it, or it is cut.
async fn proxy_connection(mut near: TcpStream, mut course: watch::Receiver<ProxyRoute>) {
    let here = *course.borrow();
    if here.state == ProxyState::Cut {
        return reset(&near);
    }
    let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, here.to)).await else {
        return reset(&near);
    };
    let _latency = (near.set_nodelay(true), far.set_nodelay(true));
    let seen = course.clone();
    let was_cut = {
        let (near_read, near_write) = near.split();
        let (far_read, far_write) = far.split();
        tokio::select! {
            _ = course.wait_for(|now| now.cuts != here.cuts) => true,
            is_well = join_directions(copy_direction(near_read, far_write, seen.clone()), copy_direction(far_read, near_write, seen)) => !is_well,
        }
    };
    if was_cut {
        reset(&near);
        reset(&far);
    }
}

/// True when both directions came to their end in good order.
async fn join_directions(there: impl Future<Output = bool>, back: impl Future<Output = bool>) -> bool {
    tokio::try_join!(async { there.await.then_some(()).ok_or(()) }, async {
        back.await.then_some(()).ok_or(())
    })
    .is_ok()
}

/// Passes on what comes from one side until that side has said all.
async fn copy_direction(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut course: watch::Receiver<ProxyRoute>,
) -> bool {
    let mut chunk = vec![0; CHUNK_LEN];
    loop {
        let Ok(len) = from.read(&mut chunk).await else { return false };
        let Ok(now) = course.wait_for(|now| now.state != ProxyState::Stalled).await.map(|now| *now) else {
            return false;
        };
        if let ProxyState::Slow { delay } = now.state {
            tokio::time::sleep(delay).await;
        }
        let passed = if len == 0 { to.shutdown().await } else { to.write_all(&chunk[..len]).await };
        if len == 0 || passed.is_err() {
            return passed.is_ok();
        }
    }
}

/// What is closed after this is reset, so that the other side takes it for a failure and not for an end.
fn reset(stream: &TcpStream) {
    let _gone = stream.set_zero_linger();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Instant;

    /// A server that says all back, after a letter of its own.
    fn echo(letter: u8) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut word = [0; 4];
                    while stream.read_exact(&mut word).is_ok() {
                        let said = [&[letter][..], &word].concat();
                        if stream.write_all(&said).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        port
    }

    fn connect(wire: &TcpProxy) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", wire.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    fn ask(stream: &mut TcpStream) -> std::io::Result<String> {
        stream.write_all(b"word")?;
        hear(stream)
    }

    fn hear(stream: &mut TcpStream) -> std::io::Result<String> {
        let mut told = [0; 5];
        stream.read_exact(&mut told)?;
        Ok(String::from_utf8_lossy(&told).into_owned())
    }

    #[test]
    fn a_cut_resets_those_who_are_there_and_those_who_come_until_it_is_healed() {
        let wire = TcpProxy::to(echo(b'a'));
        let mut stream = connect(&wire);
        assert_eq!(ask(&mut stream).unwrap(), "aword");
        wire.cut();
        assert_eq!(hear(&mut stream).unwrap_err().kind(), ErrorKind::ConnectionReset);
        let late = TcpStream::connect(("127.0.0.1", wire.port())).and_then(|mut stream| ask(&mut stream));
        assert!(late.is_err());
        wire.heal();
        assert!(ask(&mut stream).is_err(), "what was cut stays cut");
        assert_eq!(ask(&mut connect(&wire)).unwrap(), "aword");
    }

    #[test]
    fn what_is_stalled_waits_and_comes_when_it_is_healed() {
        let wire = TcpProxy::to(echo(b'a'));
        let mut stream = connect(&wire);
        assert_eq!(ask(&mut stream).unwrap(), "aword");
        wire.stall();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert_eq!(ask(&mut stream).unwrap_err().kind(), ErrorKind::WouldBlock);
        wire.heal();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert_eq!(hear(&mut stream).unwrap(), "aword");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "it is about real time")]
    fn what_is_slow_takes_its_time_there_and_back() {
        let wire = TcpProxy::to(echo(b'a'));
        let mut stream = connect(&wire);
        wire.slow(100);
        let started = Instant::now();
        assert_eq!(ask(&mut stream).unwrap(), "aword");
        assert!(started.elapsed() >= Duration::from_millis(200));
    }

    #[test]
    fn it_can_be_led_to_another_server_and_an_end_is_passed_on() {
        let wire = TcpProxy::to(echo(b'a'));
        let mut stream = connect(&wire);
        assert_eq!(ask(&mut stream).unwrap(), "aword");
        wire.redirect_to(echo(b'b'));
        assert!(hear(&mut stream).is_err());
        let mut stream = connect(&wire);
        assert_eq!(ask(&mut stream).unwrap(), "bword");
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "an end, and no reset");
        wire.redirect_to(crate::free_port());
        let nobody = TcpStream::connect(("127.0.0.1", wire.port())).and_then(|mut stream| ask(&mut stream));
        assert!(nobody.is_err());
    }
}
