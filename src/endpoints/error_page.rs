//! Error pages for people: what is wrong, what to do now, and a link onwards if there is one.

use std::borrow::Cow;

use http::StatusCode;

use crate::issuer::{AuthorizeRejection, ClientLink};
use crate::oauth::{Blamed, ClientLocation, OAuthError, Rule};
use crate::web::pages::{self, FormTarget, Frame};
use crate::web::{Response, reply};

use super::client_error::{PAUSE_SECONDS, REFUSED_BY_ISSUER};
use super::consent;
use super::page::ErrorPage;
use super::redirect;
use super::rejection::PageRejection;
use super::visit::Visit;

/// One row of the table of [`PageRejection`].
struct PageRow<'a> {
    /// The reason for the debug log.
    reason: Cow<'static, str>,
    /// The rule that was broken, if no use case has recorded it.
    rule: Option<Rule>,
    answer: Answer<'a>,
}

/// What the browser gets.
enum Answer<'a> {
    Page(Words<'a>),
    /// The redirect that the issuer chose.
    Redirect(&'a ClientLocation),
}

/// Status and words of an error page.
struct Words<'a> {
    status: StatusCode,
    heading: &'static str,
    text: Cow<'static, str>,
    remedy: &'static str,
    code: Option<&'static str>,
    links: Vec<Link<'a>>,
    /// `Retry-After` in seconds.
    retry: Option<u64>,
}

/// A link onwards.
struct Link<'a> {
    target: &'a str,
    label: Cow<'static, str>,
}

const TRY_AGAIN: &str =
    "Go back to the application and try again. If it happens again, report the text of this page to its developers.";

impl PageRejection {
    /// Returns the reason's row in the table. A new reason needs a row here and one in `docs/errors.md`.
    #[rustfmt::skip] // Few lines a row, so that the table can be read as one.
    fn row(&self) -> PageRow<'_> {
        match self {
            // Not worth an audit row.
            Self::NotFound => PageRow::new("no such page", None, Words::new(StatusCode::NOT_FOUND, "Page not found",
                "There is nothing at this address.",
                "Check the address, or start again from the application that sent you here.")),
            Self::CrossSite => PageRow::new("posted from another site", Some(Rule::CrossSite),
                Words::new(StatusCode::FORBIDDEN, "This request came from another site",
                "For your safety, nothing was changed: this gateway accepts only forms on its own pages.",
                "Go back to your application and start again from there.")),
            Self::StaleForm => PageRow::new("the form token is missing or not this browser's", Some(Rule::FormToken),
                Words::new(StatusCode::FORBIDDEN, "This form is out of date",
                "It was opened before you signed in or out, or in another browser. Nothing was changed.",
                "Go back, reload the page, and send the form again.")),
            Self::NoTransactionCookie => PageRow::new("the transaction's cookie is missing", Some(Rule::NoTransactionCookie),
                Words::gone()),
            Self::RepeatedCookie => PageRow::new("a cookie occurs twice", Some(Rule::RepeatedCookie),
                Words::new(StatusCode::BAD_REQUEST, "Your browser sent two cookies with the same name",
                "This gateway cannot tell which of them it set, so it uses neither.",
                "Delete the cookies for this site and start again from your application.")),
            Self::DeadLink => PageRow::new("the set-password link is unknown, used or expired", Some(Rule::DeadLink),
                Words::new(StatusCode::BAD_REQUEST, "This link no longer works",
                "It has already been used, has expired, or was replaced by a newer one.",
                "Ask your administrator for a new one.")),
            Self::Input(cause) => PageRow { reason: cause.to_string().into(), ..PageRow::new("", Some(cause.rule()),
                Words::new(cause.status(), "This request could not be read", "", TRY_AGAIN)
                .text(sentence(&cause.to_string()))) },
            Self::Issuer(cause) => PageRow { reason: Cow::Borrowed(REFUSED_BY_ISSUER), rule: None, answer: answer_of(cause) },
        }
    }

    /// Returns the rule that was broken, if no use case has recorded it.
    pub(super) fn unrecorded(&self) -> Option<Rule> {
        self.row().rule
    }

    /// Makes the error page, or the redirect that the issuer chose. A page never leads to a client (RFC 6749 4.1.2.1).
    pub(super) fn into_response(self, visit: &Visit<'_>) -> Response {
        let PageRow { reason, answer, .. } = self.row();
        tracing::debug!(path = visit.head.uri.path(), request_id = visit.caller().request_id, "page refused: {reason}");
        match answer {
            Answer::Page(words) => words.respond(visit),
            Answer::Redirect(location) => redirect::to_client(location),
        }
    }
}

impl<'a> PageRow<'a> {
    const fn new(reason: &'static str, rule: Option<Rule>, page: Words<'a>) -> Self {
        Self { reason: Cow::Borrowed(reason), rule, answer: Answer::Page(page) }
    }
}

/// Returns what the browser gets when a use case refused. A new reason needs a row here and one in `docs/errors.md`.
#[rustfmt::skip] // Few lines a row, so that the table can be read as one.
fn answer_of(cause: &AuthorizeRejection) -> Answer<'_> {
    Answer::Page(match cause {
        AuthorizeRejection::Redirect(location) => return Answer::Redirect(location),
        AuthorizeRejection::Page(error) => Words::of_client(error),
        AuthorizeRejection::Unsolicited { error, link } => Words { status: StatusCode::BAD_REQUEST,
            remedy: "The application that sent you here is not verified. Go back to it only if you started this yourself.",
            retry: None, ..Words::of_client(error) }.link_to(link),
        AuthorizeRejection::Throttled(pause) => Words::new(StatusCode::TOO_MANY_REQUESTS, "One moment, please",
            "", "Then reload this page.").retry(pause.as_pause())
            .text(format!("Too many requests came from your address. Wait {}.", pages::in_words(*pause))),
        AuthorizeRejection::Expired { after, again } => Words::new(StatusCode::BAD_REQUEST, "This sign-in has expired",
            "", "You can start again here. If your application has stopped waiting, start again from there.")
            .text(format!("It was open for more than {}. Nothing was done.", pages::in_words(*after)))
            .link(again, "Start again"),
        AuthorizeRejection::WaitedInVain { after, again, back } => Words::new(StatusCode::BAD_REQUEST, "Nobody has decided yet",
            "", "You can ask again here, or go back to the application and come again later.")
            .text(format!("The administrator of this gateway has not approved this application within {}. Nothing was done.",
                pages::in_words(*after)))
            .link(again, "Ask again").link_to(back),
        AuthorizeRejection::NotApproved => Words::new(StatusCode::BAD_REQUEST, "Nothing was approved",
            "The administrator of this gateway has not let this application in.", "Reload this page."),
        AuthorizeRejection::Gone => Words::gone(),
        AuthorizeRejection::Finished => Words::new(StatusCode::BAD_REQUEST, "This sign-in is already complete",
            "You already approved, denied or cancelled it; nothing was done twice.",
            "Return to your application. If it is still waiting, start again from there."),
        AuthorizeRejection::TooMuchLeftOut => Words::new(StatusCode::BAD_REQUEST, "Nothing was approved",
            consent::TOO_MUCH_LEFT_OUT, "Then start again from your application."),
        AuthorizeRejection::PartLeftOut => Words::new(StatusCode::BAD_REQUEST, "Nothing was approved",
            consent::PART_LEFT_OUT, "Go back, reload the page, and decide again."),
        AuthorizeRejection::NothingApproved => Words::new(StatusCode::BAD_REQUEST, "Nothing was approved",
            consent::NOTHING_APPROVED, "Go back, reload the page, and decide again."),
        AuthorizeRejection::Unavailable => Words::new(StatusCode::SERVICE_UNAVAILABLE, "Temporarily unavailable",
            "Part of this gateway is not responding. Nothing was changed.",
            "Reload this page in a few seconds.").retry(PAUSE_SECONDS),
        AuthorizeRejection::NotStored => Words::new(StatusCode::SERVICE_UNAVAILABLE, "Done, but not yet saved",
            "The access that you ended has ended, but this could not be saved yet. If the gateway restarts before it is \
             saved, it is undone.",
            "Come back in a few minutes and check again.").retry(PAUSE_SECONDS),
    })
}

/// Returns the label of the link to an application.
fn onwards(target: &str, is_scheme: bool) -> String {
    if is_scheme { format!("Open the application registered for {target}:") } else { format!("Go to {target}") }
}

impl<'a> Words<'a> {
    const fn new(status: StatusCode, heading: &'static str, text: &'static str, remedy: &'static str) -> Self {
        Self { status, heading, text: Cow::Borrowed(text), remedy, code: None, links: Vec::new(), retry: None }
    }

    /// Makes the page of a transaction that no longer exists, or is another browser's.
    const fn gone() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "This sign-in has ended",
            "It was completed, expired too long ago, or was opened in another browser.",
            "Go back to the application and try again.",
        )
    }

    /// Makes the words for a fault of the application that must not be answered by a redirect.
    fn of_client(error: &OAuthError) -> Self {
        let words = match error.code().blames() {
            _ if error.rule() == Rule::ClientRejected => Self::new(
                StatusCode::BAD_REQUEST,
                "This application cannot connect",
                "",
                "Ask the administrator of this gateway if you need it.",
            ),
            // A page never asks a browser for credentials: `invalid_client` is a plain 400 here.
            Blamed::Client => Self::new(
                StatusCode::BAD_REQUEST,
                "This application cannot connect",
                "",
                "It may have been removed, or be registered with another server. In the application, remove this \
                 connection and add it again.",
            ),
            Blamed::Server => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Temporarily unavailable",
                "",
                "Nothing was changed. Reload this page in a few seconds.",
            )
            .retry(PAUSE_SECONDS),
            Blamed::Request => {
                Self::new(StatusCode::BAD_REQUEST, "The application’s request is not valid", "", TRY_AGAIN)
            }
        };
        Self { code: Some(error.code().as_str()), ..words }.text(sentence(error.description()))
    }

    fn text(self, text: String) -> Self {
        Self { text: Cow::Owned(text), ..self }
    }

    fn link(mut self, target: &'a str, label: impl Into<Cow<'static, str>>) -> Self {
        self.links.push(Link { target, label: label.into() });
        self
    }

    fn link_to(self, client: &'a ClientLink) -> Self {
        self.link(client.location.as_str(), onwards(&client.target, client.is_scheme))
    }

    fn retry(self, seconds: u64) -> Self {
        Self { retry: Some(seconds), ..self }
    }

    fn respond(&self, visit: &Visit<'_>) -> Response {
        let page = ErrorPage {
            frame: Frame::new(visit.config()),
            heading: self.heading,
            text: &self.text,
            remedy: self.remedy,
            code: self.code,
            links: self.links.iter().map(|link| (link.target, link.label.as_ref())).collect(),
            reference: visit.caller().request_id.as_deref(),
        };
        // A client that opened the page in a pop-up waits for the window to come back through the link.
        let forms = if !self.links.is_empty() { FormTarget::Elsewhere } else { FormTarget::Home };
        let mut response = pages::respond(self.status, &page, forms);
        if let Some(seconds) = self.retry {
            reply::retry_after(response.headers_mut(), seconds);
        }
        response
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
