//! POST /switch-account: "Not you?" on the consent page.

use crate::issuer::Step;
use crate::web::{RequestBody, Response};

use super::authorize::go_on;
use super::rejection::PageRejection;
use super::visit::{Visit, consent_key};

/// The purpose in the form's token.
pub(super) const PURPOSE: &str = "switch-account";

/// Ends the session and goes back to the login page of the same transaction.
pub(super) async fn post(visit: &Visit<'_>, body: RequestBody) -> Result<Response, PageRejection> {
    let form = visit.own_form(body).await?;
    let handles = visit.handles(form.transaction())?;
    if handles.cookie.is_none() {
        return Err(PageRejection::NoTransactionCookie);
    }
    let form = form.check(consent_key(&handles).as_ref(), PURPOSE)?;
    form.issuer(visit).switch_account(&handles).await?;
    let mut response = go_on(&Step::LogIn, &handles.transaction);
    visit.expire_session_cookie(response.headers_mut());
    Ok(response)
}
