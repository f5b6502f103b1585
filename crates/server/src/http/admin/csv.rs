//! Tables as text (RFC 4180), in the form that spreadsheets open without asking: UTF-8 with a mark that says so, and no text
//! that a spreadsheet would run. It knows nothing of what stands in the cells.

/// Says to Excel that what follows is UTF-8.
pub(super) const BYTE_ORDER_MARK: &str = "\u{feff}";

pub(super) fn push_row<'a>(text: &mut String, cells: impl IntoIterator<Item = CsvCell<'a>>) {
    for (n, cell) in cells.into_iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        match cell {
            CsvCell::Trusted(word) => push_text(text, "", word),
            CsvCell::Untrusted(word) if looks_like_formula(word) => push_text(text, "'", word),
            CsvCell::Untrusted(word) => push_text(text, "", word),
        }
    }
    text.push_str("\r\n");
}

/// What stands in a cell.
#[derive(Clone, Copy, Debug)]
pub(super) enum CsvCell<'a> {
    /// A figure or a word of ours, as it is.
    Trusted(&'a str),
    /// What somebody typed: it must not be taken for a formula.
    Untrusted(&'a str),
}

/// Whether a spreadsheet would take this for a formula: by its first character, be it of full width or behind blanks.
fn looks_like_formula(word: &str) -> bool {
    let is_control = |c: char| matches!(c, '\t' | '\r' | '\n' | '\0');
    let is_formula = |c: char| matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠');
    let is_unseen = |c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}');
    word.starts_with(is_control) || word.trim_start_matches(is_unseen).starts_with(is_formula)
}

fn push_text(text: &mut String, mark: &str, word: &str) {
    let needs_quotes = word.contains([',', '"', '\r', '\n']) || word.starts_with(' ') || word.ends_with(' ');
    if !needs_quotes {
        text.push_str(mark);
        text.push_str(word);
        return;
    }
    text.push('"');
    text.push_str(mark);
    for piece in word.split_inclusive('"') {
        text.push_str(piece);
        if piece.ends_with('"') {
            text.push('"');
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(cells: &[CsvCell<'_>]) -> String {
        let mut text = String::new();
        push_row(&mut text, cells.iter().copied());
        text
    }

    #[test]
    fn a_row_is_that_of_rfc_4180() {
        let cells = [
            CsvCell::Trusted("1"),
            CsvCell::Untrusted("a,b"),
            CsvCell::Untrusted("say \"hi\""),
            CsvCell::Untrusted(""),
        ];
        assert_eq!(told(&cells), "1,\"a,b\",\"say \"\"hi\"\"\",\r\n");
        assert_eq!(
            told(&[CsvCell::Untrusted("two\r\nlines"), CsvCell::Untrusted(" x ")]),
            "\"two\r\nlines\",\" x \"\r\n"
        );
        assert_eq!(told(&[CsvCell::Untrusted("مصباح 灯")]), "مصباح 灯\r\n");
    }

    #[test]
    fn nothing_that_somebody_typed_is_run() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", "\tx", "  =1", "\u{200b}=1", "\u{feff}@x"] {
            let text = told(&[CsvCell::Untrusted(formula)]);
            let cell = text.trim_end_matches("\r\n").trim_start_matches('"');
            assert!(cell.starts_with('\''), "{formula:?}: {text:?}");
        }
        assert_eq!(
            told(&[CsvCell::Untrusted("=HYPERLINK(\"http://x\",\"y\")")]),
            "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"\r\n"
        );
        for plain in ["a=b", "ann@example.com", "1-2", "'quoted'"] {
            assert_eq!(told(&[CsvCell::Untrusted(plain)]), format!("{plain}\r\n"));
        }
        assert_eq!(told(&[CsvCell::Trusted("-0.05")]), "-0.05\r\n");
    }
}
