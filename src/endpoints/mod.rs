//! OAuth over HTTP for browsers and clients: a file per first segment of the path.
//!
//! A file here reads the request, calls one use case of `issuer`, and turns the result into a page, a redirect or JSON.
//! It decides nothing about permission, and it does not forward: `/mcp` belongs to `proxy`. Start with
//! `Endpoints::serve` below, then `routes.rs`, `visit/mod.rs` and `authorize.rs`.

mod account;
mod account_keys;
mod authorize;
mod client_error;
mod consent;
mod error_page;
mod introspect;
mod login;
mod logout;
mod metadata;
mod page;
mod redirect;
mod register;
mod rejection;
mod revoke;
mod routes;
mod setup;
mod switch_account;
mod token;
mod tool_boxes;
mod visit;
mod welcome;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::header::HeaderName;
use http::{HeaderValue, Method, Request, StatusCode};

use crate::config::Config;
use crate::issuer::{Caller, Face, Issuer};
use crate::web::{Reason, RequestBody, Response, cors, pages, reply};

pub use routes::{EndpointRoute, ROUTES};

use metadata::MetadataDocuments;
use rejection::{ClientRejection, PageRejection};
use routes::Endpoint;
use visit::Visit;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// All endpoints of the authorization server and its pages.
pub struct Endpoints {
    issuer: Arc<Issuer>,
    /// The metadata documents of the most recent configuration.
    documents: ArcSwapOption<MetadataDocuments>,
}

impl Endpoints {
    /// Makes the endpoints of one issuer.
    #[must_use]
    pub fn new(issuer: Arc<Issuer>) -> Self {
        Self { issuer, documents: ArcSwapOption::empty() }
    }

    /// Answers a request to any path that is not an upstream's, under this configuration; unknown paths get 404.
    pub async fn serve(&self, request: Request<RequestBody>, caller: Caller, config: Arc<Config>) -> Response {
        let (head, body) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        let visit = Visit::new(self.issuer.request(&caller, config), head);
        let mut response = Box::pin(self.answer(&visit, body)).await;
        visit.expire_old_transactions(response.headers_mut());
        redirect::put_below(&visit.config().public_path, response.headers_mut());
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

    /// Answers a request for which only metadata is served: at the listener of upstreams (its place in the
    /// configuration, from 1), or at the public one beside the path of the public URL (0).
    pub fn serve_documents(&self, request: &Request<RequestBody>, listener: usize, config: &Arc<Config>) -> Response {
        let route = EndpointRoute::to(Endpoint::Document);
        let (method, path) = (request.method(), request.uri().path());
        let mut response = match EndpointRoute::of(path) {
            Some(found) if found.endpoint != route.endpoint => reply::empty(StatusCode::NOT_FOUND),
            None => reply::empty(StatusCode::NOT_FOUND),
            Some(_) if !route.allows(method) => reply::method_not_allowed(route.methods),
            Some(_) if method == Method::OPTIONS => cors::preflight(route.methods),
            Some(_) => self.documents(config).answer_at(listener, path, request.headers()),
        };
        if method == Method::HEAD {
            reply::drop_content(&mut response);
        }
        reply::protect(response.headers_mut(), &config.public);
        response
    }

    async fn answer(&self, visit: &Visit<'_>, body: RequestBody) -> Response {
        let (path, method) = (visit.head.uri.path(), &visit.head.method);
        let Some(route) = EndpointRoute::of(path) else { return page(visit, Err(PageRejection::NotFound)).await };
        if !route.allows(method) {
            return reply::method_not_allowed(route.methods);
        }
        if method == Method::OPTIONS {
            return cors::preflight(route.methods);
        }
        let is_post = method == Method::POST;
        match route.endpoint {
            Endpoint::Document => self.documents(visit.config()).answer(&visit.head),
            Endpoint::Authorize if is_post => page(visit, Box::pin(authorize::post(visit, body)).await).await,
            Endpoint::Authorize => page(visit, Box::pin(authorize::get(visit)).await).await,
            Endpoint::Login if is_post => page(visit, Box::pin(login::post(visit, body)).await).await,
            Endpoint::Login => page(visit, login::get(visit).await).await,
            Endpoint::Consent if is_post => page(visit, Box::pin(consent::post(visit, body)).await).await,
            Endpoint::Consent => page(visit, consent::get(visit).await).await,
            Endpoint::SwitchAccount => page(visit, Box::pin(switch_account::post(visit, body)).await).await,
            Endpoint::Account => page(visit, account::get(visit).await).await,
            Endpoint::AccountKeys => page(visit, account_keys::make(visit, body).await).await,
            Endpoint::AccountPassword => page(visit, account::password(visit, body).await).await,
            Endpoint::AccountResume => page(visit, account::resume(visit, body).await).await,
            Endpoint::AccountRevoke => page(visit, account::revoke(visit, body).await).await,
            Endpoint::Logout => page(visit, logout::post(visit, body).await).await,
            Endpoint::Setup if is_post => page(visit, setup::post(visit, body).await).await,
            Endpoint::Setup => page(visit, setup::get(visit).await).await,
            Endpoint::Token => client(visit, route, Box::pin(token::post(visit, body)).await).await,
            Endpoint::Register => client(visit, route, register::post(visit, body).await).await,
            Endpoint::Introspect => client(visit, route, Box::pin(introspect::post(visit, body)).await).await,
            Endpoint::Revoke => client(visit, route, revoke::post(visit, body).await).await,
            Endpoint::Welcome => welcome::get(visit),
            Endpoint::Asset => page(visit, pages::asset(path, visit.config()).ok_or(PageRejection::NotFound)).await,
        }
    }

    /// Returns the documents of this configuration, building them when it is a new one.
    fn documents(&self, config: &Arc<Config>) -> Arc<MetadataDocuments> {
        if let Some(known) = self.documents.load_full().filter(|known| known.are_of(config)) {
            return known;
        }
        let built = Arc::new(MetadataDocuments::build(Arc::clone(config)));
        self.documents.store(Some(Arc::clone(&built)));
        built
    }
}

/// Turns the outcome of a page into a response, and records a refusal that no use case has recorded.
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

/// Turns the outcome for a client into a response, which pages of any origin may read if they may use the path; records
/// a refusal as `page` does.
async fn client(visit: &Visit<'_>, route: &EndpointRoute, outcome: Result<Response, ClientRejection>) -> Response {
    let mut response = match outcome {
        Ok(response) => response,
        Err(rejection) => {
            if let Some(rule) = rejection.unrecorded() {
                visit.record(route.face, rule).await;
            }
            rejection.into_response(visit)
        }
    };
    if route.allows(&Method::OPTIONS) {
        cors::allow_any_origin(response.headers_mut());
    }
    response
}
