//! GET and POST /authorize: the authorization endpoint (OAuth 2.1 4.1.1).

use crate::issuer::{Started, Step};
use crate::oauth::Form;
use crate::web::{RequestBody, Response};

use super::redirect;
use super::rejection::PageRejection;
use super::visit::Visit;

/// The request in the query.
pub(super) async fn get(visit: &Visit<'_>) -> Result<Response, PageRejection> {
    begin(visit, visit.query()?, visit.referer()).await
}

/// The request as a form. It comes from the client's site, so no Origin is asked for; nothing is done by it but what a
/// link could do, and the browser sends no Lax cookie along.
pub(super) async fn post(visit: &Visit<'_>, body: RequestBody) -> Result<Response, PageRejection> {
    visit.issuer.admit_form().await?;
    begin(visit, visit.form(body).await?, None).await
}

async fn begin(visit: &Visit<'_>, request: Form, referer: Option<&str>) -> Result<Response, PageRejection> {
    let started = visit.issuer.begin_authorization(request, visit.session()?, referer).await?;
    Ok(enter(visit, &started))
}

/// Sends the browser to the first page of what was started, with the cookie that makes it this browser's: in another
/// one its URL is worth nothing.
pub(super) fn enter(visit: &Visit<'_>, started: &Started) -> Response {
    let id = started.transaction.as_ref().map_or("", |transaction| transaction.id.as_str());
    let mut response = go_on(&started.step, id);
    if let Some(transaction) = &started.transaction {
        visit.set_transaction_cookie(response.headers_mut(), transaction);
    }
    response
}

/// Sends the browser to the page of the next step. Our own pages are named without a host: whichever of our names the
/// browser used, its cookies are there.
pub(super) fn go_on(step: &Step, id: &str) -> Response {
    match step {
        Step::LogIn => redirect::to_page(&format!("/login?t={id}")),
        Step::Consent => redirect::to_page(&format!("/consent?t={id}")),
        Step::Account => redirect::to_page("/account"),
        Step::Redirect(location) => redirect::to_client(location),
    }
}
