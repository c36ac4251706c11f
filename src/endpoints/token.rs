//! POST /token: the token endpoint (OAuth 2.1 3.2).

use http::StatusCode;

use crate::issuer::Face;
use crate::oauth::ErrorCode;
use crate::web::{RequestBody, Response, reply};

use super::rejection::{ClientRejection, InputRejection};
use super::visit::Visit;

/// Exchanges a grant for tokens.
pub(super) async fn post(visit: &Visit<'_>, body: RequestBody) -> Result<Response, ClientRejection> {
    visit.admit_request(Face::Token).await?;
    let form = visit.form(body).await.map_err(unreadable)?;
    let authorization = visit.authorization().map_err(unreadable)?;
    let tokens = visit.token(authorization, &form).await?;
    Ok(reply::json(StatusCode::OK, tokens.to_json()))
}

/// Makes the rejection of a malformed request (RFC 6749 5.2).
pub(super) fn unreadable(cause: InputRejection) -> ClientRejection {
    ClientRejection::Input(cause, ErrorCode::InvalidRequest)
}
