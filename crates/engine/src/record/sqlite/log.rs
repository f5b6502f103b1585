//! Checks SQLite's write-ahead log before SQLite opens it. SQLite takes the log up to the first frame whose checksum does not
//! fit and drops the rest, because that is what a crash leaves behind. A frame that rots in the middle looks the same to it, and
//! it would drop the committed batches behind that frame without an error; this check distinguishes the two.
//!
//! The format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>. Never writes.

use crate::record::ReadError;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

const HEADER_LEN: usize = 32;
const FRAME_HEADER_LEN: usize = 24;
/// The last bit says in which byte order the checksums were made.
const MAGIC: u32 = 0x377f_0682;
/// Commits that a crash may leave after the first bad frame: the commit in progress, and an older, longer one that failed at the
/// same place.
const COMMITS_LEFT_MAX: u64 = 2;

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
enum LogDamage {
    #[error("its header does not fit its checksum, and it is not empty")]
    Header,
    #[error("byte {at} does not fit its checksum, and {commits} committed batches follow")]
    Frame { at: u64, commits: u64 },
}

/// Refuses the log of a SQLite file of which SQLite would read only a part, other than for its torn end. Beside a running engine
/// the log may restart while it is read, which looks like damage: check again before believing it.
///
/// # Errors
/// When the log is damaged in the middle, or cannot be read.
pub fn check_log(folder: &Path, file: &str) -> Result<(), ReadError> {
    let name = format!("{file}-wal");
    let file = match File::open(folder.join(&name)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ReadError::Store(Box::new(error))),
    };
    match find_damage(BufReader::with_capacity(1 << 20, file)) {
        Ok(None) => Ok(()),
        Ok(Some(damage)) => Err(ReadError::Corrupt { file: name, cause: Box::new(damage) }),
        Err(error) => Err(ReadError::Store(Box::new(error))),
    }
}

fn find_damage(mut log: impl io::Read) -> io::Result<Option<LogDamage>> {
    let mut header = [0; HEADER_LEN];
    if !read_full(&mut log, &mut header)? {
        return Ok(None);
    }
    let mut checksum = LogChecksum { big_endian: read_word(&header, 0) == MAGIC | 1, low: 0, high: 0 };
    checksum.add(&header[..24]);
    let page_len = read_word(&header, 8) as usize;
    let sane = read_word(&header, 0) & !1 == MAGIC
        && (512..=65_536).contains(&page_len)
        && page_len.is_power_of_two();
    if !sane || !checksum.matches(&header[24..]) {
        let empty = header == [0; HEADER_LEN] && is_all_zeros(log)?;
        return Ok(if empty { None } else { Some(LogDamage::Header) });
    }

    let mut frame = vec![0; FRAME_HEADER_LEN + page_len];
    let mut bad_at = None;
    let (mut at, mut commits) = (HEADER_LEN as u64, 0);
    while read_full(&mut log, &mut frame)? {
        let of_this_log = frame[8..16] == header[16..24];
        if bad_at.is_none() {
            checksum.add(&frame[..8]);
            checksum.add(&frame[FRAME_HEADER_LEN..]);
            if !of_this_log || !checksum.matches(&frame[16..24]) {
                bad_at = Some(at);
            }
        }
        if bad_at.is_some_and(|bad_at| at > bad_at) && of_this_log && read_word(&frame, 4) != 0 {
            commits += 1;
        }
        at += frame.len() as u64;
    }
    Ok(bad_at.filter(|_| commits > COMMITS_LEFT_MAX).map(|at| LogDamage::Frame { at, commits }))
}

/// SQLite's running checksum over pairs of words.
struct LogChecksum {
    big_endian: bool,
    low: u32,
    high: u32,
}

impl LogChecksum {
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks_exact(8) {
            self.low = self.low.wrapping_add(self.read_word(pair, 0)).wrapping_add(self.high);
            self.high = self.high.wrapping_add(self.read_word(pair, 4)).wrapping_add(self.low);
        }
    }

    fn read_word(&self, bytes: &[u8], at: usize) -> u32 {
        let word = read_word(bytes, at);
        if self.big_endian { word } else { word.swap_bytes() }
    }

    /// True when this is the checksum in `bytes`.
    fn matches(&self, bytes: &[u8]) -> bool {
        (self.low, self.high) == (read_word(bytes, 0), read_word(bytes, 4))
    }
}

fn read_word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(word)
}

fn is_all_zeros(mut log: impl io::Read) -> io::Result<bool> {
    let mut part = [0; 4096];
    loop {
        match log.read(&mut part)? {
            0 => return Ok(true),
            len if part[..len].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

/// Fills `into`; false when there are not so many.
fn read_full(log: &mut impl io::Read, into: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
