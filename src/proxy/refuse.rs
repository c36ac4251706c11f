//! The answer to a request that is not forwarded, or whose answer is not passed on.

use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

use super::fault::{Cause, Fault};
use super::field::REQUEST_ID;
use super::rejection::Rejection;
use super::route::{Challenge, Route};
use super::upstream::breaker::REST;
use crate::config::UpstreamKind;
use crate::mcp::{ErrorResponse, UnsupportedVersion};
use crate::web::{Body, Response};

/// How long a client waits after 503, in seconds: long enough for a store to come back, short enough for a person.
const COME_AGAIN: u64 = 5;

/// To what a rejection is the answer.
pub(super) struct RefusalContext<'a> {
    pub(super) route: &'a Route,
    /// Whether the path came with a trailing slash.
    pub(super) slash: bool,
    pub(super) version: Version,
    pub(super) request_id: &'a HeaderValue,
}

impl Rejection {
    /// Makes the answer. `id` is the raw JSON-RPC id of the request, if it was read.
    pub(super) fn respond(&self, to: &RefusalContext<'_>, id: Option<&str>) -> Response {
        let body = match (self.word(), to.route.kind) {
            (Err(code), UpstreamKind::Mcp) => {
                let id = if let Self::Envelope(fault) = self { fault.id.as_deref() } else { id };
                let data = if let Self::UnsupportedVersion(version) = self { Some(version) } else { None };
                let data = data.map(|requested| UnsupportedVersion::of(requested));
                ErrorResponse { code, message: self.description(), id, data }.to_json()
            }
            (word, _) => {
                let word = word.unwrap_or_else(|_| match self.status() {
                    StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
                    status if status.is_client_error() => "invalid_request",
                    _ => "server_error",
                });
                format!(r#"{{"error":"{word}","error_description":"{}"}}"#, self.description()).into_bytes()
            }
        };
        let mut response = Response::new(Body::from(bytes::Bytes::from(body)));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REQUEST_ID, to.request_id.clone());
        self.add_fields(headers, to);
        response
    }

    /// Adds what only some rejections carry.
    fn add_fields(&self, headers: &mut HeaderMap, to: &RefusalContext<'_>) {
        let mut challenge = |which| headers.insert(WWW_AUTHENTICATE, to.route.challenge(which, to.slash));
        let mut extra: Option<(HeaderName, HeaderValue)> = None;
        match self {
            // RFC 6750 3.1: no error code for a request that lacks credentials.
            Self::NoCredentials => drop(challenge(Challenge::Bare)),
            Self::MalformedCredentials => drop(challenge(Challenge::InvalidRequest)),
            Self::InvalidToken | Self::WrongAudience => drop(challenge(Challenge::InvalidToken)),
            Self::InsufficientScope => drop(challenge(Challenge::InsufficientScope)),
            Self::RateLimited(seconds) => extra = Some((RETRY_AFTER, (*seconds).into())),
            Self::TooManyAtOnce | Self::Unprovable | Self::Overloaded | Self::GoingDown => {
                extra = Some((RETRY_AFTER, COME_AGAIN.into()))
            }
            Self::Upstream(Fault { cause: Cause::Resting, .. }) => extra = Some((RETRY_AFTER, REST.as_secs().into())),
            Self::MethodNotAllowed(allowed) => extra = Some((ALLOW, HeaderValue::from_static(allowed))),
            // DS-06, DS-02: what is left of the body is not worth reading; `Connection` does not exist in HTTP/2.
            Self::TooLarge | Self::SlowBody if to.version <= Version::HTTP_11 => {
                extra = Some((CONNECTION, HeaderValue::from_static("close")));
            }
            Self::AmbiguousPath
            | Self::BadOrigin
            | Self::AddressInField(_)
            | Self::UnsupportedMediaType(_)
            | Self::TooLarge
            | Self::SlowBody
            | Self::BadBody(_)
            | Self::Envelope(_)
            | Self::HeaderMismatch(_)
            | Self::UnsupportedVersion(_)
            | Self::UnknownSession
            | Self::Upstream(_)
            | Self::Internal => {}
        }
        if let Some((name, value)) = extra {
            headers.insert(name, value);
        }
    }
}
