//! An event as bytes: `postcard`, one byte for the kind, then its fields. The encoding is the ledger's format and so
//! append-only: a new kind of event goes to the end of [`sale::Event`], an existing one is never changed.

use sale::Event;

/// The bytes are not an event.
#[derive(Debug, thiserror::Error)]
#[error("not an event")]
pub struct CodecError(#[from] postcard::Error);

/// Appends the event's bytes to `into`.
///
/// # Panics
/// Never: every event fits into memory.
pub fn encode_event(event: &Event, into: &mut Vec<u8>) {
    let taken = std::mem::take(into);
    *into = postcard::to_extend(event, taken).expect("an event is encoded into memory");
}

/// Reads an event back.
///
/// # Errors
/// When the bytes are not an event, or more than one.
pub fn decode_event(bytes: &[u8]) -> Result<Event, CodecError> {
    let (event, rest) = postcard::take_from_bytes(bytes)?;
    if rest.is_empty() { Ok(event) } else { Err(CodecError(postcard::Error::DeserializeBadEncoding)) }
}
