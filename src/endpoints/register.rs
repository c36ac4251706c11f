//! POST /register: dynamic client registration (RFC 7591).

use http::StatusCode;
use serde_json::json;

use crate::issuer::{Face, Registered};
use crate::oauth::ErrorCode;
use crate::web::{RequestBody, Response, reply};

use super::rejection::{ClientRejection, InputRejection};
use super::visit::Visit;

/// Registers a client. JSON only (RFC 7591 3.1), which a form of another site cannot send without a preflight.
pub(super) async fn post(visit: &Visit<'_>, body: RequestBody) -> Result<Response, ClientRejection> {
    visit.admit_request(Face::Registration).await?;
    let bytes = visit.body(body, "application/json").await.map_err(unreadable)?;
    let registered = visit.register(&bytes).await?;
    Ok(reply::json(StatusCode::CREATED, body_of(&registered)))
}

/// Returns the response body: all that was registered, which may differ from the request (RFC 7591 3.2.1). Members
/// without a value are left out.
fn body_of(registered: &Registered) -> Vec<u8> {
    let mut members = registered.client.metadata.to_json();
    members.insert("client_id".to_owned(), json!(registered.client.id.as_str()));
    members.insert("client_id_issued_at".to_owned(), json!(registered.client.created_at.as_secs()));
    if let Some(secret) = &registered.secret {
        members.insert("client_secret".to_owned(), json!(secret.reveal()));
        // Required with a secret; 0 means that it does not expire.
        members.insert("client_secret_expires_at".to_owned(), json!(0));
    }
    serde_json::to_vec(&members).unwrap_or_default()
}

/// Makes the rejection of a malformed request, with the error code of RFC 7591 3.2.2.
fn unreadable(cause: InputRejection) -> ClientRejection {
    ClientRejection::Input(cause, ErrorCode::InvalidClientMetadata)
}
