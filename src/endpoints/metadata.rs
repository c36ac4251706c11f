//! GET /.well-known/…: metadata of the authorization server (RFC 8414) and of each upstream (RFC 9728), and the
//! operator's own documents; built once per configuration and served as bytes.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode, request::Parts};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::config::{Config, MetadataDocumentMode, UpstreamConfig, WhoRegisters};
use crate::oauth::{AuthorizationServerMetadata, ProtectedResourceMetadata, ResourceIndicator, ScopeSet};
use crate::web::{Body, Response, cors, reply};

/// The path that all metadata and the operator's static documents are below.
pub(super) const WELL_KNOWN: &str = "/.well-known/";

const AUTHORIZATION_SERVER: &str = "/.well-known/oauth-authorization-server";
const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// Cached for five minutes: metadata rarely changes, and hosted clients keep it about as long anyway.
const CACHING: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// Content-Security-Policy of the operator's documents, which are data even if a browser could show them: no scripts,
/// and an opaque origin.
const SANDBOX: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Every document of one configuration, by exact path.
pub(super) struct MetadataDocuments {
    config: Arc<Config>,
    by_path: HashMap<String, Document>,
    /// Those beside the path of the public URL, then those at the origins of upstreams, as in the configuration.
    elsewhere: Vec<HashMap<String, Document>>,
}

struct Document {
    body: Bytes,
    etag: HeaderValue,
    content_type: &'static str,
    policy: Option<HeaderValue>,
}

impl MetadataDocuments {
    /// Builds all documents.
    pub(super) fn build(config: Arc<Config>) -> Self {
        let mut by_path = HashMap::new();
        let mut elsewhere: Vec<HashMap<String, Document>> = Vec::new();
        elsewhere.resize_with(1 + config.own_listeners.len(), HashMap::new);
        // Our own documents come later, and would replace these.
        for answer in &config.well_known {
            let document = Document::of(answer.content.clone().into(), answer.content_type, Some(SANDBOX));
            by_path.extend(document.map(|d| (answer.path.clone(), d)));
        }
        // RFC 8414 3.1: below a path, clients look for it with the suffix between host and path. Some append it.
        let mut beside = HashMap::new();
        let server = || Document::new(&authorization_server(&config));
        by_path.extend(server().map(|d| (AUTHORIZATION_SERVER.to_owned(), d)));
        beside.extend(server().map(|d| (format!("{AUTHORIZATION_SERVER}{}", config.public_path), d)));
        for upstream in &config.upstreams {
            // RFC 9728 3.1: the suffix goes between host and path, so each resource has a document of its own; there is
            // one at the bare suffix only if the origin is a resource, so that no client asks for tokens for the whole
            // host. A user may type the URL with one trailing slash: strict clients then want `resource` to have it
            // too. Upstreams that share a resource share its document. Clients that read no challenge look for one of
            // the URL that they call, and want `resource` to be that (RFC 9728 3.3): the issuer takes it for the
            // shared one.
            let listener = config.listener_of(upstream);
            let called_at = ResourceIndicator::parse(&upstream.called_at()).ok();
            for resource in called_at.iter().chain([&upstream.resource]) {
                let below = resource.as_str().strip_prefix(&*upstream.public_url).unwrap_or_default();
                for slash in ["", "/"] {
                    let document = || {
                        let resource = format!("{}{slash}", resource.as_str());
                        Document::new(&protected_resource(&config, upstream, resource))
                    };
                    let path = format!("{}{slash}", resource.metadata_path());
                    match elsewhere.get_mut(listener).filter(|_| listener > 0) {
                        Some(documents) => documents.extend(document().map(|d| (path, d))),
                        None => {
                            beside.extend(document().map(|d| (path, d)));
                            by_path.extend(document().map(|d| (format!("{PROTECTED_RESOURCE}{below}{slash}"), d)));
                        }
                    }
                }
            }
        }
        if let Some(first) = elsewhere.first_mut().filter(|_| !config.public_path.is_empty()) {
            *first = beside;
        }
        Self { config, by_path, elsewhere }
    }

    /// Returns whether these documents were built from `config`.
    pub(super) fn are_of(&self, config: &Arc<Config>) -> bool {
        Arc::ptr_eq(&self.config, config)
    }

    /// Answers a GET. Any other well-known path is 404: only then does a client that takes the MCP URL for an issuer
    /// try the root, and a document here would name another issuer than it asked for (RFC 8414 3.3).
    pub(super) fn answer(&self, head: &Parts) -> Response {
        share(self.by_path.get(head.uri.path()), &head.headers)
    }

    /// Answers a GET of a path beside that of the public URL (0), or at the listener of upstreams (its place, from 1).
    pub(super) fn answer_at(&self, listener: usize, path: &str, headers: &HeaderMap) -> Response {
        share(self.elsewhere.get(listener).and_then(|documents| documents.get(path)), headers)
    }
}

/// Returns a document, which pages of any origin may read.
fn share(document: Option<&Document>, headers: &HeaderMap) -> Response {
    let missing = || reply::empty(StatusCode::NOT_FOUND);
    let mut response = document.map_or_else(missing, |document| document.answer(headers));
    cors::allow_any_origin(response.headers_mut());
    reply::share(response.headers_mut());
    response
}

impl Document {
    fn new(content: &impl Serialize) -> Option<Self> {
        Self::of(serde_json::to_vec(content).ok()?.into(), "application/json", None)
    }

    fn of(body: Bytes, content_type: &'static str, policy: Option<HeaderValue>) -> Option<Self> {
        let etag = HeaderValue::try_from(format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(&body)))).ok()?;
        Some(Self { body, etag, content_type, policy })
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let known = self.is_known_to(headers);
        let mut response = reply::empty(if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
        let fields = response.headers_mut();
        fields.insert(CACHE_CONTROL, CACHING);
        fields.insert(ETAG, self.etag.clone());
        if let Some(policy) = &self.policy {
            fields.insert(CONTENT_SECURITY_POLICY, policy.clone());
        }
        if !known {
            fields.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
            *response.body_mut() = Body::from(self.body.clone());
        }
        response
    }

    /// Returns whether the client's copy is current: `If-None-Match` is a list of tags, compared weakly (RFC 9110
    /// 13.1.2).
    fn is_known_to(&self, headers: &HeaderMap) -> bool {
        let fields = headers.get_all(IF_NONE_MATCH).iter().filter_map(|field| field.to_str().ok());
        fields
            .flat_map(|list| list.split(','))
            .map(str::trim_ascii)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.etag.as_bytes())
    }
}

fn authorization_server(config: &Config) -> AuthorizationServerMetadata {
    // Some clients request everything listed here, so only the scopes for basic use are listed; a challenge asks for
    // more. `offline_access` makes SDKs ask for refresh tokens (MCP SEP-2207).
    let basic = config.upstreams.iter().fold(ScopeSet::default(), |all, u| all.union(&u.default_scopes));
    let mut scopes = scope_names(&basic.without("offline_access"));
    scopes.push("offline_access".to_owned());
    let mut metadata = AuthorizationServerMetadata::new(
        &config.public_url,
        scopes,
        config.registration.enabled,
        config.metadata_documents.mode != MetadataDocumentMode::Off && config.registration.who != WhoRegisters::Nobody,
    );
    config.aliases.iter().filter(|alias| alias.in_metadata).for_each(|alias| metadata.rename(alias.to, &alias.from));
    metadata
}

fn protected_resource(config: &Config, upstream: &UpstreamConfig, resource: String) -> ProtectedResourceMetadata {
    ProtectedResourceMetadata {
        resource,
        authorization_servers: vec![config.public_url.clone()],
        scopes_supported: scope_names(&upstream.default_scopes),
        bearer_methods_supported: vec!["header"],
        resource_name: Some(upstream.display_name.clone()),
        resource_documentation: upstream.documentation.clone(),
    }
}

fn scope_names(scopes: &ScopeSet) -> Vec<String> {
    scopes.iter().map(|scope| scope.as_str().to_owned()).collect()
}
