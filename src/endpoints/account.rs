//! GET /account and POST /account/revoke: the applications connected to the account that is logged in.

use http::StatusCode;

use crate::oauth::GrantId;
use crate::web::{FormKey, RequestBody, Response, reply};

use super::authorize::enter;
use super::page::{self, AccountPage, Frame, Leads};
use super::rejection::PageRejection;
use super::visit::Visit;

/// What the tokens of the forms on this page are for.
pub(super) const PURPOSE: &str = "account";

/// Shows the page, or the way to log in.
pub(super) async fn get(visit: &Visit<'_>) -> Result<Response, PageRejection> {
    let session = visit.session()?;
    if let Some(session) = session
        && let Some(key) = FormKey::new(&[session])
        && let Some(view) = visit.issuer.account(session, visit.caller).await?
    {
        let page = AccountPage {
            frame: Frame::new(visit.config),
            form_token: &key.token(PURPOSE),
            view: &view,
            notice: visit.query()?.get("done").map(|_| "The application is disconnected and can do nothing any more."),
        };
        return Ok(page::respond(StatusCode::OK, &page, Leads::Home));
    }
    let started = visit.issuer.begin_account(session, visit.caller).await?;
    Ok(enter(visit, &started))
}

/// Disconnects one application (OAuth 2.1 wants users to see and end what they granted).
pub(super) async fn revoke(visit: &Visit<'_>, body: RequestBody) -> Result<Response, PageRejection> {
    let form = visit.own_form(body).await?;
    let Some(session) = visit.session()? else { return Ok(reply::see_other("/account")) };
    Visit::check_token(&form, FormKey::new(&[session]).as_ref(), PURPOSE)?;
    let revoked = match form.get("grant").and_then(GrantId::parse) {
        Some(grant) => visit.issuer.revoke_own_grant(session, grant, visit.caller).await?,
        None => false,
    };
    Ok(reply::see_other(if revoked { "/account?done=disconnected" } else { "/account" }))
}
