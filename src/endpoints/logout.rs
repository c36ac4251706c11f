//! POST /logout: ends the browser's session, if wished the applications' sessions too, or all of the user's sessions
//! and grants.

use crate::issuer::AuthorizeRejection;
use crate::web::{FormKey, RequestBody, Response};

use super::account;
use super::redirect::{self, LocalPath};
use super::rejection::PageRejection;
use super::routes::Endpoint;
use super::visit::Visit;

/// Ends the session; with `applications` also those of the user's applications, with `everywhere` all other sessions
/// and all grants. Needs a form of ours, so that an image on another page cannot log the user out.
pub(super) async fn post(visit: &Visit<'_>, body: RequestBody) -> Result<Response, PageRejection> {
    let form = visit.own_form(body).await?;
    // Nobody is signed in: there is nothing to end.
    let Some(session) = visit.session()? else { return Ok(redirect::to_page(&done("signed-out"))) };
    let form = form.check(FormKey::new(&[session]).as_ref(), account::PURPOSE)?;
    let (ended, what) = if form.has("everywhere") {
        let ended = form.issuer(visit).sign_out_everywhere(session).await;
        (ended.map(drop), "signed-out-everywhere")
    } else if form.has("applications") {
        (form.issuer(visit).log_out_with_applications(session).await, "signed-out-with-applications")
    } else {
        (form.issuer(visit).log_out(session).await, "signed-out")
    };
    let mut response = match ended {
        Ok(()) => redirect::to_page(&done(what)),
        // The session has ended nevertheless, and this browser no longer needs its cookie.
        Err(ended @ AuthorizeRejection::NotStored) => PageRejection::from(ended).into_response(visit),
        Err(refused) => return Err(refused.into()),
    };
    visit.expire_session_cookie(response.headers_mut());
    Ok(response)
}

/// The first page, which says what was done.
fn done(what: &'static str) -> LocalPath {
    LocalPath::to(Endpoint::Welcome).with("done", what)
}
