//! How a request in progress is ended before its answer is complete. The gateway must never leave a client waiting for
//! the answer to an id: the client gets a JSON-RPC error with the reason.

use bytes::{Bytes, BytesMut};

use super::events::write_event;
use super::refused_part::RefusedPart;
use super::stream_handle::StreamSignal;
use crate::mcp::{Envelope, ErrorResponse, MessageKind};
use crate::proxy::row::INTERNAL_ERROR;
use crate::proxy::upstream::resend::LARGEST_KEPT;
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
    /// The requests of a batch of which a part is refused.
    Part(Box<RefusedPart>),
}

impl Ids {
    /// Returns the ids of the requests in a body: slices of a small body, or copies if the ids are small themselves.
    pub(in crate::proxy) fn of(body: &Bytes, messages: &[Envelope<'_>]) -> Self {
        let mut ids = ids_of(body, messages);
        match (messages, ids.next()) {
            (_, None) => Self::None,
            ([message], Some(id)) if message.is_subscription() => Self::Subscription(id),
            ([_], Some(id)) => Self::One(id),
            (_, Some(first)) => Self::Many(std::iter::once(first).chain(ids).collect()),
        }
    }

    /// Returns the ids of the requests in what is left of a batch, see [`Ids::of`].
    pub(in crate::proxy) fn of_part(body: &Bytes, messages: &[Envelope<'_>]) -> Box<[Bytes]> {
        ids_of(body, messages).collect()
    }

    pub(in crate::proxy) fn is_empty(&self) -> bool {
        match self {
            Self::None => true,
            Self::One(_) | Self::Subscription(_) | Self::Many(_) => false,
            Self::Part(part) => part.ids.is_empty(),
        }
    }

    /// Returns the refused part of a batch of which the rest is forwarded.
    pub(in crate::proxy) fn refused(&self) -> Option<&RefusedPart> {
        if let Self::Part(part) = self { Some(part) } else { None }
    }

    /// Returns the id of a message that is one request.
    pub(in crate::proxy) fn one(&self) -> Option<&str> {
        match self {
            Self::One(id) | Self::Subscription(id) => std::str::from_utf8(id).ok(),
            Self::None | Self::Many(_) | Self::Part(_) => None,
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
            Self::Part(part) => (None, &part.ids[..]),
        };
        one.into_iter().chain(many).filter_map(|id| std::str::from_utf8(id).ok())
    }

    /// Returns an error for each id as events, after `before`, which ends the open event.
    pub(in crate::proxy) fn errors_as_events(&self, before: &[u8], code: i32, message: &str) -> Bytes {
        let mut events = BytesMut::from(before);
        for id in self.each() {
            write_event(&mut events, &ErrorResponse { code, message, id: Some(id), data: None }.to_json());
        }
        events.freeze()
    }

    /// Returns the error as a body: one message, or a batch.
    pub(in crate::proxy) fn errors_as_json(&self, message: &str) -> Bytes {
        let error = |id| ErrorResponse { code: INTERNAL_ERROR, message, id: Some(id), data: None }.to_json();
        match self {
            Self::None | Self::One(_) | Self::Subscription(_) => self.each().flat_map(error).collect(),
            Self::Many(_) | Self::Part(_) => {
                let errors: Vec<_> = self.each().map(error).collect();
                let errors = [b"[".as_slice(), &errors.join(&b','), b"]"].concat();
                self.refused().map_or_else(|| errors.clone().into(), |part| part.join(&errors))
            }
        }
    }
}

fn ids_of(body: &Bytes, messages: &[Envelope<'_>]) -> impl Iterator<Item = Bytes> {
    let requests = messages.iter().filter(|message| message.kind == MessageKind::Request);
    requests.filter_map(|message| message.id).filter_map(|id| {
        if body.len() <= LARGEST_KEPT {
            return Some(body.slice_ref(id.as_bytes()));
        }
        (id.len() <= LARGEST_KEPT).then(|| Bytes::copy_from_slice(id.as_bytes()))
    })
}

impl StreamSignal {
    /// Returns the reason for the client, in a JSON-RPC error or in a comment of a stream.
    pub(in crate::proxy) const fn words(self) -> &'static str {
        match self {
            Self::KeepAlive => "",
            Self::TokenEnded => "the access token has ended",
            Self::RulesChanged => "the rules of this server have changed",
            Self::TakenOver => "the session goes on with an access token",
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
            Self::RulesChanged => Outcome::Denied,
            Self::TakenOver => Outcome::BadSession,
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
