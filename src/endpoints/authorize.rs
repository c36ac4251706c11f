//! GET and POST /authorize: the authorization endpoint (OAuth 2.1 4.1.1).

use crate::issuer::{Started, Step};
use crate::oauth::Form;
use crate::web::{RequestBody, Response};

use super::redirect::{self, LocalPath};
use super::rejection::PageRejection;
use super::routes::Endpoint;
use super::visit::Visit;

/// Handles an authorization request in the query.
pub(super) async fn get(visit: &Visit<'_>) -> Result<Response, PageRejection> {
    Box::pin(begin(visit, visit.query()?, visit.referer())).await
}

/// Handles an authorization request sent as a form. It comes from the client's site, so `Origin` is not checked; it
/// does no more than a link could, and the browser sends no Lax cookies with it.
pub(super) async fn post(visit: &Visit<'_>, body: RequestBody) -> Result<Response, PageRejection> {
    visit.admit_form().await?;
    Box::pin(begin(visit, visit.form(body).await?, None)).await
}

async fn begin(visit: &Visit<'_>, request: Form, referer: Option<&str>) -> Result<Response, PageRejection> {
    let started = Box::pin(visit.begin_authorization(request, visit.session()?, referer)).await?;
    Ok(enter(visit, &started))
}

/// Sends the browser to the first page of a transaction, with the cookie that binds the transaction to this browser:
/// its URL is useless in another one.
pub(super) fn enter(visit: &Visit<'_>, started: &Started) -> Response {
    let id = started.transaction.as_ref().map_or("", |transaction| transaction.id.as_str());
    let mut response = go_on(&started.step, id);
    if let Some(transaction) = &started.transaction {
        visit.set_transaction_cookie(response.headers_mut(), transaction);
    }
    response
}

/// Sends the browser to the page of the next step.
pub(super) fn go_on(step: &Step, id: &str) -> Response {
    match step {
        Step::LogIn => redirect::to_page(&LocalPath::to(Endpoint::Login).with("t", id)),
        Step::Consent => redirect::to_page(&LocalPath::to(Endpoint::Consent).with("t", id)),
        Step::Account => redirect::to_page(&LocalPath::to(Endpoint::Account)),
        Step::Redirect(location) => redirect::to_client(location),
    }
}
