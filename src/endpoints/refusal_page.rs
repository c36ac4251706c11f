//! The error page of a refusal: what is wrong, what to do now, and where a way on leads.

use http::StatusCode;

use crate::oauth::{ErrorCode, OAuthError};
use crate::web::Response;

use super::page::{self, ErrorPage, Frame, Leads};
use super::visit::Visit;

/// The words of an error page.
pub(super) struct Words<'a> {
    pub(super) heading: &'a str,
    pub(super) text: &'a str,
    pub(super) remedy: &'a str,
    pub(super) code: Option<&'a str>,
    /// Where a way on leads, and what it is called.
    pub(super) link: Option<(&'a str, &'a str)>,
}

pub(super) const TRY_AGAIN: &str =
    "Go back to the application and try again. If it happens again, tell its makers what this page says.";

pub(super) const fn words<'a>(heading: &'a str, text: &'a str, remedy: &'a str) -> Words<'a> {
    Words { heading, text, remedy, code: None, link: None }
}

/// The application sent something that may not be answered by a redirect to it.
pub(super) fn of_client<'a>(error: &OAuthError, text: &'a str) -> Words<'a> {
    let (heading, remedy) = match error.code() {
        ErrorCode::InvalidClient | ErrorCode::UnauthorizedClient => (
            "This application cannot connect",
            "It may have been removed, or have registered elsewhere. In the application, remove this connection and add \
             it again.",
        ),
        ErrorCode::TemporarilyUnavailable => {
            ("We cannot do this just now", "Nothing was changed. Reload this page in a few seconds.")
        }
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
        | ErrorCode::UnsupportedGrantType
        | ErrorCode::UnsupportedResponseType => ("The application’s request cannot be honoured", TRY_AGAIN),
    };
    Words { heading, text, remedy, code: Some(error.code().as_str()), link: None }
}

impl Words<'_> {
    pub(super) fn respond(&self, visit: &Visit<'_>, status: StatusCode) -> Response {
        let page = ErrorPage {
            frame: Frame::new(visit.config),
            heading: self.heading,
            text: self.text,
            remedy: self.remedy,
            code: self.code,
            link: self.link,
            reference: visit.caller.request_id.as_deref(),
        };
        // A client that opened us in a pop-up waits for its window to come back by the link.
        page::respond(status, &page, if self.link.is_some() { Leads::ToClient } else { Leads::Home })
    }
}

/// Makes a sentence of a description: a capital at its beginning, a full stop at its end. The name of a parameter
/// has no capital.
pub(super) fn sentence(description: &str) -> String {
    let stop = if description.ends_with(['.', '!', '?']) { "" } else { "." };
    if description.split(' ').next().is_some_and(|word| word.contains('_')) {
        return format!("The parameter {description}{stop}");
    }
    let mut letters = description.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(stop.chars()).collect()
}
