//! POST /introspect: token introspection (RFC 7662).

use http::StatusCode;

use crate::issuer::Face;
use crate::web::{RequestBody, Response, reply};

use super::rejection::ClientRejection;
use super::token::unreadable;
use super::visit::Visit;

/// Tells a resource server about a token.
pub(super) async fn post(visit: &Visit<'_>, body: RequestBody) -> Result<Response, ClientRejection> {
    visit.admit_request(Face::Introspection).await?;
    let form = visit.form(body).await.map_err(unreadable)?;
    let authorization = visit.authorization().map_err(unreadable)?;
    let told = Box::pin(visit.introspect(authorization, &form)).await?;
    Ok(reply::json(StatusCode::OK, told.to_json()))
}
