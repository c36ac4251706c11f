//! POST /revoke: token revocation (RFC 7009).

use http::StatusCode;

use crate::issuer::Face;
use crate::web::{RequestBody, Response, reply};

use super::rejection::ClientRejection;
use super::token::unreadable;
use super::visit::Visit;

/// Revokes a token. RFC 7009 2.2: 200 without content, even for unknown tokens.
pub(super) async fn post(visit: &Visit<'_>, body: RequestBody) -> Result<Response, ClientRejection> {
    visit.admit_request(Face::Token).await?;
    let form = visit.form(body).await.map_err(unreadable)?;
    let authorization = visit.authorization().map_err(unreadable)?;
    visit.revoke(authorization, &form).await?;
    let mut response = reply::empty(StatusCode::OK);
    reply::forbid_caching(response.headers_mut());
    Ok(response)
}
