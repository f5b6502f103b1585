//! Colour for a terminal, and none for a pipe. It never changes the text.

use std::io::IsTerminal;

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct VerifyColours {
    is_coloured: bool,
}

impl VerifyColours {
    /// Colours where standard output is a terminal whose owner has not asked for none (<https://no-color.org>).
    pub(super) fn for_stdout() -> Self {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { is_coloured: !is_unwanted && std::io::stdout().is_terminal() }
    }

    pub(super) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// For what is neither, and should be read.
    pub(super) fn warning(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// For what frames the rest.
    pub(super) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    #[cfg(test)]
    pub(super) const PLAIN: Self = Self { is_coloured: false };
    #[cfg(test)]
    pub(super) const COLOURED: Self = Self { is_coloured: true };
}
