//! GET and POST /setup: setting a password with a one-time link, which also signs its owner in.

use http::StatusCode;

use crate::issuer::{Face, PasswordRefused, SessionSecret, SetupOutcome, Step, View};
use crate::oauth::Rule;
use crate::web::pages::{self, FormTarget, Frame};
use crate::web::{RequestBody, Response};

use super::authorize::go_on;
use super::page::SetupPage;
use super::redirect::{self, LocalPath};
use super::rejection::PageRejection;
use super::routes::Endpoint;
use super::visit::Visit;

/// Shown when the new password was not repeated correctly.
pub(super) const NOT_THE_SAME: &str = "The two passwords are not the same.";

/// Shows the form if the link is still valid.
pub(super) async fn get(visit: &Visit<'_>) -> Result<Response, PageRejection> {
    let query = visit.own_query().await?;
    show(visit, StatusCode::OK, query.get("link").unwrap_or_default(), None).await
}

/// Sets the password.
pub(super) async fn post(visit: &Visit<'_>, body: RequestBody) -> Result<Response, PageRejection> {
    let form = visit.own_form(body).await?;
    let form = form.by_link();
    let link = form.link();
    if !form.repeats_password() {
        let page = show(visit, StatusCode::BAD_REQUEST, link, Some(NOT_THE_SAME)).await?;
        visit.record(Face::Page, Rule::PasswordsDiffer).await;
        return Ok(page);
    }
    match form.redeem(visit).await? {
        SetupOutcome::Done(Some(session)) => {
            let mut response = go_on_in(visit, &session).await?;
            visit.set_session_cookie(response.headers_mut(), &session);
            Ok(response)
        }
        SetupOutcome::Done(None) => {
            Ok(redirect::to_page(&LocalPath::to(Endpoint::Welcome).with("done", "password-set")))
        }
        SetupOutcome::Gone => Err(PageRejection::DeadLink),
        SetupOutcome::Refused(why) => show(visit, StatusCode::BAD_REQUEST, link, Some(&problem(why))).await,
    }
}

/// Continues with the transaction that this browser began last, if it is still undecided; its page names the account
/// and asks. Otherwise goes to the account page.
async fn go_on_in(visit: &Visit<'_>, session: &SessionSecret) -> Result<Response, PageRejection> {
    if let Some(handles) = visit.newest_transaction(session)?
        && let Ok(View::Consent(_) | View::Waiting(_)) = visit.view(&handles).await
    {
        return Ok(go_on(&Step::Consent, &handles.transaction));
    }
    Ok(redirect::to_page(&LocalPath::to(Endpoint::Account).with("done", "password-set")))
}

async fn show(
    visit: &Visit<'_>,
    status: StatusCode,
    link: &str,
    problem: Option<&str>,
) -> Result<Response, PageRejection> {
    let account = visit.find_setup(link).await?.ok_or(PageRejection::DeadLink)?;
    let page = SetupPage {
        frame: Frame::new(visit.config()),
        link,
        account: &account,
        minimum: visit.config().login.min_password,
        problem,
    };
    Ok(pages::respond(status, &page, FormTarget::Home))
}

/// Returns the sentence that says why a new password was refused.
pub(super) fn problem(why: PasswordRefused) -> String {
    match why {
        PasswordRefused::TooShort(minimum) => format!("A password needs at least {minimum} characters."),
        PasswordRefused::TooLong => "A password can have at most 1024 bytes.".to_owned(),
        PasswordRefused::TooCommon => {
            "This password is too easy to guess: it consists of common words, names, a date or a pattern. Choose \
             another one, such as four unrelated words."
                .to_owned()
        }
    }
}
