//! Replaces the id in the packet that opens an Engine.IO session: `0{"sid":"…",…}`, as the body of a reply or as the first frame of a
//! WebSocket. The new id is as long as the old one, so nothing else changes. A packet in any other form is never sent.

use super::session_ids::{ID_LEN, SessionId};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of an open packet; Engine.IO writes some 120.
pub const PACKET_LEN_MAX: usize = 1024;

const PACKET_PREFIX: &[u8] = b"0{\"sid\":\"";

/// The first byte of a WebSocket frame that is one whole text message.
const TEXT_FRAME: u8 = 0x81;
/// A second byte below this is the length of the payload; this value says that the length is in the next two bytes.
const LEN_IN_TWO_BYTES: u8 = 126;

/// Writes `id` into the packet, and returns the one that was there; `None` when this is no open packet.
pub fn replace_id(packet: &mut [u8], id: SessionId) -> Option<SessionId> {
    let place = packet.strip_prefix(PACKET_PREFIX).and_then(|rest| rest.get(..ID_LEN))?;
    let old = SessionId::parse(place)?;
    packet[PACKET_PREFIX.len()..PACKET_PREFIX.len() + ID_LEN].copy_from_slice(id.as_bytes());
    Some(old)
}

/// Writes `id` into the open packet of a frame.
fn replace_id_in_frame(frame: &mut [u8], id: SessionId) -> Option<SessionId> {
    let payload_at = match frame {
        [TEXT_FRAME, len, ..] if *len < LEN_IN_TWO_BYTES => 2,
        [TEXT_FRAME, LEN_IN_TWO_BYTES, ..] => 4,
        _ => return None,
    };
    replace_id(frame.get_mut(payload_at..)?, id)
}

/// The stream of a WebSocket whose first frame gets another session id.
pub struct MaskedStream<S> {
    stream: S,
    /// Until the first write.
    id: Option<SessionId>,
    /// The rest of the first write that the stream has not taken yet.
    pending: Vec<u8>,
    written: usize,
}

impl<S: AsyncWrite + Unpin> MaskedStream<S> {
    pub fn new(stream: S, id: SessionId) -> Self {
        Self { stream, id: Some(id), pending: Vec::new(), written: 0 }
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.pending.len() {
            let rest = &self.pending[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                len => self.written += len,
            }
        }
        self.pending = Vec::new();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MaskedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Some(id) = self.id.take() else {
            ready!(self.poll_pending(cx))?;
            return Pin::new(&mut self.stream).poll_write(cx, buf);
        };
        let mut first = buf.to_vec();
        if replace_id_in_frame(&mut first, id).is_none() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "no open packet")));
        }
        self.pending = first;
        // What the stream does not take now goes with the next write or flush.
        if let Poll::Ready(Err(error)) = self.poll_pending(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MaskedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const PACKET: &str = r#"0{"sid":"AAAAAAAAAAAAAAAA","upgrades":[],"pingInterval":25000}"#;

    #[test]
    fn the_id_of_an_open_packet_is_replaced_and_no_other_packet_passes() {
        let (id, mut packet) = (SessionId::random(), PACKET.as_bytes().to_vec());
        let old = replace_id(&mut packet, id).unwrap();
        assert_eq!(old.as_str(), "AAAAAAAAAAAAAAAA");
        assert_eq!(String::from_utf8(packet).unwrap(), PACKET.replace(old.as_str(), id.as_str()));
        for bad in [
            "",
            "0{\"sid\":\"short\"}",
            "40{\"sid\":\"AAAAAAAAAAAAAAAA\"}",
            "0{\"sid\":\"AAAA\"AAAAAAAAAAA\"}",
        ] {
            assert!(replace_id(&mut bad.as_bytes().to_vec(), id).is_none(), "{bad}");
        }
    }

    #[tokio::test]
    async fn only_the_first_frame_is_changed_however_slowly_it_leaves() {
        let (id, long) = (SessionId::random(), PACKET.replace("25000", &"1".repeat(100)));
        for packet in [PACKET, &long] {
            let mut frame = vec![TEXT_FRAME];
            match u8::try_from(packet.len()).unwrap() {
                len @ ..LEN_IN_TWO_BYTES => frame.push(len),
                len => frame.extend([LEN_IN_TWO_BYTES, 0, len]),
            }
            frame.extend(packet.as_bytes());
            // The pipe takes a few bytes at a time.
            let (ours, mut theirs) = tokio::io::duplex(7);
            let mut masked = MaskedStream::new(ours, id);
            let sent = [frame.as_slice(), frame.as_slice()].concat();
            let write = async {
                masked.write_all(&frame).await.unwrap();
                masked.write_all(&frame).await.unwrap();
                masked.shutdown().await.unwrap();
                drop(masked);
            };
            let mut read = Vec::new();
            let ((), len) = tokio::join!(write, theirs.read_to_end(&mut read));
            assert_eq!(len.unwrap(), sent.len());
            let (first, second) = read.split_at(frame.len());
            assert_eq!(second, frame);
            assert!(String::from_utf8_lossy(first).contains(id.as_str()));
            assert!(!String::from_utf8_lossy(first).contains("AAAAAAAAAAAAAAAA"));
        }
    }

    #[tokio::test]
    async fn a_stream_that_does_not_begin_with_an_open_packet_fails() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let mut masked = MaskedStream::new(ours, SessionId::random());
        assert!(masked.write_all(b"\x81\x01X").await.is_err());
    }
}
