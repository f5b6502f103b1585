//! The TCP stream of a connection, which reports its reads and writes to the [`ConnectionHandle`]. It never delays a byte.

use super::handle::ConnectionHandle;
use crate::http::edge::HttpEdge;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

/// The permit of one open connection.
pub(super) type ConnectionSlot = OwnedSemaphorePermit;

/// A stream that keeps its slot until it is closed, also after an upgrade, and that fails when the peer of an upgraded
/// connection leaves bytes unread for too long: they would only cost memory.
pub(super) struct TrackedStream {
    stream: TcpStream,
    handle: Arc<ConnectionHandle>,
    _slot: ConnectionSlot,
    _open: OpenConnection,
}

impl TrackedStream {
    pub(super) fn new(
        stream: TcpStream,
        handle: Arc<ConnectionHandle>,
        slot: ConnectionSlot,
        open: OpenConnection,
    ) -> Self {
        Self { stream, handle, _slot: slot, _open: open }
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
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.handle.record_read();
        }
        read
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
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections().dec();
    }
}
