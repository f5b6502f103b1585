//! The clock checkpoint: how far time has come, where the machine's clock does not say so: while it is behind the ledger, a start would begin at the
//! ledger's last event again, and after many restarts a hold would not have come nearer to its end. It is no event: nothing was
//! decided at that moment.

use super::{FILE, open_for_writing, open_read_only};
use crate::record::row::row_checksum;
use crate::record::{ReadError, RecordError};
use rusqlite::{Connection, OptionalExtension};
use sale::Timestamp;
use std::path::{Path, PathBuf};

const CREATE: &str = "
CREATE TABLE IF NOT EXISTS reached (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    at  INTEGER NOT NULL,
    crc INTEGER NOT NULL
) STRICT";

const FIND: &str = "SELECT count(*) FROM sqlite_schema WHERE name = 'reached'";

const WRITE: &str = "
INSERT INTO reached (id, at, crc) VALUES (1, ?1, ?2)
ON CONFLICT (id) DO UPDATE SET at = excluded.at, crc = excluded.crc WHERE excluded.at > at";

/// The one row's key.
const ROW: i64 = 1;

/// The latest moment that was written; the beginning of time where there is none, or where its row is not as it was written.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn load_reached_time(folder: &Path) -> Result<Timestamp, ReadError> {
    let connection = open_read_only(folder)?;
    if connection.query_row(FIND, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(Timestamp::default());
    }
    let row = connection.query_row("SELECT at, crc FROM reached", [], |row| Ok((row.get(0)?, row.get(1)?)));
    let row: Option<(i64, i64)> = row.optional()?;
    let intact = row.filter(|(at, checksum)| row_checksum(ROW, *at, &[]) == *checksum);
    Ok(Timestamp(intact.map_or(0, |(at, _)| at)))
}

/// Writes the clock checkpoint. It opens its own connection with the first write.
pub(crate) struct ReachedTimeWriter {
    folder: PathBuf,
    connection: Option<Connection>,
}

impl ReachedTimeWriter {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), connection: None }
    }

    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&mut self, at: Timestamp) -> Result<(), RecordError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                // Where the ledger was removed, an empty one in its place would stand in the way of its copy.
                if !self.folder.join(FILE).exists() {
                    return Err(ReadError::Missing { place: self.folder.display().to_string() }.into());
                }
                let connection = open_for_writing(&self.folder)?;
                connection.execute(CREATE, [])?;
                connection
            }
        };
        connection.execute(WRITE, (at.0, row_checksum(ROW, at.0, &[])))?;
        self.connection = Some(connection);
        Ok(())
    }
}
