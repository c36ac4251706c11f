//! GET /account: the applications connected to the signed-in account; POST /account/revoke and /account/password:
//! disconnecting one, and changing the password.

use http::StatusCode;

use crate::issuer::{AccountView, Face, OwnPassword, PasswordChanged};
use crate::oauth::{GrantId, Rule};
use crate::web::pages::{self, FormTarget, Frame};
use crate::web::{FormKey, RequestBody, Response, reply};

use super::authorize::enter;
use super::page::AccountPage;
use super::redirect::{self, LocalPath};
use super::rejection::PageRejection;
use super::routes::Endpoint;
use super::setup;
use super::visit::Visit;

/// The purpose in the tokens of the forms on this page.
pub(super) const PURPOSE: &str = "account";

/// Shows the page, or redirects to the login page.
pub(super) async fn get(visit: &Visit<'_>) -> Result<Response, PageRejection> {
    let query = visit.own_query().await?;
    if let Some((session, view)) = signed_in(visit).await? {
        // From a fixed list, so that nobody can put their own text onto the page.
        let notice = match query.get("done") {
            Some("disconnected") => Some("Disconnected. The application no longer has access."),
            Some("password-set") => Some("Your password is set, and you are signed in."),
            Some("password-changed") => {
                Some("Your password is changed. Other browsers that were signed in to your account are signed out.")
            }
            _ => None,
        };
        return show(visit, StatusCode::OK, session, &view, Notice { notice, problem: None });
    }
    let started = visit.begin_account(visit.session()?).await?;
    Ok(enter(visit, &started))
}

/// Optional messages on the page.
#[derive(Default)]
struct Notice<'a> {
    /// What was just done.
    notice: Option<&'a str>,
    /// Why the password was not changed.
    problem: Option<&'a str>,
}

/// Returns the session and its account page, if somebody is logged in.
async fn signed_in<'v>(visit: &'v Visit<'_>) -> Result<Option<(&'v str, AccountView)>, PageRejection> {
    let Some(session) = visit.session()? else { return Ok(None) };
    Ok(visit.account(session).await?.map(|view| (session, view)))
}

fn show(
    visit: &Visit<'_>,
    status: StatusCode,
    session: &str,
    view: &AccountView,
    told: Notice<'_>,
) -> Result<Response, PageRejection> {
    let key = FormKey::new(&[session]).ok_or(PageRejection::StaleForm)?;
    let page = AccountPage {
        frame: Frame::new(visit.config()),
        form_token: &key.token(PURPOSE),
        view,
        minimum: visit.config().login.min_password,
        notice: told.notice,
        problem: told.problem,
    };
    Ok(pages::respond(status, &page, FormTarget::Home))
}

/// Changes the password; the page is shown again if it is refused. Other browsers are signed out.
pub(super) async fn password(visit: &Visit<'_>, body: RequestBody) -> Result<Response, PageRejection> {
    let form = visit.own_form(body).await?;
    let Some(session) = visit.session()? else { return Ok(redirect::to_page(&LocalPath::to(Endpoint::Account))) };
    let form = form.check(FormKey::new(&[session]).as_ref(), PURPOSE)?;
    let wish =
        OwnPassword { present: form.text("present"), new: form.text("password"), end_grants: form.has("disconnect") };
    if form.text("repeat") != wish.new {
        visit.record(Face::Page, Rule::PasswordsDiffer).await;
        return again(visit, StatusCode::BAD_REQUEST, setup::NOT_THE_SAME).await;
    }
    match form.issuer(visit).change_own_password(session, &wish).await? {
        PasswordChanged::Done(secret) => {
            let mut response = redirect::to_page(&LocalPath::to(Endpoint::Account).with("done", "password-changed"));
            visit.set_session_cookie(response.headers_mut(), &secret);
            Ok(response)
        }
        PasswordChanged::SignedOut => Ok(redirect::to_page(&LocalPath::to(Endpoint::Account))),
        PasswordChanged::Wrong => again(visit, StatusCode::BAD_REQUEST, "The current password is wrong.").await,
        PasswordChanged::Refused(why) => again(visit, StatusCode::BAD_REQUEST, &setup::problem(why)).await,
        PasswordChanged::Throttled(pause) => {
            let problem =
                format!("There were too many wrong passwords. You can try again in {}.", pages::in_words(pause));
            let mut response = again(visit, StatusCode::TOO_MANY_REQUESTS, &problem).await?;
            reply::retry_after(response.headers_mut(), pause.as_pause());
            Ok(response)
        }
    }
}

async fn again(visit: &Visit<'_>, status: StatusCode, problem: &str) -> Result<Response, PageRejection> {
    match signed_in(visit).await? {
        Some((session, view)) => {
            show(visit, status, session, &view, Notice { problem: Some(problem), ..Notice::default() })
        }
        None => Ok(redirect::to_page(&LocalPath::to(Endpoint::Account))),
    }
}

/// Disconnects one application (OAuth 2.1 wants users to see and end what they granted).
pub(super) async fn revoke(visit: &Visit<'_>, body: RequestBody) -> Result<Response, PageRejection> {
    let form = visit.own_form(body).await?;
    let Some(session) = visit.session()? else { return Ok(redirect::to_page(&LocalPath::to(Endpoint::Account))) };
    let form = form.check(FormKey::new(&[session]).as_ref(), PURPOSE)?;
    let revoked = match GrantId::parse(form.text("grant")) {
        Some(grant) => form.issuer(visit).revoke_own_grant(session, grant).await?,
        None => false,
    };
    let page = LocalPath::to(Endpoint::Account);
    Ok(redirect::to_page(&if revoked { page.with("done", "disconnected") } else { page }))
}
