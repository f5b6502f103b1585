//! One buyer's socket: Socket.IO over a WebSocket, as much of both as a buyer needs who waits for a turn. It answers pings, and passes
//! over every event that is not asked for.

use super::connect::{ByteStream, Target};
use bytes::{Buf, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long the way to the first message may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a head or a message, at most.
const LEN_MAX: usize = 64 << 10;
const OPCODE_TEXT: u8 = 1;

/// A socket that is connected and signed in.
pub struct LiveSocket {
    stream: Box<dyn ByteStream>,
    buffer: BytesMut,
}

/// An event: its name, and its document.
#[derive(Deserialize)]
struct EventMessage<'a>(&'a str, #[serde(borrow)] &'a RawValue);

impl LiveSocket {
    /// Connects as a buyer whose access token and address these are.
    ///
    /// # Errors
    /// When the instance is not reached, or refuses the socket.
    pub async fn open(target: &Target, token: &str, address: &str) -> io::Result<Self> {
        let opening = async {
            let mut socket = Self { stream: target.open_stream().await?, buffer: BytesMut::new() };
            let head = target.upgrade_head("/socket.io/?EIO=4&transport=websocket", address);
            socket.stream.write_all(head.as_bytes()).await?;
            socket.read_upgrade().await?;
            let auth = serde_json::json!({ "token": token }).to_string();
            loop {
                let message = socket.next_message().await?;
                match message.as_str() {
                    open if open.starts_with('0') => socket.send(&format!("40{auth}")).await?,
                    connected if connected.starts_with("40") => return Ok(socket),
                    refused if refused.starts_with("44") => return Err(io::Error::other(message)),
                    _ => {}
                }
            }
        };
        tokio::time::timeout(OPEN_TIMEOUT, opening)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The document of the next event of this name. When this is dropped, nothing is lost.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn next_event(&mut self, name: &str) -> io::Result<String> {
        loop {
            let message = self.next_message().await?;
            let event = message.strip_prefix("42").and_then(|text| serde_json::from_str(text).ok());
            if let Some(EventMessage(event, document)) = event
                && event == name
            {
                return Ok(document.get().to_owned());
            }
        }
    }

    /// The next message of Engine.IO that is no ping.
    async fn next_message(&mut self) -> io::Result<String> {
        loop {
            while let Some((opcode, payload)) = take_frame(&mut self.buffer)? {
                if opcode != OPCODE_TEXT {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                let message = String::from_utf8(payload.to_vec()).map_err(io::Error::other)?;
                if message != "2" {
                    return Ok(message);
                }
                self.send("3").await?;
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
    }

    async fn read_upgrade(&mut self) -> io::Result<()> {
        const END: &[u8] = b"\r\n\r\n";
        loop {
            if let Some(at) = self.buffer.windows(END.len()).position(|part| part == END) {
                let head = self.buffer.split_to(at + END.len());
                let is_upgraded = head.starts_with(b"HTTP/1.1 101");
                return if is_upgraded { Ok(()) } else { Err(io::ErrorKind::ConnectionRefused.into()) };
            }
            if self.buffer.len() > LEN_MAX || self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
    }

    async fn send(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(&text_frame(text)).await
    }
}

/// The first whole frame: its opcode, and its payload.
fn take_frame(buffer: &mut BytesMut) -> io::Result<Option<(u8, BytesMut)>> {
    let [first, second, ..] = buffer[..] else { return Ok(None) };
    let (head_len, len) = match second & 0x7f {
        126 => match buffer[..] {
            [_, _, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
            _ => return Ok(None),
        },
        127 => return Err(io::Error::other("a message that is longer than any of the API")),
        len => (2, usize::from(len)),
    };
    if buffer.len() < head_len + len {
        return Ok(None);
    }
    buffer.advance(head_len);
    Ok(Some((first & 0x0f, buffer.split_to(len))))
}

/// A text frame with a mask of zeros.
fn text_frame(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x80 | OPCODE_TEXT];
    match u8::try_from(text.len()) {
        Ok(len) if len < 126 => bytes.push(0x80 | len),
        _ => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_whole_and_in_order() {
        let long = "x".repeat(300);
        let mut bytes = vec![0x81, 2, b'o', b'k', 0x81, 126, 1, 44];
        bytes.extend_from_slice(long.as_bytes());
        let mut buffer = BytesMut::new();
        let mut taken = Vec::new();
        for byte in bytes {
            buffer.extend_from_slice(&[byte]);
            taken.extend(take_frame(&mut buffer).expect("frames"));
        }
        let texts: Vec<&[u8]> = taken.iter().map(|(_, payload)| &payload[..]).collect();
        assert_eq!(texts, [b"ok".as_slice(), long.as_bytes()]);
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_frame_is_masked_and_has_its_length() {
        assert_eq!(text_frame("3"), [0x81, 0x81, 0, 0, 0, 0, b'3']);
        let long = text_frame(&"x".repeat(600));
        assert_eq!((&long[..4], long.len()), ([0x81, 0xfe, 2, 88].as_slice(), 608));
    }
}
