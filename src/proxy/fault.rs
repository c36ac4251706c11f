//! `Fault`: what an upstream did wrong. The log gets all details, the caller a short text that reveals nothing behind
//! the gateway (UP-01).

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, ErrorKind};

use http::StatusCode;
use http::uri::Authority;

use super::row::{Field, Row};
use super::upstream::breaker::REST;
use crate::telemetry::Outcome;
use crate::web::RequestId;

/// Why an upstream gave no answer that can be passed on. `docs/errors.md` says what to do about each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Nothing is listening at its address.
    ConnectionRefused,
    /// Its host name cannot be resolved.
    UnknownHost,
    /// Its address cannot be reached.
    Unreachable,
    /// The TLS handshake failed: not TLS, or a certificate that is not trusted.
    Tls,
    /// Several connection attempts have just failed, so none was made.
    Resting,
    /// The connection ended before the answer did.
    ClosedEarly,
    /// No connection or no answer within the time limit.
    TooSlow,
    /// The answer's head, or one event, is larger than allowed.
    TooLarge,
    /// The answer is not HTTP.
    NotHttp,
    /// The answer is HTTP, but neither JSON nor a stream of events.
    NotMcp,
    /// A redirect that is not followed.
    Redirect,
    /// A stream of events with a content coding.
    CompressedStream,
    /// It requires a credential, or another one.
    CredentialRefused,
    /// A session id that cannot be forwarded.
    SessionId,
    /// An answer that may be a list for the caller, and cannot be read.
    Unreadable,
}

impl Cause {
    /// Returns the cause's row in the table. A new cause needs a row here and one in `docs/errors.md`.
    #[rustfmt::skip] // Two lines a row, so that the table can be read as one.
    pub(super) const fn row(self) -> Row {
        match self {
            Self::ConnectionRefused => Row::upstream(Outcome::UpstreamUnreachable, "connection_refused",
                "the upstream refuses connections"),
            Self::UnknownHost => Row::upstream(Outcome::UpstreamUnreachable, "unknown_host",
                "the upstream's host name cannot be resolved"),
            Self::Unreachable => Row::upstream(Outcome::UpstreamUnreachable, "unreachable",
                "the upstream cannot be reached"),
            Self::Tls => Row::upstream(Outcome::UpstreamUnreachable, "tls",
                "the TLS handshake with the upstream failed"),
            Self::Resting => Row::upstream(Outcome::UpstreamUnreachable, "resting",
                "the upstream cannot be reached; the gateway will try again shortly")
                .status(StatusCode::SERVICE_UNAVAILABLE).field(Field::RetryAfter(REST.as_secs())),
            Self::ClosedEarly => Row::upstream(Outcome::UpstreamProtocol, "closed_early",
                "the upstream closed the connection before its answer was complete"),
            Self::TooSlow => Row::upstream(Outcome::UpstreamSlow, "too_slow",
                "the upstream does not answer in time").status(StatusCode::GATEWAY_TIMEOUT),
            Self::TooLarge => Row::upstream(Outcome::UpstreamProtocol, "too_large",
                "the upstream's answer is larger than allowed"),
            Self::NotHttp => Row::upstream(Outcome::UpstreamProtocol, "not_http",
                "the upstream's answer is not HTTP"),
            Self::NotMcp => Row::upstream(Outcome::UpstreamProtocol, "not_mcp",
                "the upstream's answer is not MCP"),
            Self::Redirect => Row::upstream(Outcome::UpstreamRefused, "redirect",
                "the upstream redirects to another address"),
            Self::CompressedStream => Row::upstream(Outcome::UpstreamProtocol, "compressed_stream",
                "the upstream compresses its event stream"),
            Self::CredentialRefused => Row::upstream(Outcome::UpstreamRefused, "credential_refused",
                "the upstream refuses the gateway's credential"),
            Self::SessionId => Row::upstream(Outcome::UpstreamProtocol, "session_id",
                "the upstream's session id cannot be passed on"),
            Self::Unreadable => Row::upstream(Outcome::UpstreamProtocol, "unreadable",
                "the upstream's answer cannot be read"),
        }
    }
}

/// An error of the HTTP library in an exchange with an upstream.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// On an HTTP/1.1 connection, or during a handshake.
    #[error(transparent)]
    Http1(#[from] hyper::Error),
    /// On a shared HTTP/2 connection.
    #[error(transparent)]
    Http2(#[from] h2::Error),
}

/// A cause with its details, which are for the log only and may contain addresses.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) cause: Cause,
    pub(super) detail: String,
    /// The configuration key of the limit that was exceeded.
    pub(super) key: Option<&'static str>,
}

impl Fault {
    pub(super) fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self { cause, detail: detail.into(), key: None }
    }

    /// Adds the configuration key of the limit that was exceeded.
    pub(super) fn by(self, key: &'static str) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Makes the fault of a failed TCP connect.
    pub(super) fn of_connect(authority: &Authority, error: &io::Error) -> Self {
        let cause =
            if error.kind() == ErrorKind::ConnectionRefused { Cause::ConnectionRefused } else { Cause::Unreachable };
        Self::new(cause, format!("connecting to {authority}: {}", whole(error)))
    }

    /// Makes the fault of an exchange that failed for a reason other than the client.
    pub(super) fn of_exchange(error: &ExchangeError) -> Self {
        let (is_too_large, is_other) = match error {
            ExchangeError::Http1(error) => (error.is_parse_too_large(), error.is_parse()),
            ExchangeError::Http2(_) => (false, false),
        };
        let cause = if is_too_large {
            Cause::TooLarge
        } else if is_other || error.kind() == Some(ErrorKind::InvalidData) {
            Cause::NotHttp
        } else {
            Cause::ClosedEarly
        };
        Self::new(cause, whole(error))
    }

    /// Logs the fault.
    pub(super) fn log(&self, upstream: &str, request_id: RequestId) {
        let (row, detail) = (self.cause.row(), &*self.detail);
        let cause = row.reason;
        let (key, request_id) = (self.key, request_id.digits());
        let request_id = request_id.as_str();
        if self.cause == Cause::Resting {
            // The preceding failures were already logged.
            tracing::debug!(upstream, cause, detail, key, request_id, "{}", row.text);
        } else {
            tracing::warn!(upstream, cause, detail, key, request_id, "{}", row.text);
        }
    }
}

impl ExchangeError {
    /// Returns the kind of the system's error behind it.
    fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Http1(error) => error.source().and_then(|e| e.downcast_ref::<io::Error>()).map(io::Error::kind),
            Self::Http2(error) => error.get_io().map(io::Error::kind),
        }
    }
}

/// Formats an error with its chain of causes.
pub(super) fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        // Some errors already contain the text of their source.
        if !text.ends_with(&said) {
            // Writing to a string cannot fail.
            let _infallible = write!(text, ": {said}");
        }
        next = source.source();
    }
    text
}
