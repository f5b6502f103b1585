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

#[cfg(test)]
mod tests {
    use super::*;
    use sale::{AdmissionMode, BuyerId, Money, OrderId, Policy, Ticket, Timestamp};
    use uuid::Uuid;

    fn configured(extension_s: u32) -> Event {
        let policy = Policy {
            quantity: 100,
            unit_price: Money { minor: 4_900, currency: "EUR".parse().unwrap() },
            starts_at: Timestamp(1_800_000_000_000),
            ends_at: Timestamp(1_800_003_600_000),
            limit_per_buyer: 1,
            hold_s: 300,
            admission: AdmissionMode::Fifo {
                per_second: 5,
                checkout_s: 120,
                line_opens_s: 3_600,
                extension_s,
            },
        };
        Event::Configured { policy: Box::new(policy) }
    }

    fn bytes(event: &Event) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_event(event, &mut bytes);
        bytes
    }

    /// Bytes that versions wrote before there was an extension.
    const BEFORE_EXTENSIONS: &[u8] = &[
        0, 100, 0xc8, 0x4c, 3, b'E', b'U', b'R', // configured: 100 units at 49.00 EUR
        0x80, 0xc0, 0xe2, 0x85, 0xe3, 0x68, 0x80, 0xfa, 0x99, 0x89, 0xe3, 0x68, // start and end
        1, 0xac, 2, // one unit a buyer, held for 300 s
        1, 5, 120, 0x90, 0x1c, // fifo: 5 a second, 120 s to buy, opens 3,600 s before
    ];

    #[test]
    fn a_line_without_extensions_is_written_and_read_as_before_there_were_any() {
        assert_eq!(bytes(&configured(0)), BEFORE_EXTENSIONS);
        assert_eq!(decode_event(BEFORE_EXTENSIONS).unwrap(), configured(0));
    }

    #[test]
    fn a_line_with_extensions_is_another_choice_of_admission() {
        let with = bytes(&configured(600));
        let same = BEFORE_EXTENSIONS.len() - 5;
        assert_eq!(with[..same], BEFORE_EXTENSIONS[..same]);
        // Choice 2, then 5 a second, 120 s, 3,600 s before, and the extension.
        assert_eq!(with[same..], [2, 5, 120, 0x90, 0x1c, 0xd8, 0x04]);
        assert_eq!(decode_event(&with).unwrap(), configured(600));
    }

    #[test]
    fn the_events_of_a_payment_are_the_fifteenth_and_sixteenth_kind() {
        let (buyer, order) = (BuyerId(Uuid::from_u128(7)), OrderId(Uuid::from_u128(9)));
        let mut ids = vec![16];
        ids.extend(buyer.0.as_bytes());
        ids.push(16);
        ids.extend(order.0.as_bytes());
        let (held_until, until) = (Timestamp(1), Timestamp(64));
        let begun = Event::PaymentBegun { buyer, order, quantity: 2, held_until, until };
        assert_eq!(bytes(&begun), [&[14][..], &ids, &[2, 2, 0x80, 0x01]].concat());
        let ended = Event::PaymentEnded { buyer, order, quantity: 2, until };
        assert_eq!(bytes(&ended), [&[15][..], &ids, &[2, 0x80, 0x01]].concat());
        for event in [begun, ended] {
            assert_eq!(decode_event(&bytes(&event)).unwrap(), event);
        }
    }

    #[test]
    fn an_extension_is_the_fourteenth_kind() {
        let buyer = BuyerId(Uuid::from_u128(7));
        let event = Event::Extended { buyer, ticket: Ticket(3), until: Timestamp(64) };
        let mut expected = vec![13, 16];
        expected.extend(buyer.0.as_bytes());
        expected.extend([3, 0x80, 0x01]);
        assert_eq!(bytes(&event), expected);
        assert_eq!(decode_event(&expected).unwrap(), event);
    }
}
