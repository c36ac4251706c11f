//! `Site`: the endpoints behind a loopback socket, with a store in memory, a clock that stands still, and an account.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mcpgate::clock::{Clock, ManualClock};
use mcpgate::config::{Config, Overrides};
use mcpgate::endpoints::Endpoints;
use mcpgate::issuer::{Administration, Caller, Issuer, NewClient, OfferedTools, Services};
use mcpgate::oauth::{AccountId, AuthMethod, ClientLifetimes, GrantType, Subject, TenantId, Timestamp};
use mcpgate::outbound::FetchError;
use mcpgate::store::memory::MemoryStore;
use mcpgate::store::{Account, AccountStore, AuditEvent, AuditFilter, AuditRow, AuditStore, LinkSecret, SetupLink};
use mcpgate::telemetry::Metrics;
use mcpgate::token_cache::TokenCache;
use tokio::net::{TcpListener, TcpStream};

use super::failing_store::FailingStore;
use super::http::{Reply, encoded, exchange, open};
use super::password::PASSWORD;
use super::records;
use super::scripted_fetch::ScriptedFetch;
use super::services::services;

pub(crate) const ISSUER: &str = "https://gw.example";
pub(crate) const RESOURCE: &str = "https://gw.example/mcp/acme/sales";
pub(crate) const NAME: &str = "ada";
pub(crate) const REQUEST_ID: &str = "req-0123456789";

const UPSTREAMS: &str = r#"
public_url = "https://gw.example"
extra_hosts = ["other.example"]

[[upstream]]
name = "sales"
path = "/mcp/acme/sales"
url = "http://127.0.0.1:1/mcp"
display_name = "Acme sales"
documentation = "https://docs.example/sales"
default_scopes = ["sales:read"]

[[upstream.scope]]
name = "sales:read"
title = "Read sales data"
description = "See customers <b>and</b> orders."

[[upstream.scope]]
name = "sales:write"
title = "Change orders"
description = "Create and cancel orders."

[[upstream]]
name = "notes"
path = "/mcp/notes"
url = "http://127.0.0.1:1/notes"
"#;

const LOGIN: &str = r#"
[login]
argon2_memory = "19MiB"
argon2_passes = 2
"#;

const GENEROUS: &str = r#"
[rates]
authorize_per_second = 100000
token_per_second = 100000
registrations_per_hour = 100000
"#;

/// The URL of the one metadata document that can be fetched here.
pub(crate) const DOCUMENT: &str = "https://app.example/client.json";

/// The URL of one whose host does not answer.
pub(crate) const UNREACHABLE: &str = "https://gone.example/client.json";

/// The network that has these two; every other host is unknown.
fn network() -> ScriptedFetch {
    let document = serde_json::json!({
        "client_id": DOCUMENT,
        "client_name": "Teapot",
        "redirect_uris": ["http://127.0.0.1/cb", "https://app.example/cb", "teapot:/cb"],
        "token_endpoint_auth_method": "none",
    });
    let network = ScriptedFetch::default();
    network.serve(DOCUMENT, &document, None, false);
    network.fail(UNREACHABLE, FetchError::Connect);
    network
}

pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    /// The wrapper around the store, which can make it fail.
    pub(crate) faulty: Arc<FailingStore>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) config: Arc<ArcSwap<Config>>,
    pub(crate) services: Services,
}

impl Reply {
    /// Asserts that the answer is a page of our own that redirects nowhere.
    pub(crate) fn assert_local(&self) {
        assert_eq!(self.status, 400, "{self:?}");
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8");
        assert!(!self.headers.contains_key("location"));
        assert!(!self.headers.contains_key("set-cookie"), "a transaction was created");
    }

    /// The answer of RFC 6749 5.2.
    pub(crate) fn assert_tok(&self, status: u16, error: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let body = self.json();
        assert_eq!(body["error"], error, "{self:?}");
        assert!(body["error_description"].is_string());
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("pragma"), "no-cache");
        assert!(!self.headers.contains_key("set-cookie"));
    }

    /// The parameters that a redirect to the client carries.
    pub(crate) fn redirected(&self, to: &str) -> Vec<(String, String)> {
        assert_eq!(self.status, 303, "{self:?}");
        let location = self.header("location");
        assert!(location.starts_with(&format!("{to}?")), "{location}");
        url::Url::parse(location).unwrap().query_pairs().into_owned().collect()
    }
}

/// The one value of a parameter.
pub(crate) fn only<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    let values: Vec<_> = pairs.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect();
    assert_eq!(values.len(), 1, "{name} in {pairs:?}");
    values[0]
}

pub(crate) fn config(extra: &str) -> Config {
    let login = if extra.contains("[login]") { "" } else { LOGIN };
    let rates = if extra.contains("[rates]") { "" } else { GENEROUS };
    let text = format!("{UPSTREAMS}{login}{rates}{extra}");
    let mut config = records::config(&text, Overrides { up: true, ..Overrides::default() });
    // The tests send requests as strangers.
    config.rates.exempt_loopback = false;
    config
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::with("").await
    }

    /// Starts with additional configuration.
    pub(crate) async fn with(extra: &str) -> Self {
        Self::made(extra, None).await
    }

    /// Starts with an upstream whose tools are known.
    pub(crate) async fn offering(extra: &str, tools: Arc<dyn OfferedTools>) -> Self {
        Self::made(extra, Some(tools)).await
    }

    async fn made(extra: &str, tools: Option<Arc<dyn OfferedTools>>) -> Self {
        let store = Arc::new(MemoryStore::new());
        let faulty = Arc::new(FailingStore::new(Arc::clone(&store) as _));
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_795_219_200)));
        let services = services(Arc::clone(&faulty) as _, Arc::clone(&clock) as _, config(extra));
        let config = Arc::clone(&services.config);
        let cache = TokenCache::new(
            Arc::clone(&faulty) as _,
            services.keys.load_full(),
            Arc::clone(&clock) as _,
            &config.load(),
        );
        let issuer = Issuer::new(services.clone(), cache, Arc::new(network()), Metrics::new(&[]));
        let issuer = match tools {
            Some(tools) => issuer.with_tools(tools),
            None => issuer,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, Arc::new(Endpoints::new(Arc::new(issuer))), Arc::clone(&config)));
        let site = Self { address, faulty, store, clock, config, services };
        site.add_account(NAME).await;
        site
    }

    /// Sends one request over its own connection.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        let mut connection = open(TcpStream::connect(self.address).await.unwrap()).await.unwrap();
        exchange(&mut connection, request).await.unwrap()
    }

    /// A request without a body, as a program sends it.
    pub(crate) async fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Reply {
        self.send(request(method, target, fields, Bytes::new())).await
    }

    /// A form, as a program sends it.
    pub(crate) async fn submit(&self, path: &str, pairs: &[(&str, &str)], fields: &[(&str, &str)]) -> Reply {
        let fields = [&[("content-type", "application/x-www-form-urlencoded")], fields].concat();
        self.send(request("POST", path, &fields, encoded(pairs))).await
    }

    /// Registers a public client with this redirect URI and returns its id.
    pub(crate) async fn register(&self, redirect: &str) -> String {
        let body = serde_json::json!({
            "client_name": "Tea <img src=x onerror=alert(1)> {{7*7}}",
            "redirect_uris": [redirect],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
        });
        let answer = self.post_json("/register", &body.to_string()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["client_id"].as_str().unwrap().to_owned()
    }

    /// Adds a client as an operator would and returns its id.
    pub(crate) async fn vouched(&self, redirect: &str) -> String {
        let services = Services { store: Arc::clone(&self.store) as _, ..self.services.clone() };
        let administration = Administration::new(services, TenantId::default());
        let new = NewClient {
            name: "Wiki".to_owned(),
            redirect_uris: vec![redirect.to_owned()],
            grant_types: vec![GrantType::AuthorizationCode],
            auth_method: AuthMethod::None,
            jwks: None,
            jwks_uri: None,
            may_act_for: Vec::new(),
            upstream: None,
            scopes: Vec::new(),
            lifetimes: ClientLifetimes::default(),
        };
        administration.add_client(&new).await.unwrap().client.id.as_str().to_owned()
    }

    pub(crate) async fn post_json(&self, path: &str, body: &str) -> Reply {
        self.send(request("POST", path, &[("content-type", "application/json")], body.to_owned())).await
    }

    /// Adds an account with the password of these tests.
    pub(crate) async fn add_account(&self, name: &str) {
        let link = self.invite(name).await;
        let form = [("link", link.as_str()), ("password", PASSWORD), ("repeat", PASSWORD)];
        let answer = self.submit("/setup", &form, &[]).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/account?done=password-set"), "{answer:?}");
    }

    /// Adds an account without a password and returns the secret of its set-password link.
    pub(crate) async fn invite(&self, name: &str) -> String {
        let now = self.clock.now();
        let subject = AccountId::parse(&format!("user-{name}")).unwrap();
        let account = Account {
            subject: Subject::Person(subject.clone()),
            password: None,
            password_set_at: None,
            created_at: now,
            ..records::account(name)
        };
        self.store.insert_account(account, self.row(AuditEvent::AccountAdded)).await.unwrap();
        let secret = LinkSecret::mint(self.services.entropy.random_32(), &self.services.keys.load());
        let link = SetupLink { hash: secret.hash(), subject, ..records::setup_link(name, name, now) };
        self.store.insert_setup_link(link, self.row(AuditEvent::AccountAdded)).await.unwrap();
        secret.reveal().to_owned()
    }

    /// How often the audit trail has this event.
    pub(crate) async fn count(&self, event: AuditEvent) -> usize {
        let rows = self.store.audit_after(&AuditFilter::default(), 0, 10_000).await.unwrap().rows;
        rows.iter().filter(|(_, row)| row.event == event).count()
    }

    /// The reasons of this event's rows in the audit trail.
    pub(crate) async fn reasons(&self, event: AuditEvent) -> Vec<String> {
        let rows = self.store.audit_after(&AuditFilter::default(), 0, 10_000).await.unwrap().rows;
        rows.into_iter().filter(|(_, row)| row.event == event).map(|(_, row)| row.reason.unwrap()).collect()
    }

    /// Why pages were refused.
    pub(crate) async fn refused_pages(&self) -> Vec<String> {
        self.reasons(AuditEvent::PageRefused).await
    }

    fn row(&self, event: AuditEvent) -> AuditRow {
        AuditRow::new(self.clock.now(), TenantId::default(), event)
    }
}

async fn accept(listener: TcpListener, endpoints: Arc<Endpoints>, config: Arc<ArcSwap<Config>>) {
    while let Ok((stream, peer)) = listener.accept().await {
        let (endpoints, config) = (Arc::clone(&endpoints), Arc::clone(&config));
        let caller = Caller::new(Some(peer.ip()), Some(REQUEST_ID.to_owned()));
        let service = service_fn(move |request: Request<Incoming>| {
            let (endpoints, caller, config) = (Arc::clone(&endpoints), caller.clone(), config.load_full());
            async move {
                let user_agent = request.headers().get("user-agent").map(http::HeaderValue::as_bytes);
                let caller = caller.with_user_agent(user_agent);
                Ok::<Response<_>, std::convert::Infallible>(
                    endpoints.serve(mcpgate::web::RequestBody::of(request), caller, config).await,
                )
            }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// A request to the gateway by its public name.
pub(crate) fn request(
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    super::http::request(method.parse().unwrap(), target, &[fields, &[("host", "gw.example")]].concat(), body)
}
