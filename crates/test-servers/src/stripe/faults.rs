//! What goes wrong with requests to the stand-in, as a test orders it.

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The request is done, and its reply is lost.
    LoseReply,
    /// The connection ends before the request is done.
    HangUp,
    /// The request is not done, and there is never a reply.
    Stall,
    /// The request is done, and there is never a reply.
    DoAndStall,
    /// The request is done after a while.
    Delay(Duration),
    /// 429, as when there are too many requests.
    TooMany,
    /// 500, and nothing is kept under the request's key.
    Fail,
    /// 500, which is kept under the request's key.
    FailAndKeep,
    /// 409, as while another request with the same key is under way.
    Conflict,
}

#[derive(Debug, Default)]
pub(crate) struct FaultRules(Vec<FaultRule>);

#[derive(Debug)]
struct FaultRule {
    path: String,
    left: u32,
    kind: FaultKind,
}

impl FaultRules {
    pub(crate) fn add(&mut self, path: &str, count: u32, kind: FaultKind) {
        self.0.push(FaultRule { path: path.to_owned(), left: count, kind });
    }

    /// What goes wrong with a request with this method to this path.
    pub(crate) fn take(&mut self, method: &str, path: &str) -> Option<FaultKind> {
        let request = format!("{method} {path}");
        let rule = self.0.iter_mut().find(|rule| rule.left > 0 && request.contains(&rule.path))?;
        rule.left -= 1;
        Some(rule.kind)
    }

    /// How many requests are still to fail.
    pub(crate) fn count_left(&self) -> u32 {
        self.0.iter().fold(0, |left, rule| left.saturating_add(rule.left))
    }
}
