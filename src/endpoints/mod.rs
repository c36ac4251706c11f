//! OAuth over HTTP for browsers and clients: one file per URL.
//!
//! A file here reads the request, calls one use case of `issuer`, and turns what comes back into a page, a redirect or
//! JSON. It decides nothing about permission, and it does not forward: `/mcp` belongs to `proxy`. It may know `oauth`,
//! `issuer`, `web`, `config` and `telemetry`. Start with `Endpoints::serve` below, then `visit.rs`, `authorize.rs`,
//! `rejection.rs`.

mod account;
mod assets;
mod authorize;
mod client_error;
mod consent;
mod error_page;
mod login;
mod logout;
mod metadata;
mod own_form;
mod page;
mod redirect;
mod register;
mod rejection;
mod revoke;
mod setup;
mod switch_account;
mod token;
mod visit;
mod welcome;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::header::HeaderName;
use http::{HeaderValue, Method, Request};

use crate::config::Config;
use crate::issuer::{Caller, Face, Issuer};
use crate::web::{Reason, RequestBody, Response, cors, reply};

use metadata::Documents;
use rejection::{ClientRejection, PageRejection};
use visit::Visit;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Every path that is answered here, with its methods; one that ends with a slash (but for the root) stands for all below
/// it. Those that any origin may use end in OPTIONS. No upstream may have one of them.
pub const PATHS: [(&str, &str); 15] = [
    ("/", "GET, HEAD"),
    ("/account", "GET"),
    ("/account/password", "POST"),
    ("/account/revoke", "POST"),
    ("/authorize", "GET, POST"),
    ("/consent", "GET, POST"),
    ("/login", "GET, POST"),
    ("/logout", "POST"),
    ("/register", "POST, OPTIONS"),
    ("/revoke", "POST, OPTIONS"),
    ("/setup", "GET, POST"),
    ("/switch-account", "POST"),
    ("/token", "POST, OPTIONS"),
    (metadata::WELL_KNOWN, "GET, HEAD, OPTIONS"),
    (assets::FOLDER, "GET, HEAD"),
];

/// The control path.
pub struct Endpoints {
    issuer: Arc<Issuer>,
    /// The metadata documents of the configuration last seen.
    documents: ArcSwap<Documents>,
}

impl Endpoints {
    /// Makes the endpoints.
    #[must_use]
    pub fn new(issuer: Arc<Issuer>) -> Self {
        let documents = ArcSwap::from_pointee(Documents::build(issuer.services.config.load_full()));
        Self { issuer, documents }
    }

    /// Answers a request to any path that is not an upstream's; unknown paths get 404.
    pub async fn serve(&self, request: Request<RequestBody>, caller: Caller) -> Response {
        let (head, body) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        let visit = Visit { issuer: self.issuer.request(&caller), head };
        let mut response = self.answer(&visit, body).await;
        visit.expire_old_transactions(response.headers_mut());
        if is_head {
            reply::drop_content(&mut response);
        }
        reply::protect(response.headers_mut(), &visit.config().public);
        if let Some(rule) = caller.broken.get() {
            response.extensions_mut().insert(Reason(rule.label()));
        }
        if let Some(id) = caller.request_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok()) {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        response
    }

    /// The path is compared as it came: nothing is decoded or collapsed, so no two spellings are one resource.
    async fn answer(&self, visit: &Visit<'_>, body: RequestBody) -> Response {
        let path = visit.head.uri.path();
        // What is not in the table is not served, so that the table is all there is to reserve.
        let Some(allowed) = allowed_methods(path) else { return page(visit, Err(PageRejection::NotFound)).await };
        match (visit.head.method.as_str(), path) {
            ("GET" | "HEAD", _) if path.starts_with(metadata::WELL_KNOWN) => {
                self.documents(visit.config()).answer(&visit.head)
            }
            ("GET", "/authorize") => page(visit, authorize::get(visit).await).await,
            ("POST", "/authorize") => page(visit, authorize::post(visit, body).await).await,
            ("GET", "/login") => page(visit, login::get(visit).await).await,
            ("POST", "/login") => page(visit, login::post(visit, body).await).await,
            ("GET", "/consent") => page(visit, consent::get(visit).await).await,
            ("POST", "/consent") => page(visit, consent::post(visit, body).await).await,
            ("POST", "/switch-account") => page(visit, switch_account::post(visit, body).await).await,
            ("GET", "/account") => page(visit, account::get(visit).await).await,
            ("POST", "/account/password") => page(visit, account::password(visit, body).await).await,
            ("POST", "/account/revoke") => page(visit, account::revoke(visit, body).await).await,
            ("POST", "/logout") => page(visit, logout::post(visit, body).await).await,
            ("GET", "/setup") => page(visit, setup::get(visit).await).await,
            ("POST", "/setup") => page(visit, setup::post(visit, body).await).await,
            ("POST", "/token") => client(visit, Face::Token, token::post(visit, body).await).await,
            ("POST", "/register") => client(visit, Face::Registration, register::post(visit, body).await).await,
            ("POST", "/revoke") => client(visit, Face::Token, revoke::post(visit, body).await).await,
            ("GET" | "HEAD", "/") => welcome::get(visit),
            ("GET" | "HEAD", _) if path.starts_with(assets::FOLDER) => {
                page(visit, assets::get(path, visit.config())).await
            }
            ("OPTIONS", _) if allowed.ends_with("OPTIONS") => cors::preflight(allowed),
            _ => reply::method_not_allowed(allowed),
        }
    }

    /// Returns the documents of this configuration, building them when it is a new one.
    fn documents(&self, config: &Arc<Config>) -> Arc<Documents> {
        let known = self.documents.load_full();
        if known.are_of(config) {
            return known;
        }
        let built = Arc::new(Documents::build(Arc::clone(config)));
        self.documents.store(Arc::clone(&built));
        built
    }
}

/// Makes a page's response of what came out, and records a refusal that nobody has recorded yet.
async fn page(visit: &Visit<'_>, outcome: Result<Response, PageRejection>) -> Response {
    let rejection = match outcome {
        Ok(response) => return response,
        Err(rejection) => rejection,
    };
    if let Some(rule) = rejection.unrecorded() {
        visit.record(Face::Page, rule).await;
    }
    rejection.into_response(visit)
}

/// Makes a client's response of what came out, for pages of any origin to read; records a refusal as `page` does.
async fn client(visit: &Visit<'_>, face: Face, outcome: Result<Response, ClientRejection>) -> Response {
    let mut response = match outcome {
        Ok(response) => response,
        Err(rejection) => {
            if let Some(rule) = rejection.unrecorded() {
                visit.record(face, rule).await;
            }
            rejection.into_response(visit)
        }
    };
    cors::allow_any_origin(response.headers_mut());
    response
}

/// Returns the methods of a path, or `None` for one that is not served.
fn allowed_methods(path: &str) -> Option<&'static str> {
    let is_it = |known: &str| known == path || (known.len() > 1 && known.ends_with('/') && path.starts_with(known));
    PATHS.iter().find(|(known, _)| is_it(known)).map(|(_, methods)| *methods)
}
