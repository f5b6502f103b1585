//! The rows of a CSV file, one after the other, with the columns that an import knows. No row takes more memory than a limit.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

/// Bytes of a row at most. A quotation mark that is never closed would make all of the file one row.
const ROW_BYTES_MAX: usize = 1 << 20;

/// The columns that an import knows, by their names as [`normal_name`] writes them.
pub(super) struct KnownColumns {
    /// Each with the name under which a row is asked for it.
    pub(super) names: &'static [(&'static str, &'static str)],
    pub(super) required: &'static [&'static str],
}

pub(super) struct CsvRows {
    reader: csv::Reader<LimitedReader>,
    since_row: Rc<Cell<usize>>,
    record: csv::ByteRecord,
    /// The place of each known column that the file has.
    columns: Vec<(&'static str, usize)>,
    fields: usize,
}

/// One row.
pub(super) struct CsvRow<'a> {
    pub(super) line: u64,
    record: &'a csv::ByteRecord,
    columns: &'a [(&'static str, usize)],
    fields: usize,
}

impl CsvRows {
    /// Opens the file and reads its first line. The error is half a sentence.
    pub(super) fn open(file: &Path, known: KnownColumns) -> Result<Self, String> {
        let file = File::open(file).map_err(|error| error.to_string())?;
        let since_row = Rc::new(Cell::new(0));
        let limited = LimitedReader { file, since_row: Rc::clone(&since_row) };
        let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(true).from_reader(limited);
        let head = reader.byte_headers().map_err(|error| error.to_string())?.clone();
        let mut columns: Vec<(&'static str, usize)> = Vec::new();
        for (at, field) in head.iter().enumerate() {
            let name = normal_name(field);
            let Some((_, column)) = known.names.iter().find(|(known, _)| *known == name) else { continue };
            if columns.iter().any(|(other, _)| other == column) {
                return Err(format!("its first line has the column {column} twice"));
            }
            columns.push((column, at));
        }
        let missing = known.required.iter().find(|name| !columns.iter().any(|(column, _)| column == *name));
        match missing {
            Some(name) => Err(format!("its first line has no column {name}")),
            None => {
                Ok(Self { reader, since_row, record: csv::ByteRecord::new(), columns, fields: head.len() })
            }
        }
    }

    pub(super) fn has_column(&self, name: &str) -> bool {
        self.columns.iter().any(|(column, _)| *column == name)
    }

    /// The next row; `None` at the end. The error is half a sentence: what follows cannot be read.
    pub(super) fn next_row(&mut self) -> Result<Option<CsvRow<'_>>, String> {
        self.since_row.set(0);
        match self.reader.read_byte_record(&mut self.record) {
            Ok(false) => Ok(None),
            Ok(true) => Ok(Some(CsvRow {
                line: self.record.position().map_or(0, csv::Position::line),
                record: &self.record,
                columns: &self.columns,
                fields: self.fields,
            })),
            Err(error) => Err(format!("line {}: {error}", self.reader.position().line())),
        }
    }
}

impl CsvRow<'_> {
    pub(super) fn has_column(&self, name: &str) -> bool {
        self.columns.iter().any(|(column, _)| *column == name)
    }

    /// Refuses a row that has not one field for each column: its fields may be in the wrong columns.
    pub(super) fn check_len(&self) -> Result<(), String> {
        let (fields, columns) = (self.record.len(), self.fields);
        if fields == columns {
            Ok(())
        } else {
            Err(format!("it has {fields} fields, and the first line has {columns}"))
        }
    }

    /// A field that is not empty, without blanks around it; `None` for one that is, and for a column that is not there.
    pub(super) fn find(&self, name: &'static str) -> Result<Option<&str>, String> {
        let Some((_, at)) = self.columns.iter().find(|(column, _)| *column == name) else { return Ok(None) };
        let text = std::str::from_utf8(self.record.get(*at).unwrap_or_default())
            .map_err(|_| format!("{name}: it is not UTF-8"))?;
        Ok(Some(text.trim()).filter(|text| !text.is_empty()))
    }

    /// A field that must not be empty.
    pub(super) fn require(&self, name: &'static str) -> Result<&str, String> {
        self.find(name)?.ok_or_else(|| format!("{name}: it is empty"))
    }
}

/// `password_hash`, `passwordHash` and `Password Hash` are one name.
fn normal_name(field: &[u8]) -> String {
    let text = String::from_utf8_lossy(field);
    let kept = text.chars().filter(|character| character.is_alphanumeric());
    kept.map(|character| character.to_ascii_lowercase()).collect()
}

/// Reads a file, and fails when a row is longer than it may be.
struct LimitedReader {
    file: File,
    /// Bytes read since the last row was complete.
    since_row: Rc<Cell<usize>>,
}

impl Read for LimitedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_row.get() > ROW_BYTES_MAX {
            let reason = "a row has more than 1 MiB; a quotation mark may not be closed";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let read = self.file.read(buffer)?;
        self.since_row.set(self.since_row.get() + read);
        Ok(read)
    }
}
