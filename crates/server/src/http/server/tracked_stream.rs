//! The TCP stream of a connection, which reports its reads and writes to the [`ConnectionHandle`], and lets the
//! [`HeadInspector`] see each request before hyper. It changes no byte.

use super::handle::ConnectionHandle;
use super::head_inspector::{HeadInspector, HeadViolation};
use super::slots::ConnectionSlot;
use crate::http::edge::HttpEdge;
use bytes::{Buf, Bytes, BytesMut};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that are read at a time while a head is incomplete.
const READ_LEN: usize = 4096;

/// Bytes that are read and dropped after a refusal: a client that still sends would otherwise lose the reply to a reset connection.
const LINGER_LEN_MAX: usize = 256 << 10;

/// A stream that keeps its slot until it is closed, also after an upgrade; that hands out whole and valid heads only, and answers
/// an invalid one when hyper has answered what came before it; and that fails when the peer of an upgraded connection leaves bytes
/// unread for too long: they would only cost memory.
pub(super) struct TrackedStream {
    stream: TcpStream,
    handle: Arc<ConnectionHandle>,
    _slot: ConnectionSlot,
    open: OpenConnection,
    inspector: HeadInspector,
    /// What was read of heads that may not be handed out yet, behind `passable` bytes that may.
    held: BytesMut,
    passable: usize,
    refusal: Option<RefusalReply>,
}

/// The end of a connection whose client sent an invalid head.
struct RefusalReply {
    /// The rest of the reply.
    reply: Bytes,
    is_shut_down: bool,
    lingered: usize,
}

impl TrackedStream {
    pub(super) fn new(
        stream: TcpStream,
        handle: Arc<ConnectionHandle>,
        slot: ConnectionSlot,
        open: OpenConnection,
    ) -> Self {
        let (inspector, held) = (HeadInspector::new(), BytesMut::new());
        Self { stream, handle, _slot: slot, open, inspector, held, passable: 0, refusal: None }
    }

    /// Reads into an empty buffer and leaves there what may be handed out: usually all of it.
    fn poll_read_through(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        if read.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.handle.record_read();
        let passed = match self.inspector.inspect(read) {
            Ok(passed) => passed,
            Err(violation) => {
                self.refuse(self.encode_refusal(violation, read));
                0
            }
        };
        self.held.extend_from_slice(&read[passed..]);
        buf.set_filled(before + passed);
        Poll::Ready(Ok(()))
    }

    /// Reads more of an incomplete head. Returns how many bytes came.
    fn poll_read_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut bytes = [0; READ_LEN];
        let mut buf = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        self.held.extend_from_slice(buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    }

    fn inspect_held(&mut self) {
        match self.inspector.inspect(&self.held) {
            Ok(passed) => self.passable = passed,
            Err(violation) => self.refuse(self.encode_refusal(violation, &self.held)),
        }
    }

    /// Hands out no more, so that hyper answers what it has and shuts the stream down.
    fn refuse(&mut self, reply: Bytes) {
        self.refusal = Some(RefusalReply { reply, is_shut_down: false, lingered: 0 });
    }

    /// The reply to a head, or to the beginning of one; empty when a handler answers.
    fn encode_refusal(&self, violation: HeadViolation, head: &[u8]) -> Bytes {
        let problem = violation.problem();
        problem.map(|problem| self.open.edge().refuse_head(problem, head)).unwrap_or_default()
    }

    fn hand_out(&mut self, buf: &mut ReadBuf<'_>) {
        let len = self.passable.min(buf.remaining());
        buf.put_slice(&self.held[..len]);
        self.held.advance(len);
        self.passable -= len;
        if self.held.is_empty() {
            // An idle connection needs no buffer.
            self.held = BytesMut::new();
        }
    }

    /// Sends the reply, and waits until the client has it.
    fn poll_refuse(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(refusal) = &mut self.refusal else { return Poll::Ready(Ok(())) };
        while !refusal.reply.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &refusal.reply))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                len => refusal.reply.advance(len),
            }
        }
        if !refusal.is_shut_down {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            refusal.is_shut_down = true;
        }
        while refusal.lingered < LINGER_LEN_MAX {
            let mut bytes = [0; READ_LEN];
            let mut buf = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                break;
            }
            refusal.lingered += buf.filled().len();
        }
        Poll::Ready(Ok(()))
    }

    fn track_write(&self, cx: &Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_pending() {
            // Registers the waker before the command is read, so that no command is missed in between.
            self.handle.record_backpressure(cx.waker());
        } else if matches!(written, Poll::Ready(Ok(1..))) {
            self.handle.record_write();
        }
        if self.handle.must_fail() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.handle.must_fail() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        loop {
            if self.passable > 0 {
                self.hand_out(buf);
                return Poll::Ready(Ok(()));
            }
            if self.refusal.is_some() {
                // The end, as hyper sees it.
                return Poll::Ready(Ok(()));
            }
            if self.handle.is_upgraded() {
                if self.held.is_empty() {
                    return Pin::new(&mut self.stream).poll_read(cx, buf);
                }
                self.passable = self.held.len();
                continue;
            }
            if self.held.is_empty() {
                let before = buf.filled().len();
                ready!(self.poll_read_through(cx, buf))?;
                if buf.filled().len() > before || self.held.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            // A head that has begun has the time of a head, also behind another request.
            self.handle.record_read();
            self.inspect_held();
            if self.passable == 0 && self.refusal.is_none() && ready!(self.poll_read_more(cx))? == 0 {
                // The client ended in the middle of a head.
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.track_write(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A WebSocket flushes when it has written all it had; a TCP stream has nothing to flush.
        self.handle.record_flush();
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.refusal.is_some() {
            return self.poll_refuse(cx);
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.track_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Counts a connection in the metrics for as long as it is open.
pub(super) struct OpenConnection(Arc<HttpEdge>);

impl OpenConnection {
    pub(super) fn new(edge: Arc<HttpEdge>) -> Self {
        edge.connections().inc();
        Self(edge)
    }

    fn edge(&self) -> &HttpEdge {
        &self.0
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections().dec();
    }
}
