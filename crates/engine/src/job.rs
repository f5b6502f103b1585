//! A request on its way through the pipeline, with the way back to its caller. Plain data that the engine's handle and the stages share.

use crate::decide::{Reply, Request};
use tokio::sync::oneshot;

/// A request and its caller.
pub(crate) struct PipelineJob {
    pub(crate) request: Request,
    pub(crate) caller: WaitingCaller,
}

pub(crate) struct WaitingCaller {
    pub(crate) reply: oneshot::Sender<Reply>,
    /// How often the request was decided under an epoch that was over.
    pub(crate) tries: u8,
}

impl WaitingCaller {
    pub(crate) fn send_reply(self, reply: Reply) {
        // A caller that hung up finds its answer in the ledger.
        let _gone = self.reply.send(reply);
    }

    /// Replies that the request is not known to be recorded.
    pub(crate) fn refuse(self) {
        self.send_reply(Reply::Unavailable);
    }
}
