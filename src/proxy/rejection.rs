//! `Rejection`: why a request was not forwarded, or its answer not passed on: status, label and words of each. `refuse.rs`
//! makes the answer.

use http::StatusCode;

use super::fault::Fault;
use crate::config::UpstreamKind;
use crate::mcp::{EnvelopeError, HeaderMismatch, UnsupportedVersion};
use crate::telemetry::Outcome;

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
impl Rejection {
    pub(super) fn status(&self) -> StatusCode {
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
    pub(super) fn word(&self) -> Result<&'static str, i32> {
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
}
