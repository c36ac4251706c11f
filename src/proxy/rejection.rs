//! `Rejection`: why a request or its answer was not forwarded, with a table row for each reason. `refuse.rs` makes the
//! answer.

use http::StatusCode;

use super::fault::Fault;
use super::row::{Challenge, Field, Row, Word};
use crate::mcp::{EnvelopeError, ErrorResponse, HeaderMismatch, UnsupportedVersion};
use crate::oauth::ScopeSet;
use crate::telemetry::Outcome;

/// Why a request or its answer was not forwarded. [`Rejection::row`] has everything that is said about each.
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
    /// Not to be used from the client's address.
    WrongAddress,
    /// Whether the token is valid cannot be determined at the moment.
    Unprovable,
    /// Too many requests; seconds until the next is allowed.
    RateLimited(u64),
    /// Too many concurrent requests and streams of one user.
    TooManyAtOnce,
    /// A limit of the upstream is reached.
    LimitReached(Box<ReachedLimit>),
    /// The path does not support the method; the methods that it supports.
    MethodNotAllowed(&'static str),
    /// A header field contains an address at the gateway, which is not rewritten.
    AddressInField(&'static str),
    /// The body does not have the media type that the path accepts.
    UnsupportedMediaType(&'static str),
    /// The body is longer than allowed.
    TooLarge,
    /// The body was sent too slowly.
    SlowBody,
    /// The body broke off, or none is allowed.
    BadBody(&'static str),
    /// The body is not a JSON-RPC message.
    Envelope(EnvelopeError),
    /// The routing headers do not match the message.
    HeaderMismatch(HeaderMismatch),
    /// The message has this protocol version, which the gateway does not support.
    UnsupportedVersion(Box<str>),
    /// The session does not exist, or is not the caller's.
    UnknownSession,
    /// The account may not hold a token for the upstream, or none of the token's scopes.
    NotAdmitted,
    /// The token lacks a scope.
    InsufficientScope,
    /// The token lacks a scope that would open what the request does.
    LackingScopes(Box<LackingScopes>),
    /// The same challenge was given to the grant too often.
    Repeated(Box<RepeatedRefusal>),
    /// No scope of the upstream opens what the message does. A client that got 403 would begin a login that cannot
    /// help.
    UnopenedMessage,
    /// No scope of the upstream opens what the notifications of a batch or an HTTP request do.
    UnopenedRequest,
    /// Rules of the upstream refuse the message, whatever scopes the token has.
    MessageDenied(Box<DeniedRequest>),
    /// Rules of the upstream refuse the notifications of a batch or an HTTP request.
    RequestDenied(Box<DeniedRequest>),
    /// All requests of a batch are refused, not all of them for a missing scope.
    BatchRefused(Vec<RefusedOfBatch>),
    /// No slot is free, and too many requests are waiting.
    Overloaded,
    /// The process is ending before the upstream has answered.
    GoingDown,
    /// The upstream gave no answer that can be forwarded.
    Upstream(Fault),
    /// A fault of the gateway itself.
    Internal,
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        Self::Upstream(fault)
    }
}

/// JSON-RPC code for a faulty message (JSON-RPC 2.0 5.1).
const INVALID_REQUEST: i32 = -32600;
/// A method that does not exist or is not available (JSON-RPC 2.0 5.1).
pub(super) const METHOD_NOT_FOUND: i32 = -32601;
/// The code of a missing scope, which no specification gives; in the range without defined meanings of the 2026-07-28
/// revision.
const FORBIDDEN: i32 = -32003;
/// The code of a limit that is reached, likewise.
const LIMITED: i32 = -32004;
/// The error code of RFC 8628 3.5.
const SLOW_DOWN: Word = Word::OAuth("slow_down");
/// The code that SDKs use for an ended session; in the range without defined meanings of the 2026-07-28 revision.
pub(super) const SESSION_NOT_FOUND: i32 = -32001;
/// The description in the body and in the challenge.
pub(super) const MALFORMED_CREDENTIALS: &str = "send one bearer token in one Authorization field";
pub(super) const INVALID_TOKEN: &str = "the token is unknown, expired or revoked, or not for this resource";
pub(super) const INSUFFICIENT_SCOPE: &str = "the token lacks a scope that this resource needs";
const UNOPENED: &str = "no scope of this server allows this";

const REACHED: &str = "a limit of this server is reached";

/// What a token lacks for a request, by the map of its upstream.
#[derive(Debug)]
pub(super) struct LackingScopes {
    /// The scopes to ask for: those that the token has, and the missing ones.
    pub(super) wanted: ScopeSet,
    /// What it needs, in words.
    pub(super) needs: String,
    /// What the caller is told: printable ASCII, without quotes and backslashes.
    pub(super) text: String,
    /// Whether the request is a call of a tool whose client reads the challenge in the result.
    pub(super) is_result: bool,
}

/// A refusal without the challenge that was given before.
#[derive(Debug)]
pub(super) struct RepeatedRefusal {
    /// What the caller is told.
    pub(super) text: String,
    /// Whether the request is one JSON-RPC message: some clients begin a login for any 403.
    pub(super) is_message: bool,
}

/// How rules refuse a request.
#[derive(Debug)]
pub(super) struct DeniedRequest {
    /// The JSON-RPC code of the answer.
    pub(super) code: i32,
    /// What the caller is told.
    pub(super) text: String,
    /// The rule and its reason, for the access log.
    pub(super) rule: String,
    /// The configuration key that decides, if one does.
    pub(super) key: Option<&'static str>,
}

impl DeniedRequest {
    /// Adds to a row what is said of the rule.
    fn told(&self, row: Row) -> Row {
        Row { key: self.key, ..row.word(Word::Rpc(self.code)) }
    }
}

/// A refused request of a batch.
#[derive(Debug)]
pub(super) struct RefusedOfBatch {
    /// Its id, as raw JSON.
    pub(super) id: Box<str>,
    pub(super) why: Rejection,
}

impl RefusedOfBatch {
    /// Returns the JSON-RPC error that answers it.
    pub(super) fn to_json(&self) -> Vec<u8> {
        self.why.to_json_rpc(Some(&self.id))
    }
}

/// A limit of the upstream that a request has reached.
#[derive(Debug)]
pub(super) struct ReachedLimit {
    /// Its name, for the access log.
    pub(super) name: String,
    /// The configuration key that was reached.
    pub(super) key: &'static str,
    /// What the caller is told.
    pub(super) text: String,
    /// Seconds until another request may pass.
    pub(super) retry_after: u64,
}

impl LackingScopes {
    /// Adds to a row how the refusal is answered.
    fn told(&self, row: Row) -> Row {
        if self.is_result { row.status(StatusCode::OK) } else { row }
    }
}

impl RepeatedRefusal {
    /// Adds to a row how the refusal is answered.
    fn told(&self, row: Row) -> Row {
        let row = row.word(Word::Rpc(FORBIDDEN));
        if self.is_message { row.status(StatusCode::OK) } else { row }
    }
}

impl ReachedLimit {
    /// Adds to a row what is said of the limit.
    fn told(&self, row: Row) -> Row {
        row.word(Word::Rpc(LIMITED)).field(Field::RetryAfter(self.retry_after)).key(self.key)
    }
}

impl Rejection {
    /// Returns what the caller is told.
    pub(super) fn text(&self) -> &str {
        if let Self::LackingScopes(lacking) = self {
            &lacking.text
        } else if let Self::MessageDenied(denied) | Self::RequestDenied(denied) = self {
            &denied.text
        } else if let Self::LimitReached(limit) = self {
            &limit.text
        } else if let Self::Repeated(repeated) = self {
            &repeated.text
        } else {
            self.row().text
        }
    }

    /// Returns the JSON-RPC error for a request with this id, which is raw JSON.
    pub(super) fn to_json_rpc(&self, id: Option<&str>) -> Vec<u8> {
        let Word::Rpc(code) = self.row().word else { return Vec::new() };
        let id = if let Self::Envelope(fault) = self { fault.id.as_deref() } else { id };
        let data = if let Self::UnsupportedVersion(version) = self { Some(version) } else { None };
        let data = data.map(|requested| UnsupportedVersion::of(requested));
        ErrorResponse { code, message: self.text(), id, data }.to_json()
    }

    /// Returns the reason's row in the table. A new reason needs a row here and one in `docs/errors.md`.
    #[rustfmt::skip] // Two lines a row, so that the table can be read as one.
    pub(super) fn row(&self) -> Row {
        match self {
            Self::AmbiguousPath => Row::caller(StatusCode::BAD_REQUEST, Outcome::BadRequest, "ambiguous_path",
                "the path has an encoded or repeated separator"),
            Self::BadOrigin => Row::caller(StatusCode::FORBIDDEN, Outcome::BadOrigin, "bad_origin",
                "pages of this origin are not allowed").word(Word::OAuth("access_denied")).key("cors.allowed_origins"),
            // RFC 6750 3.1: no error code for a request that lacks credentials.
            Self::NoCredentials => Row::caller(StatusCode::UNAUTHORIZED, Outcome::NoCredentials, "no_credentials",
                "a bearer token is required").field(Field::Challenge(Challenge::Bare)),
            Self::MalformedCredentials => Row::caller(StatusCode::BAD_REQUEST, Outcome::MalformedCredentials, "malformed_credentials",
                MALFORMED_CREDENTIALS).field(Field::Challenge(Challenge::InvalidRequest)),
            Self::InvalidToken => Row::token(Outcome::InvalidToken, "invalid_token", INVALID_TOKEN),
            Self::WrongAudience => Row::token(Outcome::WrongAudience, "wrong_audience", INVALID_TOKEN),
            Self::WrongAddress => Row::token(Outcome::WrongAddress, "wrong_address", INVALID_TOKEN),
            Self::Unprovable => Row::unavailable(Outcome::Unprovable, "unprovable", "tokens cannot be checked at present"),
            Self::RateLimited(seconds) => Row::caller(StatusCode::TOO_MANY_REQUESTS, Outcome::RateLimited, "rate_limited",
                "too many requests").word(SLOW_DOWN).field(Field::RetryAfter(*seconds)).key("rates.mcp_per_second"),
            Self::TooManyAtOnce => Row::caller(StatusCode::TOO_MANY_REQUESTS, Outcome::RateLimited, "too_many_at_once",
                "too many requests and streams at once").word(SLOW_DOWN).retry_soon().key("limits.streams_per_principal, upstream.max_connections"),
            Self::LimitReached(limit) => limit.told(Row::caller(StatusCode::TOO_MANY_REQUESTS, Outcome::RateLimited, "limit_reached", REACHED)),
            Self::MethodNotAllowed(allowed) => Row { detail: Some(allowed), field: Field::Allow(allowed),
                ..Row::caller(StatusCode::METHOD_NOT_ALLOWED, Outcome::MethodNotAllowed, "method_not_allowed",
                "the method is not allowed here") },
            Self::AddressInField(what) => Row::caller(StatusCode::BAD_REQUEST, Outcome::BadRequest, "address_in_field", what).detailed(),
            Self::UnsupportedMediaType(what) => Row::caller(StatusCode::UNSUPPORTED_MEDIA_TYPE, Outcome::UnsupportedMediaType, "unsupported_media_type", what).detailed(),
            // DS-06, DS-02: the rest of the body is not worth reading; `Connection` does not exist in HTTP/2.
            Self::TooLarge => Row::caller(StatusCode::PAYLOAD_TOO_LARGE, Outcome::TooLarge, "body_too_large",
                "the body is larger than allowed").field(Field::Close).key("limits.mcp_body"),
            Self::SlowBody => Row::caller(StatusCode::REQUEST_TIMEOUT, Outcome::BadRequest, "body_too_slow",
                "the body arrived too slowly").field(Field::Close).key("timeouts.mcp_body"),
            Self::BadBody(what) => Row::caller(StatusCode::BAD_REQUEST, Outcome::BadRequest, "bad_body",
                what).word(Word::Rpc(INVALID_REQUEST)).detailed(),
            Self::Envelope(fault) => Row::caller(StatusCode::BAD_REQUEST, Outcome::BadRequest, "bad_message",
                fault.message).word(Word::Rpc(fault.code)).detailed(),
            Self::HeaderMismatch(fault) => Row::caller(StatusCode::BAD_REQUEST, Outcome::HeaderMismatch, "header_mismatch",
                fault.message).word(Word::Rpc(HeaderMismatch::CODE)).detailed(),
            Self::UnsupportedVersion(_) => Row::caller(StatusCode::BAD_REQUEST, Outcome::BadRequest, "unsupported_version",
                UnsupportedVersion::MESSAGE).word(Word::Rpc(UnsupportedVersion::CODE)),
            Self::UnknownSession => Row::caller(StatusCode::NOT_FOUND, Outcome::BadSession, "unknown_session",
                "Session not found").word(Word::Rpc(SESSION_NOT_FOUND)),
            // Without a challenge: no new login of this account would help.
            Self::NotAdmitted => Row::caller(StatusCode::FORBIDDEN, Outcome::NotAdmitted, "not_admitted",
                "this account has no access to this server: ask the administrator of the gateway for it")
                .word(Word::OAuth("access_denied")).key("upstream.allow_users, upstream.allow_groups"),
            Self::InsufficientScope => Row::caller(StatusCode::FORBIDDEN, Outcome::InsufficientScope, "insufficient_scope",
                INSUFFICIENT_SCOPE).word(Word::OAuth("insufficient_scope")).key("upstream.required_scopes")
                .field(Field::Challenge(Challenge::InsufficientScope)),
            Self::LackingScopes(by) => by.told(Row::caller(StatusCode::FORBIDDEN, Outcome::InsufficientScope, "lacking_scopes",
                INSUFFICIENT_SCOPE).word(Word::Rpc(FORBIDDEN)).key("upstream.scope.allow")),
            Self::Repeated(by) => by.told(Row::caller(StatusCode::FORBIDDEN, Outcome::InsufficientScope, "repeated_refusal", INSUFFICIENT_SCOPE)),
            Self::UnopenedMessage => Row::caller(StatusCode::OK, Outcome::InsufficientScope, "message_not_allowed",
                UNOPENED).word(Word::Rpc(METHOD_NOT_FOUND)).key("upstream.scope.allow"),
            Self::UnopenedRequest => Row::caller(StatusCode::FORBIDDEN, Outcome::InsufficientScope, "request_not_allowed",
                UNOPENED).word(Word::Rpc(METHOD_NOT_FOUND)).key("upstream.scope.allow"),
            Self::MessageDenied(by) => by.told(Row::caller(StatusCode::OK, Outcome::Denied, "message_denied", UNOPENED)),
            Self::RequestDenied(by) => by.told(Row::caller(StatusCode::FORBIDDEN, Outcome::Denied, "request_denied", UNOPENED)),
            Self::BatchRefused(requests) => requests.first().map_or_else(|| Self::Internal.row(), |first| first.why.row()).status(StatusCode::OK),
            Self::Overloaded => Row::unavailable(Outcome::Overloaded, "overloaded", "too many requests are in progress").key("upstream.max_connections"),
            Self::GoingDown => Row::unavailable(Outcome::GoingDown, "going_down", "the gateway is shutting down"),
            Self::Upstream(fault) => Row { key: fault.key, ..fault.cause.row() },
            Self::Internal => Row { field: Field::None, ..Row::unavailable(Outcome::Internal, "internal",
                "a fault of the gateway").status(StatusCode::INTERNAL_SERVER_ERROR) },
        }
    }
}
