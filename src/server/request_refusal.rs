//! `RequestRefusal`: why a request is refused before a route is known, with a row of a table for each reason; and the answer.

use http::header::{ALLOW, CONNECTION};
use http::{HeaderValue, StatusCode, Version};

use crate::config::Config;
use crate::telemetry::ServerEvent;
use crate::web::{Response, reply};

/// Why. All that is said of each stands in [`RequestRefusal::row`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestRefusal {
    /// Meant for a forward proxy.
    Connect,
    /// An `Expect` other than 100-continue.
    Expectation,
    /// A header field, or all of them, beyond the limits.
    FieldsTooLarge,
    /// A body whose end could be found in two ways.
    Framing,
    /// For another host.
    Host,
    /// No host, two, or a malformed one.
    HostMalformed,
    /// A fault of ours: the handler panicked.
    Internal,
    /// Not a path.
    Target,
    /// Beyond the limit.
    TargetTooLong,
    /// TRACE.
    Trace,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    status: StatusCode,
    /// The word for it in the access line.
    pub(super) reason: &'static str,
    /// The code in the body (RFC 6749 5.2, 4.1.2.1).
    word: &'static str,
    /// What the caller is told.
    text: &'static str,
    /// The key of the configuration whose limit or rule it is.
    pub(super) key: Option<&'static str>,
    /// What is counted.
    pub(super) event: ServerEvent,
    /// Whether the access line has the host that came: it is the fault.
    pub(super) shows_host: bool,
    /// The methods that there are, where the method is the fault.
    allow: Option<&'static str>,
}

impl Row {
    /// Of what the caller has to mend.
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
    /// Returns the row of the table: a new reason is a row here and one in `docs/errors.md`.
    #[rustfmt::skip] // Two lines a row, so that the table can be read as one.
    pub(super) const fn row(self) -> Row {
        match self {
            Self::Connect => Row::caller(StatusCode::NOT_IMPLEMENTED, "connect",
                "this is not a forward proxy"),
            Self::Expectation => Row::caller(StatusCode::EXPECTATION_FAILED, "expectation",
                "only 100-continue is known"),
            Self::FieldsTooLarge => Row::caller(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "fields_too_large",
                "the header fields are too large").key("limits.head_bytes, limits.header_fields"),
            Self::Framing => Row::caller(StatusCode::BAD_REQUEST, "framing",
                "the only transfer coding is chunked, once"),
            Self::Host => Row::caller(StatusCode::MISDIRECTED_REQUEST, "wrong_host",
                "this host is not served here").key("public_url, extra_hosts").event(ServerEvent::WrongHost).shows_host(),
            Self::HostMalformed => Row::caller(StatusCode::BAD_REQUEST, "host_malformed",
                "exactly one well-formed Host is needed").shows_host(),
            Self::Internal => Row::caller(StatusCode::INTERNAL_SERVER_ERROR, "internal",
                "something went wrong here").word("server_error").event(ServerEvent::HandlerPanicked),
            Self::Target => Row::caller(StatusCode::BAD_REQUEST, "target_malformed",
                "the request target is malformed"),
            Self::TargetTooLong => Row::caller(StatusCode::URI_TOO_LONG, "target_too_long",
                "the request target is too long").key("limits.request_target"),
            Self::Trace => Row::caller(StatusCode::METHOD_NOT_ALLOWED, "trace",
                "TRACE is not served").allow("GET, HEAD, POST, DELETE, OPTIONS"),
        }
    }

    /// Makes the answer.
    pub(super) fn respond(self, version: Version, config: &Config) -> Response {
        let row = self.row();
        let body = format!(r#"{{"error":"{}","error_description":"{}"}}"#, row.word, row.text);
        let mut response = reply::json(row.status, body);
        let headers = response.headers_mut();
        reply::protect(headers, &config.public);
        if let Some(methods) = row.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        // Whoever is misunderstood here may be misunderstood about where the next request begins. HTTP/2 frames its
        // streams, and knows no such field (RFC 9113 8.2.2).
        if version < Version::HTTP_2 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
