//! OAuth over HTTP for browsers and clients: one file per URL.

use std::sync::Arc;

use crate::issuer::{Caller, Issuer};
use crate::web::Response;

/// The control path.
pub struct Endpoints {
    #[expect(dead_code, reason = "contract stage")]
    issuer: Arc<Issuer>,
}

impl Endpoints {
    /// Makes the endpoints.
    #[must_use]
    pub fn new(issuer: Arc<Issuer>) -> Self {
        Self { issuer }
    }
    /// Answers a request to any path that is not an upstream's; unknown paths get 404.
    pub async fn serve(&self, _request: http::Request<hyper::body::Incoming>, _caller: Caller) -> Response {
        todo!()
    }
}
