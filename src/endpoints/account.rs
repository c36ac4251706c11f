//! GET /account: the applications connected to the signed-in account and its API keys; POST /account/revoke,
//! /account/resume and /account/password: ending one, letting one act again, and changing the password.

use http::StatusCode;

use crate::issuer::{AccountView, Face, KeyLifetime, OwnGrants, OwnPassword, PasswordChanged};
use crate::oauth::{ClientId, Rule};
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
            Some("key-revoked") => Some("Revoked. The API key is no longer accepted."),
            Some("resumed") => Some("The application may act for you again."),
            Some("disconnected") => Some("Disconnected. The application no longer has access."),
            Some("all-disconnected") => Some("All applications are disconnected. None of them has access any more."),
            Some("session-ended") => Some("The session of the application has ended."),
            Some("password-set") => Some("Your password is set, and you are signed in."),
            Some("password-changed") => {
                Some("Your password is changed. Other browsers that were signed in to your account are signed out.")
            }
            _ => None,
        };
        return show(visit, StatusCode::OK, session, &view, Notice { notice, ..Notice::default() });
    }
    let started = visit.begin_account(visit.session()?).await?;
    Ok(enter(visit, &started))
}

/// Optional messages on the page.
#[derive(Default)]
pub(super) struct Notice<'a> {
    /// What was just done.
    notice: Option<&'a str>,
    /// Why the password was not changed.
    problem: Option<&'a str>,
    /// For which upstream no API key was made, and why.
    key_problem: Option<(&'a str, &'a str)>,
}

impl<'a> Notice<'a> {
    /// Says why no API key was made for an upstream.
    pub(super) fn no_key(upstream: &'a str, why: &'a str) -> Self {
        Self { key_problem: Some((upstream, why)), ..Self::default() }
    }
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
    let config = visit.config();
    let label = |lives: Option<_>| lives.map_or_else(|| "until I revoke it".to_owned(), pages::in_words);
    let page = AccountPage {
        frame: Frame::new(visit.config()),
        form_token: &key.token(PURPOSE),
        view,
        minimum: visit.config().login.min_password,
        notice: told.notice,
        problem: told.problem,
        lifetimes: KeyLifetime::offered(&config.tokens).into_iter().map(|(word, lives)| (word, label(lives))).collect(),
        key_problem: told.key_problem,
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
    show_again(visit, status, Notice { problem: Some(problem), ..Notice::default() }).await
}

/// Shows the page again, if somebody is still signed in.
pub(super) async fn show_again(
    visit: &Visit<'_>,
    status: StatusCode,
    told: Notice<'_>,
) -> Result<Response, PageRejection> {
    match signed_in(visit).await? {
        Some((session, view)) => show(visit, status, session, &view, told),
        None => Ok(redirect::to_page(&LocalPath::to(Endpoint::Account))),
    }
}

/// Disconnects one application or all, ends one session of one, or revokes an API key (OAuth 2.1 wants users to see and
/// end what they granted).
pub(super) async fn revoke(visit: &Visit<'_>, body: RequestBody) -> Result<Response, PageRejection> {
    let form = visit.own_form(body).await?;
    let Some(session) = visit.session()? else { return Ok(redirect::to_page(&LocalPath::to(Endpoint::Account))) };
    let form = form.check(FormKey::new(&[session]).as_ref(), PURPOSE)?;
    let (which, done) = if form.has("all") {
        (OwnGrants::Applications, "all-disconnected")
    } else if form.has("client") {
        (OwnGrants::Application { client: form.text("client"), resource: form.text("resource") }, "disconnected")
    } else {
        (OwnGrants::One(form.text("grant")), if form.has("key") { "key-revoked" } else { "session-ended" })
    };
    let revoked = form.issuer(visit).revoke_own(session, which).await?;
    let page = LocalPath::to(Endpoint::Account);
    Ok(redirect::to_page(&if revoked > 0 { page.with("done", done) } else { page }))
}

/// Lets an application act for the person again, after that was ended.
pub(super) async fn resume(visit: &Visit<'_>, body: RequestBody) -> Result<Response, PageRejection> {
    let form = visit.own_form(body).await?;
    let Some(session) = visit.session()? else { return Ok(redirect::to_page(&LocalPath::to(Endpoint::Account))) };
    let form = form.check(FormKey::new(&[session]).as_ref(), PURPOSE)?;
    let resumed = match ClientId::parse(form.text("client")) {
        Some(client) => form.issuer(visit).resume_own_acting(session, &client).await?,
        None => false,
    };
    let page = LocalPath::to(Endpoint::Account);
    Ok(redirect::to_page(&if resumed { page.with("done", "resumed") } else { page }))
}
