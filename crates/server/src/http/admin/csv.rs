//! CSV (RFC 4180) that a spreadsheet opens correctly: UTF-8 with a byte order mark, and no text that it would run as a
//! formula. It knows nothing of what the cells mean.

use std::borrow::Cow;
use std::io;

/// A piece of a table, as bytes in memory.
pub(super) struct CsvWriter(csv::Writer<Vec<u8>>);

#[derive(Clone, Copy, Debug)]
pub(super) enum CsvCell<'a> {
    /// A number, or text of this program; written without an escape.
    Trusted(&'a str),
    /// Text that a user typed. The writer puts a `'` before text that a spreadsheet would evaluate.
    Untrusted(&'a str),
}

impl CsvWriter {
    /// The start of a table. Excel recognises UTF-8 only by the byte order mark.
    pub(super) fn with_byte_order_mark() -> Self {
        Self::from_bytes("\u{feff}".into())
    }

    /// A later piece of a table, of about this many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self::from_bytes(Vec::with_capacity(bytes))
    }

    fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(bytes))
    }

    pub(super) fn push_row<'a>(&mut self, cells: impl IntoIterator<Item = CsvCell<'a>>) -> io::Result<()> {
        for cell in cells {
            let text = match cell {
                CsvCell::Untrusted(text) if looks_like_formula(text) => Cow::Owned(format!("'{text}")),
                CsvCell::Trusted(text) | CsvCell::Untrusted(text) => Cow::Borrowed(text),
            };
            self.0.write_field(text.as_bytes())?;
        }
        Ok(self.0.write_record(None::<&[u8]>)?)
    }

    pub(super) fn into_bytes(self) -> io::Result<Vec<u8>> {
        self.0.into_inner().map_err(|error| error.into_error())
    }
}

/// Whether a spreadsheet would run it: by its first character, of full width too, after blanks too.
fn looks_like_formula(text: &str) -> bool {
    let is_control = |c: char| matches!(c, '\t' | '\r' | '\n' | '\0');
    let is_formula = |c: char| matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠');
    let is_invisible = |c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}');
    text.starts_with(is_control) || text.trim_start_matches(is_invisible).starts_with(is_formula)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[CsvCell<'_>]) -> String {
        let mut writer = CsvWriter::with_capacity(0);
        writer.push_row(cells.iter().copied()).unwrap();
        String::from_utf8(writer.into_bytes().unwrap()).unwrap()
    }

    #[test]
    fn a_row_is_that_of_rfc_4180() {
        let cells = [
            CsvCell::Trusted("1"),
            CsvCell::Untrusted("a,b"),
            CsvCell::Untrusted("say \"hi\""),
            CsvCell::Untrusted(""),
        ];
        assert_eq!(row(&cells), "1,\"a,b\",\"say \"\"hi\"\"\",\r\n");
        assert_eq!(
            row(&[CsvCell::Untrusted("two\r\nlines"), CsvCell::Untrusted(" x ")]),
            "\"two\r\nlines\", x \r\n"
        );
        assert_eq!(row(&[CsvCell::Untrusted("مصباح 灯")]), "مصباح 灯\r\n");
    }

    #[test]
    fn no_text_of_a_user_is_evaluated_as_a_formula() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", "\tx", "  =1", "\u{200b}=1", "\u{feff}@x"] {
            let text = row(&[CsvCell::Untrusted(formula)]);
            let cell = text.trim_end_matches("\r\n").trim_start_matches('"');
            assert!(cell.starts_with('\''), "{formula:?}: {text:?}");
        }
        assert_eq!(
            row(&[CsvCell::Untrusted("=HYPERLINK(\"http://x\",\"y\")")]),
            "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"\r\n"
        );
        for plain in ["a=b", "ann@example.com", "1-2", "'quoted'"] {
            assert_eq!(row(&[CsvCell::Untrusted(plain)]), format!("{plain}\r\n"));
        }
        assert_eq!(row(&[CsvCell::Trusted("-0.05")]), "-0.05\r\n");
    }
}
