//! `Rejection`: why a request was not forwarded, or its answer not passed on. One table: status, challenge, body, label.

use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

use super::breaker::REST;
use super::fault::{Cause, Fault};
use super::headers::REQUEST_ID;
use super::route::{Challenge, Route};
use crate::config::UpstreamKind;
use crate::mcp::{EnvelopeError, HeaderMismatch, Refusal, UnsupportedVersion};
use crate::telemetry::Outcome;
use crate::web::{Body, Response};

/// Why, and thereby whose fault: the caller's down to `InsufficientScope`, ours at `Unprovable`, `Overloaded` and
/// `Internal`, the upstream's at `Upstream`.
#[derive(Debug)]
pub(super) enum Rejection {
    /// The path could mean another one to the upstream.
    AmbiguousPath,
    /// A web page of an origin that is not allowed.
    BadOrigin,
    /// No bearer token.
    NoCredentials,
    /// Not one well-formed bearer token.
    MalformedCredentials,
    /// Unknown, revoked or expired.
    InvalidToken,
    /// Good for another resource.
    WrongAudience,
    /// Whether the token is good cannot be said now.
    Unprovable,
    /// Too many requests; seconds until the next is allowed.
    RateLimited(u64),
    /// Too many requests and streams of one user of one client.
    TooManyAtOnce,
    /// The path does not know the method; those it knows.
    MethodNotAllowed(&'static str),
    /// A header field names a place by its address at the gateway, and is not rewritten.
    AddressInField(&'static str),
    /// The body is not what the path takes.
    UnsupportedMediaType(&'static str),
    /// The body is longer than allowed.
    TooLarge,
    /// The body came too slowly.
    SlowBody,
    /// The body broke off, or came where none belongs.
    BadBody(&'static str),
    /// The body is no message.
    Envelope(EnvelopeError),
    /// The routing headers are not those of the message.
    HeaderMismatch(HeaderMismatch),
    /// The message is of this protocol version, which the gateway does not know.
    UnsupportedVersion(Box<str>),
    /// The session does not exist, or is not the caller's.
    UnknownSession,
    /// The token lacks a scope.
    InsufficientScope,
    /// No connection is free and too many wait.
    Overloaded,
    /// The process ends before the upstream has answered.
    GoingDown,
    /// The upstream gave no answer that can be passed on.
    Upstream(Fault),
    /// A fault of ours.
    Internal,
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        Self::Upstream(fault)
    }
}

/// JSON-RPC 2.0 5.1: not the message's fault.
pub(super) const INTERNAL_ERROR: i32 = -32603;
/// JSON-RPC 2.0 5.1: the message's fault.
const INVALID_REQUEST: i32 = -32600;
/// What SDKs say of a session that is gone; of the range that the revision of 2026-07-28 calls meaningless.
pub(super) const SESSION_NOT_FOUND: i32 = -32001;
/// Words that stand in the body and in the challenge.
pub(super) const MALFORMED_CREDENTIALS: &str = "send one bearer token in one Authorization field";
pub(super) const INVALID_TOKEN: &str = "the token is unknown, expired or revoked, or not for this resource";
pub(super) const INSUFFICIENT_SCOPE: &str = "the token lacks a scope that this resource needs";
/// How long a client waits after 503, in seconds: long enough for a store to come back, short enough for a person.
const COME_AGAIN: u64 = 5;

impl Rejection {
    fn status(&self) -> StatusCode {
        match self {
            Self::AmbiguousPath
            | Self::MalformedCredentials
            | Self::AddressInField(_)
            | Self::BadBody(_)
            | Self::Envelope(_)
            | Self::HeaderMismatch(_)
            | Self::UnsupportedVersion(_) => StatusCode::BAD_REQUEST,
            Self::NoCredentials | Self::InvalidToken | Self::WrongAudience => StatusCode::UNAUTHORIZED,
            Self::BadOrigin | Self::InsufficientScope => StatusCode::FORBIDDEN,
            Self::UnknownSession => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::RateLimited(_) | Self::TooManyAtOnce => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unprovable | Self::Overloaded | Self::GoingDown => StatusCode::SERVICE_UNAVAILABLE,
            Self::Upstream(fault) => fault.cause.status(),
        }
    }

    /// Returns the label.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::AmbiguousPath
            | Self::AddressInField(_)
            | Self::SlowBody
            | Self::BadBody(_)
            | Self::Envelope(_)
            | Self::UnsupportedVersion(_) => Outcome::BadRequest,
            Self::BadOrigin => Outcome::BadOrigin,
            Self::NoCredentials => Outcome::NoCredentials,
            Self::MalformedCredentials => Outcome::MalformedCredentials,
            Self::InvalidToken => Outcome::InvalidToken,
            Self::WrongAudience => Outcome::WrongAudience,
            Self::Unprovable => Outcome::Unprovable,
            Self::RateLimited(_) | Self::TooManyAtOnce => Outcome::RateLimited,
            Self::MethodNotAllowed(_) => Outcome::MethodNotAllowed,
            Self::UnsupportedMediaType(_) => Outcome::UnsupportedMediaType,
            Self::TooLarge => Outcome::TooLarge,
            Self::HeaderMismatch(_) => Outcome::HeaderMismatch,
            Self::UnknownSession => Outcome::BadSession,
            Self::InsufficientScope => Outcome::InsufficientScope,
            Self::Overloaded => Outcome::Overloaded,
            Self::GoingDown => Outcome::GoingDown,
            Self::Upstream(fault) => fault.cause.outcome(),
            Self::Internal => Outcome::Internal,
        }
    }

    /// The word for it in the access line.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::AmbiguousPath => "ambiguous_path",
            Self::BadOrigin => "bad_origin",
            Self::NoCredentials => "no_credentials",
            Self::MalformedCredentials => "malformed_credentials",
            Self::InvalidToken => "invalid_token",
            Self::WrongAudience => "wrong_audience",
            Self::Unprovable => "unprovable",
            Self::RateLimited(_) => "rate_limited",
            Self::TooManyAtOnce => "too_many_at_once",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::AddressInField(_) => "address_in_field",
            Self::UnsupportedMediaType(_) => "unsupported_media_type",
            Self::TooLarge => "body_too_large",
            Self::SlowBody => "body_too_slow",
            Self::BadBody(_) => "bad_body",
            Self::Envelope(_) => "bad_message",
            Self::HeaderMismatch(_) => "header_mismatch",
            Self::UnsupportedVersion(_) => "unsupported_version",
            Self::UnknownSession => "unknown_session",
            Self::InsufficientScope => "insufficient_scope",
            Self::Overloaded => "overloaded",
            Self::GoingDown => "going_down",
            Self::Upstream(fault) => fault.cause.label(),
            Self::Internal => "internal",
        }
    }

    /// What exactly, for the access line, where one reason has many forms.
    pub(super) fn detail(&self) -> Option<&'static str> {
        match self {
            Self::AddressInField(_)
            | Self::UnsupportedMediaType(_)
            | Self::BadBody(_)
            | Self::Envelope(_)
            | Self::HeaderMismatch(_) => Some(self.description()),
            Self::MethodNotAllowed(allowed) => Some(allowed),
            Self::AmbiguousPath
            | Self::BadOrigin
            | Self::NoCredentials
            | Self::MalformedCredentials
            | Self::InvalidToken
            | Self::WrongAudience
            | Self::Unprovable
            | Self::RateLimited(_)
            | Self::TooManyAtOnce
            | Self::TooLarge
            | Self::SlowBody
            | Self::UnsupportedVersion(_)
            | Self::UnknownSession
            | Self::InsufficientScope
            | Self::Overloaded
            | Self::GoingDown
            | Self::Upstream(_)
            | Self::Internal => None,
        }
    }

    /// The key of the configuration that it comes from.
    pub(super) const fn key(&self) -> Option<&'static str> {
        match self {
            Self::BadOrigin => Some("cors.allowed_origins"),
            Self::InsufficientScope => Some("upstream.required_scopes"),
            Self::RateLimited(_) => Some("rates.mcp_per_second"),
            Self::TooManyAtOnce => Some("limits.streams_per_principal, upstream.max_connections"),
            Self::TooLarge => Some("limits.mcp_body"),
            Self::SlowBody => Some("timeouts.mcp_body"),
            Self::Overloaded => Some("upstream.max_connections"),
            Self::Upstream(fault) => fault.key,
            Self::AmbiguousPath
            | Self::NoCredentials
            | Self::MalformedCredentials
            | Self::InvalidToken
            | Self::WrongAudience
            | Self::Unprovable
            | Self::MethodNotAllowed(_)
            | Self::AddressInField(_)
            | Self::UnsupportedMediaType(_)
            | Self::BadBody(_)
            | Self::Envelope(_)
            | Self::HeaderMismatch(_)
            | Self::UnsupportedVersion(_)
            | Self::UnknownSession
            | Self::GoingDown
            | Self::Internal => None,
        }
    }

    /// What the caller is told, in words that name neither him nor anything behind the gateway.
    pub(super) fn description(&self) -> &'static str {
        match self {
            Self::AmbiguousPath => "the path has an encoded or repeated separator",
            Self::BadOrigin => "pages of this origin may not call",
            Self::NoCredentials => "a bearer token is needed",
            Self::MalformedCredentials => MALFORMED_CREDENTIALS,
            // RFC 6750 3.1: the same bytes for both, so that a stolen token does not tell where it is good.
            Self::InvalidToken | Self::WrongAudience => INVALID_TOKEN,
            Self::Unprovable => "tokens cannot be checked at present",
            Self::RateLimited(_) => "too many requests",
            Self::TooManyAtOnce => "too many requests and streams at once",
            Self::MethodNotAllowed(_) => "the method is not allowed here",
            Self::AddressInField(what) | Self::UnsupportedMediaType(what) | Self::BadBody(what) => what,
            Self::TooLarge => "the body is larger than allowed",
            Self::SlowBody => "the body came too slowly",
            Self::Envelope(fault) => fault.message,
            Self::HeaderMismatch(fault) => fault.message,
            Self::UnsupportedVersion(_) => UnsupportedVersion::MESSAGE,
            Self::UnknownSession => "Session not found",
            Self::InsufficientScope => INSUFFICIENT_SCOPE,
            Self::Overloaded => "too many requests are under way",
            Self::GoingDown => "the gateway is going down",
            Self::Upstream(fault) => fault.cause.description(),
            Self::Internal => "a fault of the gateway",
        }
    }

    /// Returns OAuth's word, or, where the fault is not in the authorization, a JSON-RPC code. Beside 401, 403 and 429 it is
    /// none of the range that MCP has given meanings of its own: clients would take it for a modern server's.
    fn word(&self) -> Result<&'static str, i32> {
        match self {
            Self::AmbiguousPath
            | Self::NoCredentials
            | Self::MalformedCredentials
            | Self::MethodNotAllowed(_)
            | Self::AddressInField(_)
            | Self::UnsupportedMediaType(_)
            | Self::TooLarge
            | Self::SlowBody => Ok("invalid_request"),
            Self::BadOrigin => Ok("access_denied"),
            Self::InvalidToken | Self::WrongAudience => Ok("invalid_token"),
            Self::InsufficientScope => Ok("insufficient_scope"),
            Self::RateLimited(_) | Self::TooManyAtOnce => Ok("slow_down"),
            Self::BadBody(_) => Err(INVALID_REQUEST),
            Self::Envelope(fault) => Err(fault.code),
            Self::HeaderMismatch(_) => Err(HeaderMismatch::CODE),
            Self::UnsupportedVersion(_) => Err(UnsupportedVersion::CODE),
            Self::UnknownSession => Err(SESSION_NOT_FOUND),
            Self::Unprovable | Self::Overloaded | Self::GoingDown | Self::Upstream(_) | Self::Internal => {
                Err(INTERNAL_ERROR)
            }
        }
    }

    /// Returns the code of the JSON-RPC error that it is answered with.
    pub(super) fn rpc_code(&self, kind: UpstreamKind) -> Option<i32> {
        self.word().err().filter(|_| kind == UpstreamKind::Mcp)
    }

    /// Makes the answer. `id` is the raw JSON-RPC id of the request, if it was read.
    pub(super) fn respond(&self, to: &Refused<'_>, id: Option<&str>) -> Response {
        let body = match (self.word(), to.route.kind) {
            (Err(code), UpstreamKind::Mcp) => {
                let id = if let Self::Envelope(fault) = self { fault.id.as_deref() } else { id };
                let data = if let Self::UnsupportedVersion(version) = self { Some(version) } else { None };
                let data = data.map(|requested| UnsupportedVersion::of(requested));
                Refusal { code, message: self.description(), id, data }.to_json()
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
    fn add_fields(&self, headers: &mut HeaderMap, to: &Refused<'_>) {
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

/// To what a rejection is the answer.
pub(super) struct Refused<'a> {
    pub(super) route: &'a Route,
    /// Whether the path came with a trailing slash.
    pub(super) slash: bool,
    pub(super) version: Version,
    pub(super) request_id: &'a HeaderValue,
}
