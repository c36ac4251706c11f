//! `Unsent`: the rest of a request that is still being sent while its answer arrives.

use std::convert::Infallible;
use std::sync::Arc;

use h2::{Reason, SendStream};
use tokio::sync::oneshot;

use super::request_body::Piece;

/// The part of a request that may not be sent yet. The upload continues while the answer arrives (RFC 9113 8.1);
/// dropping this stops it, because the rest is useless after that.
pub(super) enum Unsent {
    /// h2 has all of it.
    Queued(Sent),
    /// A task is sending it, and ends when this is dropped.
    Waiting { _keep: oneshot::Sender<Infallible> },
}

impl Unsent {
    /// Returns itself, unless everything was sent.
    pub(super) fn rest(self) -> Option<Self> {
        match self {
            Self::Queued(sent) if sent.is_complete() => None,
            rest @ (Self::Queued(_) | Self::Waiting { .. }) => Some(rest),
        }
    }
}

/// The part of a body that was passed to h2, which keeps it until the peer's window lets it through.
pub(super) struct Sent {
    pub(super) stream: SendStream<Piece>,
    /// Held by every piece that is not sent yet.
    queued: Arc<()>,
}

impl Sent {
    pub(super) fn new(stream: SendStream<Piece>) -> Self {
        Self { stream, queued: Arc::default() }
    }

    /// Passes a piece to h2; `is_last` ends the request.
    pub(super) fn give(&mut self, piece: Piece, is_last: bool) -> Result<(), h2::Error> {
        self.stream.send_data(piece.held(&self.queued), is_last)
    }

    /// Returns whether all pieces were sent or dropped.
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
