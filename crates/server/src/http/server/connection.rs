//! One HTTP/1.1 connection: runs hyper's state machine and obeys the commands of its [`ConnectionHandle`]. It never decides
//! when a connection is late; the [`DeadlineSweeper`] does.
//!
//! [`DeadlineSweeper`]: super::deadlines::DeadlineSweeper

use super::handle::{ConnectionCommand, ConnectionHandle, ConnectionPhase};
use super::head_inspector::{HEAD_LEN_MAX, HEADERS_MAX};
use super::slots::ConnectionSlot;
use super::tracked_stream::{OpenConnection, TrackedStream};
use crate::http::edge::HttpEdge;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::net::TcpStream;

/// Milliseconds in which a peer must acknowledge something of what was sent: a phone that leaves a tunnel needs fewer.
#[cfg(target_os = "linux")]
const TCP_USER_TIMEOUT_MS: u32 = 30_000;

/// Serves one connection until the client, the server or the sweeper ends it, or until it is upgraded to a WebSocket.
pub(super) async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    slot: ConnectionSlot,
    edge: &Arc<HttpEdge>,
    handle: &Arc<ConnectionHandle>,
) {
    // Without it a reply may wait 40 ms for the next packet. A failure only costs that time.
    let _ = stream.set_nodelay(true);
    set_tcp_user_timeout(&stream);
    let open = OpenConnection::new(Arc::clone(edge));
    let io = TokioIo::new(TrackedStream::new(stream, Arc::clone(handle), slot.clone(), open));
    let service = service_fn(|request| answer_request(edge, handle, &slot, request, peer));
    let mut builder = http1_builder();
    // The reserve is for one request of each.
    builder.keep_alive(slot.limit().is_none());
    let mut connection = pin!(builder.serve_connection(io, service).with_upgrades());
    let mut is_finishing = false;
    poll_fn(|cx| {
        // The waker is registered before the command is read, so that no command is missed in between.
        handle.register_waker(cx.waker());
        match handle.command() {
            ConnectionCommand::Continue => {}
            ConnectionCommand::Finish if is_finishing => {}
            ConnectionCommand::Finish => {
                is_finishing = true;
                connection.as_mut().graceful_shutdown();
            }
            ConnectionCommand::Close => return Poll::Ready(()),
        }
        // A broken connection is not worth a log line: clients break them all the time.
        connection.as_mut().poll(cx).map(|_broken| ())
    })
    .await;
    // The stream outlives this function only when it was upgraded.
    handle.set_phase(ConnectionPhase::Socket);
}

/// Lets the operating system close a connection, upgraded ones too, whose peer acknowledges nothing of what was sent.
#[cfg(target_os = "linux")]
fn set_tcp_user_timeout(stream: &TcpStream) {
    // Without it the system's own timeout holds, which is some minutes.
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, TCP_USER_TIMEOUT_MS);
}

#[cfg(not(target_os = "linux"))]
fn set_tcp_user_timeout(_stream: &TcpStream) {}

fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // The sweeper limits the head: hyper would set up and tear down a timer for every request.
        .header_read_timeout(None)
        // A client that hangs up does not cancel its request halfway, and no request pays for looking.
        .half_close(true)
        .max_header_size(HEAD_LEN_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(4 * HEAD_LEN_MAX);
    builder
}

async fn answer_request(
    edge: &HttpEdge,
    handle: &ConnectionHandle,
    slot: &ConnectionSlot,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Result<Response<Body>, Infallible> {
    handle.set_phase(ConnectionPhase::Answering);
    let response = edge.handle(request, peer.ip(), slot.limit(), &|| handle.is_late()).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        handle.mark_upgraded();
        slot.leave_network();
        slot.keep_socket(edge.begin_socket());
    }
    handle.set_phase(ConnectionPhase::Idle);
    Ok(response)
}
