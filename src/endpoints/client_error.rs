//! Error responses to clients: the JSON of RFC 6749 5.2, and challenges.

use std::borrow::Cow;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::issuer::TokenRejection;
use crate::oauth::{ErrorCode, Rule};
use crate::web::{Response, reply};

use super::rejection::ClientRejection;
use super::visit::Visit;

/// `Retry-After` in seconds, after a fault of the server.
pub(super) const PAUSE_SECONDS: u64 = 5;

/// The reason for the debug log when a use case refused; the rule is in the audit trail.
pub(super) const REFUSED_BY_ISSUER: &str = "refused by the authorization server";

/// One row of the table of [`ClientRejection`].
struct AnswerRow<'a> {
    /// The reason for the debug log.
    reason: Cow<'a, str>,
    /// The rule that was broken, if no use case has recorded it.
    rule: Option<Rule>,
    status: StatusCode,
    /// Code and description in the body, if there is one.
    body: Option<(ErrorCode, Cow<'a, str>)>,
    /// `Retry-After` in seconds.
    retry: Option<u64>,
    challenge: Option<&'static str>,
}

impl<'a> AnswerRow<'a> {
    /// Makes the row of a refusal by a use case.
    const fn new(status: StatusCode) -> Self {
        let reason = Cow::Borrowed(REFUSED_BY_ISSUER);
        Self { reason, rule: None, status, body: None, retry: None, challenge: None }
    }

    /// Makes the row of something that the server cannot do at the moment.
    fn later(status: StatusCode, seconds: u64, text: &'static str) -> Self {
        Self { retry: Some(seconds), ..Self::new(status).body(ErrorCode::TemporarilyUnavailable, text) }
    }

    fn body(self, code: ErrorCode, text: impl Into<Cow<'a, str>>) -> Self {
        Self { body: Some((code, text.into())), ..self }
    }

    fn challenge(self, challenge: &'static str) -> Self {
        Self { challenge: Some(challenge), ..self }
    }
}

impl ClientRejection {
    /// Returns the reason's row in the table.
    #[rustfmt::skip] // Few lines a row, so that the table can be read as one.
    fn row(&self) -> AnswerRow<'_> {
        match self {
            Self::Input(cause, code) => AnswerRow { reason: cause.to_string().into(), rule: Some(cause.rule()),
                ..AnswerRow::new(cause.status_with(*code)).body(*code, cause.to_string()) },
            // RFC 6749 5.2: a client that tried HTTP authentication gets a challenge of the scheme it tried.
            Self::Issuer(TokenRejection::Refused { error, basic: true }) if status_of(error.code()) == StatusCode::UNAUTHORIZED =>
                AnswerRow::new(StatusCode::UNAUTHORIZED).body(error.code(), error.description())
                .challenge("Basic realm=\"mcpgate\""),
            Self::Issuer(TokenRejection::Refused { error, .. }) =>
                AnswerRow::new(status_of(error.code())).body(error.code(), error.description()),
            Self::Issuer(TokenRejection::Throttled(pause)) => AnswerRow::later(StatusCode::TOO_MANY_REQUESTS, pause.as_pause(),
                "too many requests; wait as long as Retry-After says"),
            Self::Issuer(TokenRejection::Unavailable) => AnswerRow::later(StatusCode::SERVICE_UNAVAILABLE, PAUSE_SECONDS,
                "the server is temporarily unavailable; try again"),
            // RFC 7009 2.2.1: 503 means that the token still exists, and the client has to try again.
            Self::Issuer(TokenRejection::NotStored) => AnswerRow::later(StatusCode::SERVICE_UNAVAILABLE, PAUSE_SECONDS,
                "in force, but not yet stored: revoked tokens are refused from now on, but a restart of the server before it \
                 can store that would lose it; send the request again"),
            // RFC 7591 3: a closed endpoint asks for an initial access token, as in RFC 6750 3. None is issued here, so
            // operators add clients.
            Self::Issuer(TokenRejection::NotOpen) =>
                AnswerRow::new(StatusCode::UNAUTHORIZED).challenge("Bearer realm=\"register\""),
        }
    }

    /// Returns the rule that was broken, if no use case has recorded it.
    pub(super) fn unrecorded(&self) -> Option<Rule> {
        self.row().rule
    }

    /// Makes the answer of RFC 6749 5.2.
    pub(super) fn into_response(self, visit: &Visit<'_>) -> Response {
        let row = self.row();
        let (head, reason) = (&visit.head, &row.reason);
        tracing::debug!(path = head.uri.path(), request_id = visit.caller().request_id, "client refused: {reason}");
        let mut response = match &row.body {
            Some((code, text)) => oauth_error(row.status, *code, text),
            None => reply::empty(row.status),
        };
        if let Some(seconds) = row.retry {
            reply::retry_after(response.headers_mut(), seconds);
        }
        if let Some(challenge) = row.challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// Returns the status that RFC 6749 5.2 gives a code.
fn status_of(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::BAD_REQUEST)
}

fn oauth_error(status: StatusCode, code: ErrorCode, description: &str) -> Response {
    #[derive(Serialize)]
    struct OAuthErrorBody<'a> {
        error: &'a str,
        error_description: &'a str,
    }
    let body = OAuthErrorBody { error: code.as_str(), error_description: description };
    reply::json(status, serde_json::to_vec(&body).unwrap_or_default())
}
