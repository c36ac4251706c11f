//! POST /logout: ends the browser's session, or all that stands on the user's login.

use crate::issuer::AuthorizeRejection;
use crate::web::{FormKey, RequestBody, Response, reply};

use super::account;
use super::rejection::PageRejection;
use super::visit::Visit;

/// Ends the session, and with `everywhere` all others and what applications were granted. Only by a form of ours: an image
/// that points here must not.
pub(super) async fn post(visit: &Visit<'_>, body: RequestBody) -> Result<Response, PageRejection> {
    let form = visit.own_form(body).await?;
    let everywhere = form.get("everywhere").is_some();
    let done = if everywhere { "/?done=signed-out-everywhere" } else { "/?done=signed-out" };
    let mut response = reply::see_other(done);
    if let Some(session) = visit.session()? {
        Visit::check_token(&form, FormKey::new(&[session]).as_ref(), account::PURPOSE)?;
        let ended = if everywhere {
            visit.issuer.sign_out_everywhere(session, visit.caller).await.map(drop)
        } else {
            visit.issuer.log_out(session, visit.caller).await
        };
        match ended {
            Ok(()) => {}
            // It has ended all the same, and this browser needs its cookie no more.
            Err(ended @ AuthorizeRejection::NotStored) => response = PageRejection::from(ended).into_response(visit),
            Err(refused) => return Err(refused.into()),
        }
        visit.expire_session_cookie(response.headers_mut());
    }
    Ok(response)
}
