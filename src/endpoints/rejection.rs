//! The one place where a refusal becomes status, page or JSON.

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::issuer::{AuthorizeRejection, TokenRejection};
use crate::oauth::{ErrorCode, FormError, Rule};
use crate::web::{BodyError, Response, reply};

use super::consent;
use super::page;
use super::refusal_page::{TRY_AGAIN, Words, of_client, sentence, words};
use super::visit::Visit;

/// When to come again after a fault of ours.
const PAUSE_SECONDS: u64 = 5;

/// What a client is told whose revocation the disk did not take.
const NOT_STORED: &str = "in force, but not yet stored: revoked tokens are refused from now on, but a restart of the server \
                          before it can store that would forget it; send the request again";

/// Why a request could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputRejection {
    /// Not the media type that the endpoint takes.
    #[error("the content type is not the one that this endpoint takes")]
    ContentType,
    /// A compressed body.
    #[error("this endpoint takes no encoded content")]
    ContentEncoding,
    /// More than one Authorization field.
    #[error("the request has more than one Authorization header")]
    RepeatedAuthorization,
    /// One field of a page's form with two values.
    #[error("a field of the form came twice")]
    RepeatedField,
    /// The body itself.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// What is in it.
    #[error(transparent)]
    Form(#[from] FormError),
}

/// Why a browser gets an error page.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageRejection {
    /// There is nothing at this path.
    #[error("no such page")]
    NotFound,
    /// The post comes from a page that is not ours.
    #[error("posted from another site")]
    CrossSite,
    /// The form's token is missing, or for other cookies.
    #[error("the form token is missing or not this browser's")]
    StaleForm,
    /// The cookie of the transaction did not come: it has ended, or is another browser's.
    #[error("the transaction's cookie did not come along")]
    NoTransactionCookie,
    /// One cookie name with two values.
    #[error("a cookie came twice")]
    RepeatedCookie,
    /// An unknown, used or expired set-password link.
    #[error("the set-password link is unknown, used or expired")]
    DeadLink,
    /// The request could not be read.
    #[error(transparent)]
    Input(#[from] InputRejection),
    /// The use case refused.
    #[error("refused by the authorization server")]
    Issuer(AuthorizeRejection),
}

/// Why a client gets an OAuth error.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientRejection {
    /// The request could not be read; `ErrorCode` is the endpoint's word for that.
    #[error("{0}")]
    Input(InputRejection, ErrorCode),
    /// The use case refused.
    #[error("refused by the authorization server")]
    Issuer(TokenRejection),
}

impl From<AuthorizeRejection> for PageRejection {
    fn from(rejection: AuthorizeRejection) -> Self {
        Self::Issuer(rejection)
    }
}

impl From<TokenRejection> for ClientRejection {
    fn from(rejection: TokenRejection) -> Self {
        Self::Issuer(rejection)
    }
}

impl InputRejection {
    /// Returns the rule for log and audit trail.
    const fn rule(&self) -> Rule {
        match self {
            Self::ContentType => Rule::ContentType,
            Self::ContentEncoding => Rule::ContentEncoding,
            Self::RepeatedAuthorization => Rule::RepeatedAuthorization,
            Self::Body(BodyError::TooLarge) => Rule::BodyTooLarge,
            Self::Body(BodyError::Slow) => Rule::BodyTooSlow,
            Self::Body(BodyError::Broken) => Rule::BodyBrokenOff,
            Self::Form(FormError::TooManyFields) => Rule::TooManyFields,
            Self::Form(FormError::Malformed) => Rule::MalformedForm,
            Self::RepeatedField => Rule::RepeatedField,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::ContentType | Self::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Body(BodyError::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::Slow) => StatusCode::REQUEST_TIMEOUT,
            Self::RepeatedAuthorization
            | Self::RepeatedField
            | Self::Body(BodyError::Broken)
            | Self::Form(FormError::TooManyFields | FormError::Malformed) => StatusCode::BAD_REQUEST,
        }
    }
}

impl ClientRejection {
    /// Returns the rule that was broken, if no use case has recorded it.
    pub(super) const fn unrecorded(&self) -> Option<Rule> {
        match self {
            Self::Input(cause, _) => Some(cause.rule()),
            Self::Issuer(_) => None,
        }
    }

    /// Makes the answer of RFC 6749 5.2.
    pub(super) fn into_response(self, visit: &Visit<'_>) -> Response {
        tracing::debug!(path = visit.head.uri.path(), request_id = visit.caller.request_id, "client refused: {self}");
        match self {
            Self::Input(cause, code) => {
                // RFC 6749 5.2: a token request of another media type is `invalid_request` and so 400, not 415.
                let status = match (&cause, code) {
                    (InputRejection::ContentType, ErrorCode::InvalidRequest) => StatusCode::BAD_REQUEST,
                    _ => cause.status(),
                };
                oauth_error(status, code, &cause.to_string())
            }
            Self::Issuer(TokenRejection::Refused { error, basic }) => {
                let status = status_of(error.code());
                let mut response = oauth_error(status, error.code(), error.description());
                if basic && status == StatusCode::UNAUTHORIZED {
                    // RFC 6749 5.2: a client that tried HTTP authentication gets a challenge of the scheme it tried.
                    let challenge = HeaderValue::from_static("Basic realm=\"mcpgate\"");
                    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                }
                response
            }
            Self::Issuer(TokenRejection::Throttled(pause)) => {
                let description = "there were too many requests; wait as long as Retry-After says";
                let mut response =
                    oauth_error(StatusCode::TOO_MANY_REQUESTS, ErrorCode::TemporarilyUnavailable, description);
                reply::retry_after(response.headers_mut(), pause.as_pause());
                response
            }
            Self::Issuer(TokenRejection::Unavailable) => {
                let description = "the server cannot answer just now; try again";
                let mut response =
                    oauth_error(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::TemporarilyUnavailable, description);
                reply::retry_after(response.headers_mut(), PAUSE_SECONDS);
                response
            }
            // RFC 7009 2.2.1: 503 means that the token still exists, and the client has to try again.
            Self::Issuer(TokenRejection::NotStored) => {
                let mut response =
                    oauth_error(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::TemporarilyUnavailable, NOT_STORED);
                reply::retry_after(response.headers_mut(), PAUSE_SECONDS);
                response
            }
            // RFC 7591 3: an endpoint that is not open asks for an initial access token, as RFC 6750 3 says. None is issued
            // here, so clients are added by the operator.
            Self::Issuer(TokenRejection::NotOpen) => {
                let mut response = reply::empty(StatusCode::UNAUTHORIZED);
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"register\""));
                response
            }
        }
    }
}

impl PageRejection {
    /// Returns the rule that was broken, if no use case has recorded it.
    pub(super) const fn unrecorded(&self) -> Option<Rule> {
        match self {
            Self::CrossSite => Some(Rule::CrossSite),
            Self::StaleForm => Some(Rule::FormToken),
            Self::NoTransactionCookie => Some(Rule::NoTransactionCookie),
            Self::RepeatedCookie => Some(Rule::RepeatedCookie),
            Self::DeadLink => Some(Rule::DeadLink),
            Self::Input(cause) => Some(cause.rule()),
            // Nothing was tried that was worth a row, or the use case wrote it.
            Self::NotFound | Self::Issuer(_) => None,
        }
    }

    /// Makes the error page, or the redirect that the issuer chose. A page never leads to a client (RFC 6749 4.1.2.1).
    pub(super) fn into_response(self, visit: &Visit<'_>) -> Response {
        tracing::debug!(path = visit.head.uri.path(), request_id = visit.caller.request_id, "page refused: {self}");
        match self {
            Self::NotFound => words(
                "Page not found",
                "There is nothing at this address.",
                "Check the address, or start again from the application that sent you here.",
            )
            .respond(visit, StatusCode::NOT_FOUND),
            Self::CrossSite => words(
                "This request came from another site",
                "For your safety nothing was done: only forms on our own pages are accepted.",
                "Go back to your application and start again from there.",
            )
            .respond(visit, StatusCode::FORBIDDEN),
            Self::StaleForm => words(
                "This form is out of date",
                "It was opened before you signed in or out, or in another browser. Nothing was done.",
                "Go back, reload the page, and send the form again.",
            )
            .respond(visit, StatusCode::FORBIDDEN),
            Self::RepeatedCookie => words(
                "Your browser sent two cookies of one name",
                "It cannot be told which of them is ours, so neither is believed.",
                "Delete the cookies of this site and start again from your application.",
            )
            .respond(visit, StatusCode::BAD_REQUEST),
            Self::DeadLink => words(
                "This link no longer works",
                "It was used before, it has expired, or a newer one has taken its place.",
                "Ask whoever runs this gateway for a new one.",
            )
            .respond(visit, StatusCode::BAD_REQUEST),
            Self::NoTransactionCookie => issuer_page(AuthorizeRejection::Gone, visit),
            Self::Input(cause) => {
                let status = cause.status();
                words("This request could not be read", &sentence(&cause.to_string()), TRY_AGAIN).respond(visit, status)
            }
            Self::Issuer(cause) => issuer_page(cause, visit),
        }
    }
}

fn issuer_page(cause: AuthorizeRejection, visit: &Visit<'_>) -> Response {
    match cause {
        AuthorizeRejection::Redirect(location) => reply::see_other(&location),
        AuthorizeRejection::Page(error) => {
            let status = match status_of(error.code()) {
                StatusCode::SERVICE_UNAVAILABLE => StatusCode::SERVICE_UNAVAILABLE,
                // A page asks no browser for credentials: `invalid_client` is a plain 400 here.
                _ => StatusCode::BAD_REQUEST,
            };
            let mut response = of_client(&error, &sentence(error.description())).respond(visit, status);
            if status == StatusCode::SERVICE_UNAVAILABLE {
                reply::retry_after(response.headers_mut(), PAUSE_SECONDS);
            }
            response
        }
        AuthorizeRejection::Unsolicited { error, location, target, is_scheme } => {
            let text = sentence(error.description());
            let label = if is_scheme {
                format!("Open the application registered for {target}:")
            } else {
                format!("Go to {target}")
            };
            let remedy = "Nobody has verified the application that sent you here. Go back to it only if you started this \
                          yourself.";
            let words = Words { remedy, link: Some((&location, &label)), ..of_client(&error, &text) };
            words.respond(visit, StatusCode::BAD_REQUEST)
        }
        AuthorizeRejection::Expired { after, again } => {
            let text = format!("It was open for more than {}. Nothing was done.", page::in_words(after));
            let remedy = "You can start again here. If your application has stopped waiting, start again from there.";
            let words =
                Words { link: Some((&again, "Start again")), ..words("This sign-in has expired", &text, remedy) };
            words.respond(visit, StatusCode::BAD_REQUEST)
        }
        AuthorizeRejection::Gone => words(
            "This sign-in has ended",
            "It is finished, expired too long ago, or was opened in another browser.",
            "Go back to the application and try again.",
        )
        .respond(visit, StatusCode::BAD_REQUEST),
        AuthorizeRejection::Finished => words(
            "This sign-in is already complete",
            "It was approved, denied or cancelled before; nothing was done twice.",
            "Return to your application. If it is still waiting, start again from there.",
        )
        .respond(visit, StatusCode::BAD_REQUEST),
        AuthorizeRejection::Throttled(pause) => {
            let text = format!("Too many requests came from your address. Wait {}.", page::in_words(pause));
            let mut response = words("One moment, please", &text, "Then reload this page.")
                .respond(visit, StatusCode::TOO_MANY_REQUESTS);
            reply::retry_after(response.headers_mut(), pause.as_pause());
            response
        }
        AuthorizeRejection::NothingApproved => {
            words("Nothing was approved", consent::NOTHING_APPROVED, "Go back, reload the page, and decide again.")
                .respond(visit, StatusCode::BAD_REQUEST)
        }
        AuthorizeRejection::NotStored => {
            let mut response = words(
                "This is done, but not yet saved",
                "What you ended has ended. We could not save that so far, and a restart on our side before we can would undo \
                 it.",
                "Come back in a few minutes and look whether it has stayed so.",
            )
            .respond(visit, StatusCode::SERVICE_UNAVAILABLE);
            reply::retry_after(response.headers_mut(), PAUSE_SECONDS);
            response
        }
        AuthorizeRejection::Unavailable => {
            let mut response = words(
                "We cannot do this just now",
                "Something on our side does not answer. Nothing was changed.",
                "Reload this page in a few seconds.",
            )
            .respond(visit, StatusCode::SERVICE_UNAVAILABLE);
            reply::retry_after(response.headers_mut(), PAUSE_SECONDS);
            response
        }
    }
}

/// RFC 6749 5.2: 400 but for a client that failed to authenticate.
fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidClient => StatusCode::UNAUTHORIZED,
        ErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::AccessDenied
        | ErrorCode::ConsentRequired
        | ErrorCode::InvalidClientMetadata
        | ErrorCode::InvalidGrant
        | ErrorCode::InvalidRedirectUri
        | ErrorCode::InvalidRequest
        | ErrorCode::InvalidScope
        | ErrorCode::InvalidSoftwareStatement
        | ErrorCode::InvalidTarget
        | ErrorCode::LoginRequired
        | ErrorCode::RequestNotSupported
        | ErrorCode::RequestUriNotSupported
        | ErrorCode::UnapprovedSoftwareStatement
        | ErrorCode::UnauthorizedClient
        | ErrorCode::UnsupportedGrantType
        | ErrorCode::UnsupportedResponseType => StatusCode::BAD_REQUEST,
    }
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
