//! How a request in progress is ended before its answer is complete. The gateway must never leave a client waiting for
//! the answer to an id: the client gets a JSON-RPC error with the reason.

use bytes::{Bytes, BytesMut};

use super::open_streams::StreamSignal;
use crate::mcp::ErrorResponse;
use crate::proxy::row::INTERNAL_ERROR;
use crate::telemetry::Outcome;

/// The ids of the requests in a message, as raw JSON, for answers that the gateway makes itself.
#[derive(Debug, Default)]
pub(in crate::proxy) enum Ids {
    /// No request, or the message was not parsed.
    #[default]
    None,
    /// One request; the common case, which allocates nothing.
    One(Bytes),
    /// One request whose answer is a stream that never ends by itself.
    Subscription(Bytes),
    /// The requests of a batch.
    Many(Box<[Bytes]>),
}

impl Ids {
    pub(in crate::proxy) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Returns the id of a message that is one request.
    pub(in crate::proxy) fn one(&self) -> Option<&str> {
        match self {
            Self::One(id) | Self::Subscription(id) => std::str::from_utf8(id).ok(),
            Self::None | Self::Many(_) => None,
        }
    }

    pub(in crate::proxy) fn is_subscription(&self) -> bool {
        matches!(self, Self::Subscription(_))
    }

    /// Returns the result that ends a subscription, as an event (2026-07-28, SubscriptionsListenResult: sent when the
    /// stream ends in an orderly way, as when a server shuts down; clients distinguish it from a broken connection).
    pub(in crate::proxy) fn end_of_subscription(&self) -> Option<String> {
        let Self::Subscription(id) = self else { return None };
        let id = std::str::from_utf8(id).ok()?;
        let meta = format!(r#"{{"io.modelcontextprotocol/subscriptionId":{id}}}"#);
        let result = format!(r#"{{"resultType":"complete","_meta":{meta}}}"#);
        Some(format!("event: message\ndata: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n\n"))
    }

    fn each(&self) -> impl Iterator<Item = &str> {
        let (one, many) = match self {
            Self::None => (None, &[][..]),
            Self::One(id) | Self::Subscription(id) => (Some(id), &[][..]),
            Self::Many(ids) => (None, &ids[..]),
        };
        one.into_iter().chain(many).filter_map(|id| std::str::from_utf8(id).ok())
    }

    /// Returns an error for each id as events, after `before`, which ends the open event.
    pub(in crate::proxy) fn errors_as_events(&self, before: &[u8], code: i32, message: &str) -> Bytes {
        let mut events = BytesMut::from(before);
        for id in self.each() {
            events.extend_from_slice(b"event: message\ndata: ");
            events.extend_from_slice(&ErrorResponse { code, message, id: Some(id), data: None }.to_json());
            events.extend_from_slice(b"\n\n");
        }
        events.freeze()
    }

    /// Returns the error as a body: one message, or a batch.
    pub(in crate::proxy) fn errors_as_json(&self, message: &str) -> Bytes {
        let error = |id| ErrorResponse { code: INTERNAL_ERROR, message, id: Some(id), data: None }.to_json();
        match self {
            Self::None | Self::One(_) | Self::Subscription(_) => self.each().flat_map(error).collect(),
            Self::Many(_) => {
                let errors: Vec<_> = self.each().map(error).collect();
                [b"[".as_slice(), &errors.join(&b','), b"]"].concat().into()
            }
        }
    }
}

impl StreamSignal {
    /// Returns the reason for the client, in a JSON-RPC error or in a comment of a stream.
    pub(in crate::proxy) const fn words(self) -> &'static str {
        match self {
            Self::KeepAlive => "",
            Self::TokenEnded => "the access token has ended",
            Self::Unprovable => "tokens cannot be checked at present",
            Self::Removed => "the resource has been removed",
            Self::TooOld => "the stream is too old",
            Self::TooSilent => "the upstream does not answer in time",
            Self::GoingDown => "the gateway is shutting down",
        }
    }

    /// Returns the outcome for the access log.
    pub(in crate::proxy) const fn outcome(self) -> Outcome {
        match self {
            Self::KeepAlive => Outcome::Forwarded,
            Self::TokenEnded => Outcome::InvalidToken,
            Self::Unprovable => Outcome::Unprovable,
            Self::Removed => Outcome::Removed,
            Self::TooOld => Outcome::TooOld,
            Self::TooSilent => Outcome::UpstreamSlow,
            Self::GoingDown => Outcome::GoingDown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ids;
    use bytes::Bytes;

    #[test]
    fn every_id_gets_its_error() {
        let error = |id| format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32603,"message":"why"}}}}"#);
        let one = Ids::One(Bytes::from_static(b"\"a\""));
        let many = Ids::Many([Bytes::from_static(b"1"), Bytes::from_static(b"2")].into());
        assert_eq!(one.errors_as_json("why"), error("\"a\""));
        assert_eq!(many.errors_as_json("why"), format!("[{},{}]", error("1"), error("2")));
        let event = |id| format!("event: message\ndata: {}\n\n", error(id));
        assert_eq!(one.errors_as_events(b"", -32603, "why"), event("\"a\""));
        assert_eq!(many.errors_as_events(b"x\n\n", -32603, "why"), format!("x\n\n{}{}", event("1"), event("2")));
        assert_eq!((one.one(), many.one()), (Some("\"a\""), None));
        assert!(Ids::None.is_empty() && Ids::None.errors_as_events(b"", -32603, "why").is_empty());
    }
}
