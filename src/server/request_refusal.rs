//! `RequestRefusal`: why a request is refused before its route is known, with a table row for each reason; and the
//! answer.

use http::header::{ALLOW, CONNECTION};
use http::{HeaderValue, StatusCode, Version};

use crate::config::Config;
use crate::telemetry::ServerEvent;
use crate::web::{Response, reply};

/// Why a request is refused. [`RequestRefusal::row`] has everything that is said about each reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestRefusal {
    /// The request is meant for a forward proxy.
    Connect,
    /// It has an `Expect` other than 100-continue.
    Expectation,
    /// A header field, or all of them together, exceed the limits.
    FieldsTooLarge,
    /// The end of the body could be determined in two ways.
    Framing,
    /// It is for another host.
    Host,
    /// It has no host, two hosts, or a malformed one.
    HostMalformed,
    /// The handler panicked, which is a fault of the gateway.
    Internal,
    /// The target is not a path.
    Target,
    /// The target is longer than the limit.
    TargetTooLong,
    /// The method is TRACE.
    Trace,
}

/// One row of the table of [`RequestRefusal`].
#[derive(Debug, Clone, Copy)]
pub(super) struct RefusalRow {
    status: StatusCode,
    /// Its word in the access log.
    pub(super) reason: &'static str,
    /// The code in the body (RFC 6749 5.2, 4.1.2.1).
    word: &'static str,
    /// The description for the caller.
    text: &'static str,
    /// The configuration key of the limit or rule.
    pub(super) key: Option<&'static str>,
    /// The event that is counted.
    pub(super) event: ServerEvent,
    /// Whether the access log shows the host that was sent, because it is the fault.
    pub(super) shows_host: bool,
    /// The supported methods, if the method is the fault.
    allow: Option<&'static str>,
}

impl RefusalRow {
    /// Makes the row of a fault that the caller has to correct.
    const fn caller(status: StatusCode, reason: &'static str, text: &'static str) -> Self {
        let (word, event) = ("invalid_request", ServerEvent::BadTarget);
        Self { status, reason, word, text, key: None, event, shows_host: false, allow: None }
    }

    const fn word(self, word: &'static str) -> Self {
        Self { word, ..self }
    }

    const fn key(self, key: &'static str) -> Self {
        Self { key: Some(key), ..self }
    }

    const fn event(self, event: ServerEvent) -> Self {
        Self { event, ..self }
    }

    const fn shows_host(self) -> Self {
        Self { shows_host: true, ..self }
    }

    const fn allow(self, methods: &'static str) -> Self {
        Self { allow: Some(methods), ..self }
    }
}

impl RequestRefusal {
    /// Returns the reason's row in the table. A new reason needs a row here and one in `docs/errors.md`.
    #[rustfmt::skip] // Two lines a row, so that the table can be read as one.
    pub(super) const fn row(self) -> RefusalRow {
        match self {
            Self::Connect => RefusalRow::caller(StatusCode::NOT_IMPLEMENTED, "connect",
                "this is not a forward proxy"),
            Self::Expectation => RefusalRow::caller(StatusCode::EXPECTATION_FAILED, "expectation",
                "only 100-continue is supported"),
            Self::FieldsTooLarge => RefusalRow::caller(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "fields_too_large",
                "the header fields are too large").key("limits.head_bytes, limits.header_fields"),
            Self::Framing => RefusalRow::caller(StatusCode::BAD_REQUEST, "framing",
                "the only supported transfer coding is chunked, once"),
            Self::Host => RefusalRow::caller(StatusCode::MISDIRECTED_REQUEST, "wrong_host",
                "this host is not served here").key("public_url, extra_hosts").event(ServerEvent::WrongHost).shows_host(),
            Self::HostMalformed => RefusalRow::caller(StatusCode::BAD_REQUEST, "host_malformed",
                "exactly one well-formed Host is required").shows_host(),
            Self::Internal => RefusalRow::caller(StatusCode::INTERNAL_SERVER_ERROR, "internal",
                "an internal error occurred").word("server_error").event(ServerEvent::HandlerPanicked),
            Self::Target => RefusalRow::caller(StatusCode::BAD_REQUEST, "target_malformed",
                "the request target is malformed"),
            Self::TargetTooLong => RefusalRow::caller(StatusCode::URI_TOO_LONG, "target_too_long",
                "the request target is too long").key("limits.request_target"),
            Self::Trace => RefusalRow::caller(StatusCode::METHOD_NOT_ALLOWED, "trace",
                "TRACE is not supported").allow("GET, HEAD, POST, DELETE, OPTIONS"),
        }
    }

    /// Makes the answer to the refused request.
    pub(super) fn respond(self, version: Version, config: &Config) -> Response {
        let row = self.row();
        let body = format!(r#"{{"error":"{}","error_description":"{}"}}"#, row.word, row.text);
        let mut response = reply::json(row.status, body);
        let headers = response.headers_mut();
        reply::protect(headers, &config.public);
        if let Some(methods) = row.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        // If this request was misread, the start of the next one may be too. HTTP/2 frames its streams and has no such
        // field (RFC 9113 8.2.2).
        if version < Version::HTTP_2 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
