//! Error pages for people: what is wrong, what to do now, and a link onwards if there is one.

use http::StatusCode;

use crate::issuer::AuthorizeRejection;
use crate::oauth::{Blamed, Lifetime, OAuthError};
use crate::web::pages::{self, FormTarget, Frame};
use crate::web::{Response, reply};

use super::client_error::PAUSE_SECONDS;
use super::consent;
use super::page::ErrorPage;
use super::redirect;
use super::rejection::PageRejection;
use super::visit::Visit;

impl PageRejection {
    /// Makes the error page, or the redirect that the issuer chose. A page never leads to a client (RFC 6749 4.1.2.1).
    pub(super) fn into_response(self, visit: &Visit<'_>) -> Response {
        tracing::debug!(path = visit.head.uri.path(), request_id = visit.caller().request_id, "page refused: {self}");
        match self {
            Self::NotFound => words(
                "Page not found",
                "There is nothing at this address.",
                "Check the address, or start again from the application that sent you here.",
            )
            .respond(visit, StatusCode::NOT_FOUND),
            Self::CrossSite => words(
                "This request came from another site",
                "For your safety, nothing was changed: this gateway accepts only forms on its own pages.",
                "Go back to your application and start again from there.",
            )
            .respond(visit, StatusCode::FORBIDDEN),
            Self::StaleForm => words(
                "This form is out of date",
                "It was opened before you signed in or out, or in another browser. Nothing was changed.",
                "Go back, reload the page, and send the form again.",
            )
            .respond(visit, StatusCode::FORBIDDEN),
            Self::RepeatedCookie => words(
                "Your browser sent two cookies with the same name",
                "This gateway cannot tell which of them it set, so it uses neither.",
                "Delete the cookies for this site and start again from your application.",
            )
            .respond(visit, StatusCode::BAD_REQUEST),
            Self::DeadLink => words(
                "This link no longer works",
                "It has already been used, has expired, or was replaced by a newer one.",
                "Ask your administrator for a new one.",
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
        AuthorizeRejection::Redirect(location) => redirect::to_client(&location),
        AuthorizeRejection::Page(error) => oauth_page(&error, visit),
        AuthorizeRejection::Unsolicited { error, location, target, is_scheme } => {
            let text = sentence(error.description());
            let label = if is_scheme {
                format!("Open the application registered for {target}:")
            } else {
                format!("Go to {target}")
            };
            let remedy = "The application that sent you here is not verified. Go back to it only if you started this \
                          yourself.";
            let words = Words { remedy, link: Some((location.as_str(), &label)), ..of_client(&error, &text) };
            words.respond(visit, StatusCode::BAD_REQUEST)
        }
        AuthorizeRejection::Expired { after, again } => expired(after, &again, visit),
        AuthorizeRejection::Gone => words(
            "This sign-in has ended",
            "It was completed, expired too long ago, or was opened in another browser.",
            "Go back to the application and try again.",
        )
        .respond(visit, StatusCode::BAD_REQUEST),
        AuthorizeRejection::Finished => words(
            "This sign-in is already complete",
            "You already approved, denied or cancelled it; nothing was done twice.",
            "Return to your application. If it is still waiting, start again from there.",
        )
        .respond(visit, StatusCode::BAD_REQUEST),
        AuthorizeRejection::Throttled(pause) => {
            let text = format!("Too many requests came from your address. Wait {}.", pages::in_words(pause));
            let mut response = words("One moment, please", &text, "Then reload this page.")
                .respond(visit, StatusCode::TOO_MANY_REQUESTS);
            reply::retry_after(response.headers_mut(), pause.as_pause());
            response
        }
        AuthorizeRejection::NothingApproved => {
            words("Nothing was approved", consent::NOTHING_APPROVED, "Go back, reload the page, and decide again.")
                .respond(visit, StatusCode::BAD_REQUEST)
        }
        AuthorizeRejection::NotStored => unavailable(
            &words(
                "Done, but not yet saved",
                "The access that you ended has ended, but this could not be saved yet. If the gateway restarts \
                 before it is saved, it is undone.",
                "Come back in a few minutes and check again.",
            ),
            visit,
        ),
        AuthorizeRejection::Unavailable => unavailable(
            &words(
                "Temporarily unavailable",
                "Part of this gateway is not responding. Nothing was changed.",
                "Reload this page in a few seconds.",
            ),
            visit,
        ),
    }
}

fn expired(after: Lifetime, again: &str, visit: &Visit<'_>) -> Response {
    let text = format!("It was open for more than {}. Nothing was done.", pages::in_words(after));
    let remedy = "You can start again here. If your application has stopped waiting, start again from there.";
    let words = Words { link: Some((again, "Start again")), ..words("This sign-in has expired", &text, remedy) };
    words.respond(visit, StatusCode::BAD_REQUEST)
}

fn oauth_page(error: &OAuthError, visit: &Visit<'_>) -> Response {
    let text = sentence(error.description());
    let words = of_client(error, &text);
    match error.code().blames() {
        Blamed::Server => unavailable(&words, visit),
        // A page never asks a browser for credentials: `invalid_client` is a plain 400 here.
        Blamed::Client | Blamed::Request => words.respond(visit, StatusCode::BAD_REQUEST),
    }
}

/// Answers 503, with the time after which to retry.
fn unavailable(words: &Words<'_>, visit: &Visit<'_>) -> Response {
    let mut response = words.respond(visit, StatusCode::SERVICE_UNAVAILABLE);
    reply::retry_after(response.headers_mut(), PAUSE_SECONDS);
    response
}

/// The words of an error page.
struct Words<'a> {
    heading: &'a str,
    text: &'a str,
    remedy: &'a str,
    code: Option<&'a str>,
    /// Target and text of the link onwards.
    link: Option<(&'a str, &'a str)>,
}

const TRY_AGAIN: &str =
    "Go back to the application and try again. If it happens again, report the text of this page to its developers.";

const fn words<'a>(heading: &'a str, text: &'a str, remedy: &'a str) -> Words<'a> {
    Words { heading, text, remedy, code: None, link: None }
}

/// Makes the words for a fault of the application that must not be answered by a redirect.
fn of_client<'a>(error: &OAuthError, text: &'a str) -> Words<'a> {
    let (heading, remedy) = match error.code().blames() {
        Blamed::Client => (
            "This application cannot connect",
            "It may have been removed, or be registered with another server. In the application, remove this \
             connection and add it again.",
        ),
        Blamed::Server => ("Temporarily unavailable", "Nothing was changed. Reload this page in a few seconds."),
        Blamed::Request => ("The application’s request is not valid", TRY_AGAIN),
    };
    Words { heading, text, remedy, code: Some(error.code().as_str()), link: None }
}

impl Words<'_> {
    fn respond(&self, visit: &Visit<'_>, status: StatusCode) -> Response {
        let page = ErrorPage {
            frame: Frame::new(visit.config()),
            heading: self.heading,
            text: self.text,
            remedy: self.remedy,
            code: self.code,
            link: self.link,
            reference: visit.caller().request_id.as_deref(),
        };
        // A client that opened the page in a pop-up waits for the window to come back through the link.
        pages::respond(status, &page, if self.link.is_some() { FormTarget::Elsewhere } else { FormTarget::Home })
    }
}

/// Turns a description into a sentence with an initial capital and a full stop. Parameter names are not capitalized.
fn sentence(description: &str) -> String {
    let stop = if description.ends_with(['.', '!', '?']) { "" } else { "." };
    if description.split(' ').next().is_some_and(|word| word.contains('_')) {
        return format!("The parameter {description}{stop}");
    }
    let mut letters = description.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(stop.chars()).collect()
}
