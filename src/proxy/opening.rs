//! `Opening`: the request that opened an answer, as far as it must be kept to judge it again by other rules.

use std::borrow::Cow;

use bytes::Bytes;
use http::Method;
use http::request::Parts;

use super::route_access::RouteAccess;
use super::upstream::resend::LARGEST_KEPT;
use super::verdict::Verdict;
use crate::mcp::{AskedCompletion, ChangedLists, Completes, Envelope, MessageKind, ProtocolVersion};

/// The method whose answers are never lists.
const CALL: &str = "tools/call";

/// What is kept of a request.
#[derive(Debug)]
pub(super) enum Opening {
    /// The method and path of one without a message that was read.
    Http(Method, Box<str>),
    /// The body with its messages. The ids of their answers are slices of it, so keeping it costs nothing.
    Body(Bytes),
    /// The messages of a large body, and the lists that it subscribes to. Their arguments are gone, and count as
    /// unclear.
    Large(Box<[LargeMessage]>, ChangedLists),
}

/// A message of a large body.
#[derive(Debug)]
pub(super) struct LargeMessage {
    kind: MessageKind,
    method: Option<Box<str>>,
    name: Option<Box<str>>,
    completes: Option<Completes>,
}

impl Opening {
    /// Keeps the messages of a body.
    pub(super) fn of_messages(body: &Bytes, messages: &[Envelope<'_>]) -> Self {
        if body.len() <= LARGEST_KEPT {
            return Self::Body(body.clone());
        }
        let kept = |message: &Envelope<'_>| LargeMessage {
            kind: message.kind,
            method: message.method.as_deref().map(Into::into),
            name: message.name.as_deref().map(Into::into),
            completes: message.completes,
        };
        let is_subscription = matches!(messages, [message] if message.is_subscription());
        let lists = if is_subscription { ChangedLists::asked_for(body) } else { ChangedLists::default() };
        Self::Large(messages.iter().map(kept).collect(), lists)
    }

    /// Returns the lists whose changes it asks for, if it is a subscription.
    pub(super) fn asks_for(&self) -> ChangedLists {
        match self {
            Self::Http(..) => ChangedLists::default(),
            Self::Body(body) => ChangedLists::asked_for(body),
            Self::Large(_, lists) => *lists,
        }
    }

    /// Returns the completions that it asks for; none of a large body.
    pub(super) fn completions(&self) -> Vec<AskedCompletion> {
        if let Self::Body(body) = self { AskedCompletion::read(body) } else { Vec::new() }
    }

    /// Keeps a request without a message.
    pub(super) fn of_head(head: &Parts) -> Self {
        Self::Http(head.method.clone(), head.uri.path().into())
    }

    /// Returns whether a caller may make the request.
    pub(super) fn is_permitted(&self, access: &RouteAccess) -> bool {
        // The version changes the words of a refusal only.
        let judge = |messages: &[Envelope<'_>], body: &[u8]| {
            Verdict::of_messages(access, (messages, body), ProtocolVersion::Absent)
        };
        let verdict = match self {
            Self::Http(method, path) => Verdict::of_request(access, method.as_str(), path),
            Self::Body(body) => match Envelope::read(body, true) {
                Ok(messages) => judge(&messages, body),
                Err(_) => return false,
            },
            Self::Large(messages, _) => judge(&messages.iter().map(LargeMessage::envelope).collect::<Vec<_>>(), b""),
        };
        access.is_admitted() && access.has_scopes() && matches!(verdict, Verdict::Passes)
    }

    /// Returns whether its answer could be a list.
    pub(super) fn may_list(&self) -> bool {
        let is_call = |method: Option<&str>| method == Some(CALL);
        match self {
            Self::Http(..) => true,
            Self::Body(body) => {
                let messages = Envelope::read(body, true).unwrap_or_default();
                messages.is_empty() || !messages.iter().all(|message| is_call(message.method.as_deref()))
            }
            Self::Large(messages, _) => !messages.iter().all(|message| is_call(message.method.as_deref())),
        }
    }
}

impl LargeMessage {
    fn envelope(&self) -> Envelope<'_> {
        Envelope {
            kind: self.kind,
            id: None,
            method: self.method.as_deref().map(Cow::Borrowed),
            name: self.name.as_deref().map(Cow::Borrowed),
            completes: self.completes,
            version: None,
        }
    }
}
