//! An error with its causes as one text, for the log. It never logs.

use std::error::Error;

/// The error and its causes, outermost first. A cause that the text has already is left out: libraries wrap an error in one that repeats
/// it.
#[must_use]
pub fn describe_error(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let part = cause.to_string();
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct TestError {
        text: &'static str,
        source: Option<Box<TestError>>,
    }

    #[test]
    fn a_cause_that_is_repeated_is_named_once() {
        let chain = ["the tables failed", "from the database: disk full", "disk full", "code 13"];
        let error = chain
            .into_iter()
            .rev()
            .fold(None, |source: Option<Box<TestError>>, text| Some(Box::new(TestError { text, source })));
        let text = describe_error(&*error.unwrap());
        assert_eq!(text, "the tables failed: from the database: disk full: code 13");
    }
}
