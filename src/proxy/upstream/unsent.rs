//! `Unsent`: what is yet to be sent of a request while its answer comes.

use std::convert::Infallible;
use std::sync::Arc;

use h2::{Reason, SendStream};
use tokio::sync::oneshot;

use super::request_body::Piece;

/// What may not be sent yet of a request. Dropping it gives that up: while the answer comes the upload goes on
/// (RFC 9113 8.1), and after that nobody has a use for it.
pub(super) enum Unsent {
    /// h2 has all of it.
    Queued(Sent),
    /// A task has a part of it, which ends when this is dropped.
    Waiting { _keep: oneshot::Sender<Infallible> },
}

impl Unsent {
    /// Returns it, unless all was sent.
    pub(super) fn rest(self) -> Option<Self> {
        match self {
            Self::Queued(sent) if sent.is_complete() => None,
            rest @ (Self::Queued(_) | Self::Waiting { .. }) => Some(rest),
        }
    }
}

/// What was given to h2 of a body, which keeps it until the peer lets it through: for ever, if it never does.
pub(super) struct Sent {
    pub(super) stream: SendStream<Piece>,
    /// Every piece holds it.
    queued: Arc<()>,
}

impl Sent {
    pub(super) fn new(stream: SendStream<Piece>) -> Self {
        Self { stream, queued: Arc::default() }
    }

    /// Gives h2 a piece; `is_last` ends the request.
    pub(super) fn give(&mut self, piece: Piece, is_last: bool) -> Result<(), h2::Error> {
        self.stream.send_data(piece.held(&self.queued), is_last)
    }

    /// Returns whether all that was given is sent, or dropped.
    pub(super) fn is_complete(&self) -> bool {
        Arc::strong_count(&self.queued) == 1
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if !self.is_complete() {
            self.stream.send_reset(Reason::CANCEL);
        }
    }
}
