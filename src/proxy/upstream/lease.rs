//! `Lease`: a connection to an upstream while it serves one request.

use std::sync::Arc;

use http::Response;
use tokio::time::Instant;

use super::content::Content;
use super::http1::{Http1Connection, IdleConnections};
use super::http2::SharedConnection;
use super::request_body::UploadProgress;

/// The head of an answer, and the lease of its connection.
pub(in crate::proxy) type LeasedResponse = (Response<Content>, Lease);

/// A connection while it serves one request. Dropping it closes the connection, unless the answer was read to the end
/// or the connection is shared.
pub(in crate::proxy) struct Lease {
    pub(in crate::proxy) idle: Arc<IdleConnections>,
    pub(in crate::proxy) line: Option<Http1Connection>,
    pub(in crate::proxy) share: Option<SharedConnection>,
    /// The upload that was still in progress when the answer began.
    pub(in crate::proxy) upload: Option<Arc<UploadProgress>>,
}

impl Lease {
    /// Ends the lease after the answer was read to its end, at `now`. The connection is reused, unless the upstream
    /// answered before it had the whole request: it might take the rest for the next request (HS-19).
    pub(in crate::proxy) fn finish(mut self, now: Instant) {
        if self.upload.is_none()
            && let Some(line) = self.line.take()
        {
            self.idle.put_back(line, now);
        }
    }

    /// Records that the request no longer holds its slot.
    pub(in crate::proxy) fn give_up_slot(&self) {
        if let Some(upload) = &self.upload {
            upload.give_up_slot();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Nobody waits for the answer any more, so the rest of the upload is useless.
        if self.upload.as_ref().is_some_and(|upload| !upload.has_ended()) {
            if let Some(line) = self.line.take() {
                line.cut();
            }
            if let Some(share) = &self.share {
                share.leave();
            }
        }
    }
}
