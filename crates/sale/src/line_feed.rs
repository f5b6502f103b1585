//! A waiting line in a few kilobytes, from which each buyer computes the own place. It names no buyer: it says which tickets no longer
//! wait, one by one for those whose turn is near, and as counts of blocks for the others.
//!
//! A block ends where a straight line through it would put a buyer too far from the true place. So a stretch that nobody left is one
//! block, however long it is.

mod blocks;

use blocks::BlockBuilder;
pub use blocks::LineBlock;

use crate::id::Ticket;
use crate::waiting_tickets::WaitingTickets;

/// The places that are exact.
pub const EXACT_PLACES: u32 = 8_192;
/// Tickets with a bit of their own, at most. When half of them no longer wait, the rest are the [`EXACT_PLACES`].
pub const EXACT_TICKETS_MAX: u32 = 2 * EXACT_PLACES;
/// Bytes of [`LineFeed::gone`] and of the encoded blocks together, at most.
pub const FEED_LEN_MAX: usize = 2_580;
/// Tickets that are read at a time: the bits of a word.
const CHUNK_TICKETS: u32 = 64;

/// The line of a sale at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFeed {
    /// The serving number: no ticket up to this one waits.
    pub serving: Ticket,
    /// The last ticket that was given.
    pub last_ticket: Ticket,
    /// How many tickets after [`Self::serving`] have a bit in [`Self::gone`].
    pub exact_tickets: u32,
    /// A bit for each of them, the lowest of a byte first: 1 for a ticket that no longer waits. Zero bytes at the end are left out.
    pub gone: Vec<u8>,
    /// The tickets after those, up to the last one.
    pub blocks: Vec<LineBlock>,
    /// How far a place behind the exact ones may be from the true one, in thousandths of it: 1, or more where 1 does not fit.
    pub error_per_mille: u32,
}

impl LineFeed {
    /// The feed of a line in which `last_ticket` was given last.
    #[must_use]
    pub fn new(line: &WaitingTickets, last_ticket: Ticket) -> Self {
        let first = line.iter_after(None).next();
        let serving = first.map_or(last_ticket, |first| Ticket(first.0 - 1));
        let last_ticket = last_ticket.max(serving);
        let tickets = last_ticket.0 - serving.0;
        let (mut exact_tickets, mut exact_places, mut gone) = (0, 0, Vec::new());
        while exact_tickets < tickets.min(EXACT_TICKETS_MAX) && exact_places < EXACT_PLACES {
            let chunk = TicketChunk::read(line, serving, exact_tickets, tickets);
            gone.extend(chunk.gone().to_le_bytes());
            exact_tickets += chunk.tickets;
            exact_places += chunk.waiting.count_ones();
        }
        gone.truncate(gone.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        let blocks_len_max = FEED_LEN_MAX - gone.len();
        let mut error_per_mille = 1;
        let blocks = loop {
            let found = find_blocks(
                (line, serving),
                (exact_tickets, exact_places),
                tickets,
                (error_per_mille, blocks_len_max),
            );
            match found {
                Some(blocks) => break blocks,
                None => error_per_mille *= 2,
            }
        };
        Self { serving, last_ticket, exact_tickets, gone, blocks, error_per_mille }
    }

    /// Buyers who wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.exact_places() + self.blocks.iter().map(LineBlock::waiting).sum::<u32>()
    }

    /// The place of a ticket: waiting buyers ahead, plus one. `None` for a ticket that does not wait, as far as the feed knows.
    #[must_use]
    pub fn position(&self, ticket: Ticket) -> Option<u32> {
        let offset = ticket.0.checked_sub(self.serving.0).filter(|offset| *offset > 0)?;
        if offset <= self.exact_tickets {
            let gone_before = self.count_gone(offset - 1);
            return (!self.is_gone(offset - 1)).then_some(offset - gone_before);
        }
        let (mut tickets, mut places) = (self.exact_tickets, self.exact_places());
        for block in &self.blocks {
            let within = offset - tickets;
            if within <= block.tickets {
                return block.place_within(within).map(|place| places + place);
            }
            tickets += block.tickets;
            places += block.waiting();
        }
        None
    }

    /// The blocks as bytes: of each block the number of tickets, and how many of them no longer wait, both as LEB128.
    #[must_use]
    pub fn encode_blocks(&self) -> Vec<u8> {
        blocks::encode(&self.blocks)
    }

    /// Reads [`Self::encode_blocks`]; `None` for bytes that are no blocks.
    #[must_use]
    pub fn decode_blocks(bytes: &[u8]) -> Option<Vec<LineBlock>> {
        blocks::decode(bytes)
    }

    fn exact_places(&self) -> u32 {
        self.exact_tickets - self.count_gone(self.exact_tickets)
    }

    fn is_gone(&self, index: u32) -> bool {
        self.gone.get(index as usize / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
    }

    /// How many of the first so many tickets no longer wait.
    fn count_gone(&self, tickets: u32) -> u32 {
        let whole = (tickets as usize / 8).min(self.gone.len());
        let rest = self.gone.get(tickets as usize / 8).map_or(0, |byte| byte & ((1 << (tickets % 8)) - 1));
        self.gone[..whole].iter().map(|byte| byte.count_ones()).sum::<u32>() + rest.count_ones()
    }
}

/// Up to 64 tickets in a row.
#[derive(Clone, Copy)]
struct TicketChunk {
    tickets: u32,
    /// A bit for each ticket that waits, the lowest first.
    waiting: u64,
}

impl TicketChunk {
    /// The tickets after the first `offset` behind `serving`, of `tickets` in all.
    fn read(line: &WaitingTickets, serving: Ticket, offset: u32, tickets: u32) -> Self {
        let len = (tickets - offset).min(CHUNK_TICKETS);
        let waiting = line.bits_after(Ticket(serving.0 + offset)) & low_bits(len);
        Self { tickets: len, waiting }
    }

    fn gone(self) -> u64 {
        !self.waiting & low_bits(self.tickets)
    }

    /// Whether all of them wait, or none.
    fn is_uniform(self) -> bool {
        self.waiting == 0 || self.gone() == 0
    }
}

/// The blocks behind the exact tickets; `None` when they do not fit.
fn find_blocks(
    (line, serving): (&WaitingTickets, Ticket),
    (mut offset, mut places): (u32, u32),
    tickets: u32,
    (error_per_mille, len_max): (u32, usize),
) -> Option<Vec<LineBlock>> {
    let mut blocks = BlockBuilder::new((offset, places), error_per_mille, len_max);
    while offset < tickets {
        let chunk = TicketChunk::read(line, serving, offset, tickets);
        let step = if chunk.is_uniform() { CHUNK_TICKETS } else { blocks.step_at(places) };
        let (mut bits, mut rest) = (chunk.waiting, chunk.tickets);
        while rest > 0 {
            let len = rest.min(step);
            places += (bits & low_bits(len)).count_ones();
            offset += len;
            blocks.add(offset, places)?;
            bits = bits.checked_shr(len).unwrap_or(0);
            rest -= len;
        }
    }
    blocks.finish()
}

/// A word with so many of its lowest bits set, at most 64.
fn low_bits(count: u32) -> u64 {
    if count >= u64::BITS { u64::MAX } else { (1 << count) - 1 }
}
