//! `Fault`: what an upstream did wrong, by its cause. The log gets all that is known, the caller a short text that
//! names nothing behind the gateway (UP-01).

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, ErrorKind};

use http::uri::Authority;
use http::{HeaderValue, StatusCode};

use super::row::{Field, Row};
use super::upstream::breaker::REST;
use crate::telemetry::Outcome;

/// Why an upstream gave no answer that can be passed on. `docs/errors.md` says what to do about each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Nothing listens at its address.
    ConnectionRefused,
    /// Its host name cannot be resolved.
    UnknownHost,
    /// Its address cannot be reached.
    Unreachable,
    /// The TLS handshake failed: not TLS, or a certificate that is not trusted.
    Tls,
    /// Connections have just failed in a row, so that none was tried.
    Resting,
    /// The connection ended before the answer did.
    ClosedEarly,
    /// No connection, or no answer, in time.
    TooSlow,
    /// The answer's head, or one event, is larger than allowed.
    TooLarge,
    /// What came is not HTTP.
    NotHttp,
    /// The answer is HTTP, and neither JSON nor a stream of events.
    NotMcp,
    /// A redirect that is not followed.
    Redirect,
    /// A stream of events with a content coding.
    CompressedStream,
    /// It wants a credential, or another one.
    CredentialRefused,
    /// A session id that cannot be passed on.
    SessionId,
}

impl Cause {
    /// Returns the row of the table: a new cause is a row here and one in `docs/errors.md`.
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
                "no TLS connection to the upstream can be made"),
            Self::Resting => Row::upstream(Outcome::UpstreamUnreachable, "resting",
                "the upstream cannot be reached; the next attempt follows shortly")
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
                "the upstream compresses its stream of events"),
            Self::CredentialRefused => Row::upstream(Outcome::UpstreamRefused, "credential_refused",
                "the upstream refuses the gateway's credential"),
            Self::SessionId => Row::upstream(Outcome::UpstreamProtocol, "session_id",
                "the upstream's session id cannot be passed on"),
        }
    }
}

/// An error of the HTTP library in an exchange with an upstream.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// On a connection that serves one request at a time, or one that is being made.
    #[error(transparent)]
    Http1(#[from] hyper::Error),
    /// On a connection that several requests share.
    #[error(transparent)]
    Http2(#[from] h2::Error),
}

/// A cause, and what is known about it, for the log only: it may name addresses.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) cause: Cause,
    pub(super) detail: String,
    /// The key of the configuration whose limit it is.
    pub(super) key: Option<&'static str>,
}

impl Fault {
    pub(super) fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self { cause, detail: detail.into(), key: None }
    }

    /// Names the key of the configuration whose limit it is.
    pub(super) fn by(self, key: &'static str) -> Self {
        Self { key: Some(key), ..self }
    }

    /// An error of a TCP connection that is being made.
    pub(super) fn of_connect(authority: &Authority, error: &io::Error) -> Self {
        let cause =
            if error.kind() == ErrorKind::ConnectionRefused { Cause::ConnectionRefused } else { Cause::Unreachable };
        Self::new(cause, format!("connecting to {authority}: {}", whole(error)))
    }

    /// An error of an exchange that is not the client's doing.
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

    /// Writes it to the log.
    pub(super) fn log(&self, upstream: &str, request_id: &HeaderValue) {
        let (row, detail) = (self.cause.row(), &*self.detail);
        let cause = row.reason;
        let (key, request_id) = (self.key, request_id.to_str().unwrap_or_default());
        if self.cause == Cause::Resting {
            // The failures before it are in the log.
            tracing::debug!(upstream, cause, detail, key, request_id, "{}", row.text);
        } else {
            tracing::warn!(upstream, cause, detail, key, request_id, "{}", row.text);
        }
    }
}

impl ExchangeError {
    /// The kind of the system's error behind it.
    fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Http1(error) => error.source().and_then(|e| e.downcast_ref::<io::Error>()).map(io::Error::kind),
            Self::Http2(error) => error.get_io().map(io::Error::kind),
        }
    }
}

/// An error with everything that it was caused by.
pub(super) fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        // Some errors repeat their source in their own words.
        if !text.ends_with(&said) {
            // Writing to a string cannot fail.
            let _infallible = write!(text, ": {said}");
        }
        next = source.source();
    }
    text
}
