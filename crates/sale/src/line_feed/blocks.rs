//! The blocks of a line's feed: how they are found, and their bytes.

/// Tickets in a row, of which some no longer wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineBlock {
    pub tickets: u32,
    /// How many of them no longer wait.
    pub gone: u32,
}

impl LineBlock {
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.tickets - self.gone
    }

    /// The place of the ticket at this number within the block, counted from 1: as if those who wait were spread evenly.
    pub(super) fn place_within(self, number: u32) -> Option<u32> {
        let (tickets, waiting) = (u64::from(self.tickets), u64::from(self.waiting()));
        let even = (2 * waiting * u64::from(number) + tickets) / (2 * tickets);
        let place = u32::try_from(even).unwrap_or(u32::MAX);
        // Without anyone who waits the ticket does not either.
        (waiting > 0).then(|| place.clamp(1, self.waiting()))
    }
}

/// Tolerances and slopes are counted in this part of a place, so that all numbers are whole.
const PARTS_OF_A_PLACE: i64 = 4_000;

/// A point on the way through a line: so many tickets, of which so many wait.
#[derive(Clone, Copy)]
struct LinePoint {
    tickets: u32,
    places: u32,
}

/// A slope, in parts of a place by ticket.
#[derive(Clone, Copy)]
struct LineSlope {
    rise: i64,
    tickets: i64,
}

impl LineSlope {
    fn is_above(self, other: Self) -> bool {
        i128::from(self.rise) * i128::from(other.tickets) > i128::from(other.rise) * i128::from(self.tickets)
    }
}

/// Finds blocks, each as long as possible, for points that come in order. Between two points it takes the way to be no longer than
/// [`BlockBuilder::step_at`] says, or straight.
pub(super) struct BlockBuilder {
    error_per_mille: u32,
    len_max: usize,
    len: usize,
    blocks: Vec<LineBlock>,
    /// Where the block begins that is being found.
    start: LinePoint,
    last: LinePoint,
    /// The slopes between which a straight line from the start stays near all points since then.
    lowest: Option<LineSlope>,
    highest: Option<LineSlope>,
}

impl BlockBuilder {
    pub(super) fn new((tickets, places): (u32, u32), error_per_mille: u32, len_max: usize) -> Self {
        let start = LinePoint { tickets, places };
        let (lowest, highest) = (None, None);
        Self { error_per_mille, len_max, len: 0, blocks: Vec::new(), start, last: start, lowest, highest }
    }

    /// How many tickets may lie between two points at this place. A way that rises by 0 or 1 a ticket is never further from the
    /// straight line between two points than a quarter of the tickets between them, and a quarter of the tolerance is kept for that.
    pub(super) fn step_at(&self, places: u32) -> u32 {
        // The tolerance, less the half place that rounding may take.
        let tolerance =
            (2 * u64::from(places) * u64::from(self.error_per_mille)).saturating_sub(1_000) / 2_000;
        if tolerance < 2 { 1 } else { 1 << tolerance.ilog2().min(6) }
    }

    /// Adds a point; `None` when the blocks do not fit any more.
    pub(super) fn add(&mut self, tickets: u32, places: u32) -> Option<()> {
        let point = LinePoint { tickets, places };
        if !self.reaches(point) {
            self.end_block()?;
        }
        let (run, rise) = self.way_to(point);
        // Three quarters of the tolerance, less the half place that rounding may take.
        let tolerance = 3 * i64::from(self.error_per_mille) * i64::from(self.last.places);
        let tolerance = (tolerance - 3 * PARTS_OF_A_PLACE / 8).max(0);
        let lowest = LineSlope { rise: rise - tolerance, tickets: run };
        let highest = LineSlope { rise: rise + tolerance, tickets: run };
        if self.lowest.is_none_or(|known| lowest.is_above(known)) {
            self.lowest = Some(lowest);
        }
        if self.highest.is_none_or(|known| known.is_above(highest)) {
            self.highest = Some(highest);
        }
        self.last = point;
        Some(())
    }

    pub(super) fn finish(mut self) -> Option<Vec<LineBlock>> {
        if self.last.tickets > self.start.tickets {
            self.end_block()?;
        }
        Some(self.blocks)
    }

    /// Whether the straight line from the start to this point stays near all points between them.
    fn reaches(&self, point: LinePoint) -> bool {
        let (tickets, rise) = self.way_to(point);
        let slope = LineSlope { rise, tickets };
        !self.lowest.is_some_and(|lowest| lowest.is_above(slope))
            && !self.highest.is_some_and(|highest| slope.is_above(highest))
    }

    fn way_to(&self, point: LinePoint) -> (i64, i64) {
        let tickets = i64::from(point.tickets) - i64::from(self.start.tickets);
        let places = i64::from(point.places) - i64::from(self.start.places);
        (tickets, places * PARTS_OF_A_PLACE)
    }

    /// Ends the block at the last point, and begins the next one there.
    fn end_block(&mut self) -> Option<()> {
        let tickets = self.last.tickets - self.start.tickets;
        let block = LineBlock { tickets, gone: tickets - (self.last.places - self.start.places) };
        self.len += encoded_len(block.tickets) + encoded_len(block.gone);
        if self.len > self.len_max {
            return None;
        }
        self.blocks.push(block);
        self.start = self.last;
        (self.lowest, self.highest) = (None, None);
        Some(())
    }
}

/// Bytes of a number as LEB128.
fn encoded_len(number: u32) -> usize {
    (u32::BITS - number.leading_zeros()).div_ceil(7).max(1) as usize
}

pub(super) fn encode(blocks: &[LineBlock]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for mut number in blocks.iter().flat_map(|block| [block.tickets, block.gone]) {
        while number >= 0x80 {
            bytes.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        bytes.push(number.to_le_bytes()[0]);
    }
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Option<Vec<LineBlock>> {
    let mut numbers = Vec::new();
    let (mut number, mut shift) = (0_u32, 0);
    for byte in bytes {
        let part = u32::from(byte & 0x7f);
        number |= part.checked_shl(shift).filter(|shifted| shifted >> shift == part)?;
        shift += 7;
        if byte & 0x80 == 0 {
            numbers.push(number);
            (number, shift) = (0, 0);
        }
    }
    let (pairs, rest) = numbers.as_chunks::<2>();
    let blocks: Option<Vec<LineBlock>> = pairs
        .iter()
        .map(|[tickets, gone]| {
            (*tickets > 0 && gone <= tickets).then_some(LineBlock { tickets: *tickets, gone: *gone })
        })
        .collect();
    blocks.filter(|_| rest.is_empty() && shift == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_as_they_were_written_and_other_bytes_are_refused() {
        let block = |tickets, gone| LineBlock { tickets, gone };
        let blocks = [block(1, 0), block(127, 127), block(128, 5), block(u32::MAX, 16_384), block(300, 299)];
        let bytes = encode(&blocks);
        assert_eq!(decode(&bytes).as_deref(), Some(blocks.as_slice()));
        assert_eq!(
            bytes.len(),
            blocks.iter().map(|block| encoded_len(block.tickets) + encoded_len(block.gone)).sum()
        );
        assert_eq!(decode(&[]), Some(Vec::new()));
        let wrong: [&[u8]; 5] = [&[5], &[0, 0], &[5, 6], &[5, 0x80], &[0xff, 0xff, 0xff, 0xff, 0x7f, 0]];
        for bytes in wrong {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn those_who_wait_are_spread_evenly_and_stay_within_the_block() {
        let places = |tickets, gone| -> Vec<Option<u32>> {
            (1..=tickets).map(|number| LineBlock { tickets, gone }.place_within(number)).collect()
        };
        assert_eq!(places(4, 0), [Some(1), Some(2), Some(3), Some(4)]);
        assert_eq!(places(4, 2), [Some(1), Some(1), Some(2), Some(2)]);
        assert_eq!(places(5, 4), [Some(1); 5]);
        assert_eq!(places(2, 2), [None, None]);
    }
}
