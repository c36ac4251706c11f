//! POST /logout: ends the browser's session.

use hyper::body::Incoming;

use crate::web::{FormKey, Response, reply};

use super::account;
use super::rejection::PageRejection;
use super::visit::Visit;

/// Ends the session. Only by a form of ours: an image that points here must not.
pub(super) async fn post(visit: &Visit<'_>, body: Incoming) -> Result<Response, PageRejection> {
    let form = visit.own_form(body).await?;
    let mut response = reply::see_other("/?done=signed-out");
    if let Some(session) = visit.session()? {
        Visit::check_token(&form, FormKey::new(&[session]).as_ref(), account::PURPOSE)?;
        visit.issuer.log_out(session, visit.caller).await?;
        visit.expire_session_cookie(response.headers_mut());
    }
    Ok(response)
}
